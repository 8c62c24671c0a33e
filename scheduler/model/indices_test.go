package model

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawIndices draws an array of up to four ranges of any stride and direction,
// in any order, that name no index twice, joined in chunks.
func drawIndices(t *rapid.T, label string) Indices {
	x := Indices{Chunk: rapid.Int64Range(0, 5).Draw(t, label+" chunk")}
	used := map[int64]bool{}
	for range rapid.IntRange(1, 4).Draw(t, label+" ranges") {
		r := Range{First: rapid.Int64Range(-10, 40).Draw(t, label+" first"), Step: rapid.Int64Range(1, 6).Draw(t, label+" step")}
		if rapid.Bool().Draw(t, label+" down") {
			r.Step = -r.Step
		}
		r.Last = r.First + (rapid.Int64Range(1, 14).Draw(t, label+" length")-1)*r.Step
		if all := walk(r); !slices.ContainsFunc(all, func(v int64) bool { return used[v] }) {
			x.Ranges = append(x.Ranges, r)
			for _, v := range all {
				used[v] = true
			}
		}
	}
	return x
}

// walk lists a range the plain way.
func walk(r Range) []int64 {
	var out []int64
	for v := r.First; ; v += r.Step {
		out = append(out, v)
		if v == r.Last {
			return out
		}
	}
}

// flat lists an array in its order.
func flat(x Indices) []int64 {
	var out []int64
	for _, r := range x.Ranges {
		out = append(out, walk(r)...)
	}
	return out
}

func TestTasksAreTheIndicesOfTheRangesInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawIndices(t, "array")
		all := flat(x)
		if x.Len() != int64(len(all)) {
			t.Fatalf("Len %d, want %d", x.Len(), len(all))
		}
		if x.Tasks() != int64(len(all)) || x.Allocations() != int64(len(slices.Collect(slices.Chunk(all, int(max(1, x.Chunk)))))) {
			t.Fatalf("%d tasks in %d allocations, of %d indices", x.Tasks(), x.Allocations(), len(all))
		}
		if got := x.Of(NewSet(0, x.Tasks())); !slices.Equal(got, all) {
			t.Fatalf("all tasks work on %v, want %v", got, all)
		}
		for p, v := range all {
			if got, ok := x.At(int64(p)); !ok || got != v {
				t.Fatalf("At(%d) is %d %v, want %d", p, got, ok, v)
			}
			if o, ok := x.Ordinal(v); !ok || o != int64(p) {
				t.Fatalf("index %d belongs to task %d %v", v, o, ok)
			}
		}
		for v := int64(-100); v < 150; v++ {
			if _, ok := x.Ordinal(v); ok != slices.Contains(all, v) {
				t.Fatalf("index %d is found: %v, in %v", v, ok, all)
			}
		}
	})
}

func TestIndicesOutsideAreNotFound(t *testing.T) {
	x := Indices{Ranges: []Range{{First: 1, Last: 9, Step: 2}}, Chunk: 2}
	for _, pos := range []int64{-1, 5, 1 << 40} {
		if v, ok := x.At(pos); ok {
			t.Errorf("position %d holds %d", pos, v)
		}
	}
	if got := x.Of(NewSet(-1, 9)); !slices.Equal(got, []int64{1, 3, 5, 7, 9}) {
		t.Errorf("tasks -1 to 8 work on %v", got)
	}
	if n := Count(0).Tasks(); n != 0 {
		t.Errorf("a count of 0 makes %d tasks", n)
	}
}

func TestIndicesAreWrittenAsInAJobFile(t *testing.T) {
	for want, ranges := range map[string][]Range{
		"0-3":          {{First: 0, Last: 3, Step: 1}},
		"1-9:2,20":     {{First: 1, Last: 9, Step: 2}, {First: 20, Last: 20, Step: 1}},
		"10-2:4":       {{First: 10, Last: 2, Step: -4}},
		"9-1":          {{First: 9, Last: 1, Step: -1}},
		"5":            {{First: 5, Last: 5, Step: 1}},
		"1001-1191:10": {{First: 1001, Last: 1191, Step: 10}},
	} {
		if got := (Indices{Ranges: ranges}).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Which tasks a filter of indices means is found by arithmetic; it equals
// looking at each task's index.
func TestFiltersOfIndicesMeanTheTasksThatHoldThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, filter := drawIndices(t, "array"), drawIndices(t, "filter")
		var want Set
		for o, v := range flat(x) {
			if slices.Contains(flat(filter), v) {
				want.Add(int64(o))
			}
		}
		if got := x.OrdinalsOf(filter.Ranges); !got.Equal(want) {
			t.Fatalf("%s means %s of %s, want %s", filter, got, x, want)
		}
	})
}
