package model

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// naive is the plainest set there is.
type naive map[int64]bool

func (n naive) sorted() []int64 {
	out := make([]int64, 0, len(n))
	for v := range n {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

func members(s Set) []int64 {
	out := []int64{}
	for v := range s.All() {
		out = append(out, v)
	}
	return out
}

// requireSame fails unless s has the members of n and is in its normal form:
// intervals not empty, ascending, not touching.
func requireSame(t *rapid.T, what string, s Set, n naive) {
	t.Helper()
	if got, want := members(s), n.sorted(); !slices.Equal(got, want) {
		t.Fatalf("%s: has %v, want %v", what, got, want)
	}
	for i, v := range s.Intervals() {
		if v.Lo >= v.Hi || (i > 0 && s.Intervals()[i-1].Hi >= v.Lo) {
			t.Fatalf("%s: intervals %v are not in normal form", what, s.Intervals())
		}
	}
}

// span draws lo ... hi-1 within a small range, now and then empty or inverted.
func span(t *rapid.T) (lo, hi int64) {
	lo = rapid.Int64Range(-5, 60).Draw(t, "lo")
	return lo, lo + rapid.Int64Range(-1, 12).Draw(t, "length")
}

func drawSet(t *rapid.T) (Set, naive) {
	var s Set
	n := naive{}
	for range rapid.IntRange(0, 8).Draw(t, "spans") {
		lo, hi := span(t)
		s.AddRange(lo, hi)
		for v := lo; v < hi; v++ {
			n[v] = true
		}
	}
	return s, n
}

func TestSetBehavesAsAMapUnderAnySequenceOfChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Set
		n := naive{}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				v := rapid.Int64Range(-5, 60).Draw(t, "v")
				s.Add(v)
				n[v] = true
			},
			"remove": func(t *rapid.T) {
				v := rapid.Int64Range(-5, 60).Draw(t, "v")
				s.Remove(v)
				delete(n, v)
			},
			"addRange": func(t *rapid.T) {
				lo, hi := span(t)
				s.AddRange(lo, hi)
				for v := lo; v < hi; v++ {
					n[v] = true
				}
			},
			"removeRange": func(t *rapid.T) {
				lo, hi := span(t)
				s.RemoveRange(lo, hi)
				for v := lo; v < hi; v++ {
					delete(n, v)
				}
			},
			"": func(t *rapid.T) { requireSame(t, "set", s, n) },
		})
	})
}

func TestSetAlgebraIsThatOfMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, na := drawSet(t)
		b, nb := drawSet(t)
		union, both, less := naive{}, naive{}, naive{}
		for v := int64(-10); v < 100; v++ {
			if na[v] || nb[v] {
				union[v] = true
			}
			if na[v] && nb[v] {
				both[v] = true
			}
			if na[v] && !nb[v] {
				less[v] = true
			}
		}
		requireSame(t, "union", a.Union(b), union)
		requireSame(t, "intersection", a.Intersect(b), both)
		requireSame(t, "difference", a.Subtract(b), less)
		requireSame(t, "left operand afterwards", a, na)
		requireSame(t, "right operand afterwards", b, nb)
		if got, want := a.Equal(b), slices.Equal(na.sorted(), nb.sorted()); got != want {
			t.Fatalf("Equal says %v, want %v", got, want)
		}
	})
}

func TestSetQuestions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, n := drawSet(t)
		all := n.sorted()
		if s.Len() != int64(len(all)) || s.Empty() != (len(all) == 0) {
			t.Fatalf("Len %d, Empty %v of %v", s.Len(), s.Empty(), all)
		}
		if least, ok := s.Min(); ok != (len(all) > 0) || (ok && least != all[0]) {
			t.Fatalf("Min %d %v of %v", least, ok, all)
		}
		for v := int64(-10); v < 80; v++ {
			if s.Contains(v) != n[v] {
				t.Fatalf("Contains(%d) is %v", v, s.Contains(v))
			}
		}
		lo, hi := span(t)
		whole := true
		for v := lo; v < hi; v++ {
			whole = whole && n[v]
		}
		if s.ContainsRange(lo, hi) != whole {
			t.Fatalf("ContainsRange(%d, %d) is %v of %v", lo, hi, !whole, s)
		}
		k := rapid.Int64Range(-1, 80).Draw(t, "first")
		if got, want := members(s.First(k)), all[:min(max(k, 0), int64(len(all)))]; !slices.Equal(got, want) {
			t.Fatalf("First(%d) is %v, want %v", k, got, want)
		}
		back, ok := SetFromPairs(s.Pairs())
		if !ok || !back.Equal(s) {
			t.Fatalf("pairs %v give back %v", s.Pairs(), back)
		}
	})
}

func TestSetResultsShareNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, na := drawSet(t)
		b, _ := drawSet(t)
		for _, made := range []Set{a.Clone(), a.Union(b), b.Union(a), a.Intersect(b), a.Subtract(b), a.First(10)} {
			lo, hi := span(t)
			made.AddRange(lo, hi)
			made.RemoveRange(lo-3, lo+1)
		}
		requireSame(t, "operand", a, na)
	})
}

func TestSetFromPairsRefusesWhatPairsNeverWrites(t *testing.T) {
	for _, bad := range [][]int64{{1}, {1, 1}, {2, 1}, {0, 2, 1, 3}, {0, 2, 2, 3}, {5, 6, 0, 1}} {
		if s, ok := SetFromPairs(bad); ok {
			t.Errorf("%v was read as %v", bad, s)
		}
	}
}

func TestSetIsWrittenAsPeopleWriteRanges(t *testing.T) {
	s := NewSet(0, 4)
	s.Add(7)
	s.AddRange(9, 11)
	if got := s.String(); got != "0-3,7,9-10" {
		t.Errorf("got %s", got)
	}
	if got := (Set{}).String(); got != "" {
		t.Errorf("the empty set is written %q", got)
	}
}

// Ten thousand alternating members are the worst shape: nothing merges.
func BenchmarkSetSubtractAlternating(b *testing.B) {
	var odd Set
	for v := int64(1); v < 20_000; v += 2 {
		odd.Add(v)
	}
	all := NewSet(0, 20_000)
	b.ReportAllocs()
	for b.Loop() {
		if all.Subtract(odd).Len() != 10_000 {
			b.Fatal("wrong")
		}
	}
}

func ExampleSet_First() {
	s := NewSet(0, 1_000_000)
	s.Remove(2)
	fmt.Println(s.First(4), s.Len())
	// Output: 0-1,3-4 999999
}
