package order

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/model"
)

func ordinals(kind model.Order, stride int32, n int64) []int64 {
	g := &model.TaskGroup{Indices: model.Count(n), Order: kind}
	var out []int64
	for u := range Tasks(g, &model.GroupStatus{Stride: stride}, model.NewSet(0, n)) {
		out = append(out, u.Ordinal)
	}
	return out
}

func TestTasksStartInTheOrderOfTheGroup(t *testing.T) {
	for _, c := range []struct {
		kind   model.Order
		stride int32
		want   []int64
	}{
		{0, 0, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{model.OrderReverse, 0, []int64{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
		{model.OrderInterleave, 0, []int64{0, 10, 1, 11, 2, 3, 4, 5, 6, 7, 8, 9}},
		{model.OrderInterleave, 4, []int64{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}},
		{model.OrderFirstMiddleLast, 0, []int64{0, 11, 6, 3, 9, 1, 4, 7, 10, 2, 5, 8}},
	} {
		if got := ordinals(c.kind, c.stride, 12); !slices.Equal(got, c.want) {
			t.Errorf("%s %d: %v, want %v", c.kind, c.stride, got, c.want)
		}
	}
}

var kinds = rapid.SampledFrom([]model.Order{0, model.OrderForward, model.OrderReverse, model.OrderInterleave, model.OrderFirstMiddleLast})

// Whatever the order, the chunk, the marks and the progress: every ready task
// is in one unit, once, and what is at the front comes before what is not.
func TestEveryReadyTaskIsInOneUnit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, 90).Draw(t, "tasks")
		g := &model.TaskGroup{Indices: model.Count(n), Order: kinds.Draw(t, "order")}
		s := &model.GroupStatus{Order: kinds.Draw(t, "override"), Stride: rapid.Int32Range(0, 12).Draw(t, "stride")}
		if rapid.Bool().Draw(t, "auto") {
			g.Indices.Auto, s.Pace.Size = true, rapid.Int64Range(0, 7).Draw(t, "size")
		} else {
			g.Indices.Chunk = rapid.Int64Range(0, 7).Draw(t, "chunk")
		}
		draw := func(label string) model.Set {
			var out model.Set
			for _, o := range rapid.SliceOf(rapid.Int64Range(0, n-1)).Draw(t, label) {
				out.Add(o)
			}
			return out
		}
		ready := draw("ready")
		s.Front, s.Back = draw("front"), draw("back")
		var seen model.Set
		past := false
		var order []int64
		for u := range Tasks(g, s, ready) {
			tasks := u.Chunk
			if tasks.Empty() {
				tasks = model.NewSet(u.Ordinal, u.Ordinal+1)
			}
			if first, _ := tasks.Min(); first != u.Ordinal || u.Chunk.Len() == 1 {
				t.Fatalf("unit %+v does not begin with its first task", u)
			}
			if !tasks.Subtract(ready).Empty() || !tasks.Intersect(seen).Empty() {
				t.Fatalf("unit %s holds what is not ready or comes twice; seen %s, ready %s", tasks, seen, ready)
			}
			if c := g.Indices.Chunk; c > 1 && u.Ordinal/c != (u.Ordinal+tasks.Len()-1)/c && tasks.Len() > c {
				t.Fatalf("unit %s is no part of a chunk of %d", tasks, c)
			}
			seen = seen.Union(tasks)
			order = append(order, u.Ordinal)
			atFront := !tasks.Intersect(s.Front).Empty()
			if atFront && past && g.Indices.Chunk <= 1 && !g.Indices.Auto {
				t.Fatalf("%s is at the front and comes late", tasks)
			}
			past = past || !atFront
		}
		if all := slices.Collect(ready.All()); Plain(g, s) && !slices.Equal(order, all) {
			t.Fatalf("plain tasks come as %v, want %v", order, all)
		}
		if !seen.Equal(ready) {
			t.Fatalf("the units hold %s, ready is %s", seen, ready)
		}
	})
}

// The first few of a million tasks cost little in every order.
func BenchmarkFirstOfAMillion(b *testing.B) {
	var ready model.Set
	for o := int64(0); o < model.MaxTasks; o += 1000 {
		ready.AddRange(o, o+500)
	}
	for _, kind := range []model.Order{model.OrderForward, model.OrderReverse, model.OrderInterleave, model.OrderFirstMiddleLast} {
		g := &model.TaskGroup{Indices: model.Count(model.MaxTasks), Order: kind}
		b.Run(kind.String(), func(b *testing.B) {
			for b.Loop() {
				n := 0
				for range Tasks(g, &model.GroupStatus{}, ready) {
					if n++; n == 100 {
						break
					}
				}
			}
		})
	}
}
