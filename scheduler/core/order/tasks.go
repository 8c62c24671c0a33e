package order

import (
	"cmp"
	"iter"
	"slices"

	"caravan/scheduler/model"
)

// Unit is what one allocation takes: a task, or a chunk of them.
type Unit struct {
	// Ordinal is the task's, or the least of the chunk's.
	Ordinal int64
	// Chunk are the tasks where there are several.
	Chunk model.Set
}

// Len returns the number of tasks.
func (u Unit) Len() int64 { return max(1, u.Chunk.Len()) }

// Plain reports whether Tasks would yield the ready tasks one by one by
// ascending ordinal, as it does for most groups.
func Plain(g *model.TaskGroup, s *model.GroupStatus) bool {
	kind, _ := g.OrderOf(s)
	return kind == model.OrderForward && !g.Indices.Auto && g.Indices.Chunk <= 1 && s.Front.Empty() && s.Back.Empty()
}

// Tasks yields what the allocations of a group take, in the order in which they
// start. Every ready task is in one unit at most, and in one unless the caller
// stops before or they are too scattered for their chunk. Work
// is done as units are asked for, so that the first few of a million cost
// little.
func Tasks(g *model.TaskGroup, s *model.GroupStatus, ready model.Set) iter.Seq[Unit] {
	kind, stride := g.OrderOf(s)
	chunk := max(1, g.Indices.Chunk)
	switch {
	case g.Indices.Auto:
		return joined(sequence(s, ready, kind, stride, g.Indices.Tasks()), s.Pace.Next())
	case chunk == 1:
		return func(yield func(Unit) bool) {
			for o := range sequence(s, ready, kind, stride, g.Indices.Tasks()) {
				if !yield(Unit{Ordinal: o}) {
					return
				}
			}
		}
	}
	blocks := model.GroupStatus{Front: blocksOf(s.Front, chunk), Back: blocksOf(s.Back.Subtract(s.Front), chunk)}
	return func(yield func(Unit) bool) {
		for b := range sequence(&blocks, blocksOf(ready, chunk), kind, stride, g.Indices.Allocations()) {
			if !yield(unit(ready.Intersect(model.NewSet(b*chunk, (b+1)*chunk)))) {
				return
			}
		}
	}
}

// maxRuns bounds the runs of neighbours that one chunk consists of, so that it
// fits into a log entry however scattered its tasks are.
const maxRuns = 1000

// unit is an allocation of some tasks, of which there is at least one. Of very
// scattered ones it leaves some for later.
func unit(tasks model.Set) Unit {
	if runs := tasks.Intervals(); len(runs) > maxRuns {
		tasks = tasks.Intersect(model.NewSet(runs[0].Lo, runs[maxRuns].Lo))
	}
	first, _ := tasks.Min()
	if tasks.Len() == 1 {
		return Unit{Ordinal: first}
	}
	return Unit{Ordinal: first, Chunk: tasks}
}

// blocksOf returns the fixed chunks that hold any of the tasks.
func blocksOf(tasks model.Set, chunk int64) model.Set {
	var out model.Set
	for _, v := range tasks.Intervals() {
		out.AddRange(v.Lo/chunk, (v.Hi-1)/chunk+1)
	}
	return out
}

// joined takes n tasks at a time.
func joined(tasks iter.Seq[int64], n int64) iter.Seq[Unit] {
	return func(yield func(Unit) bool) {
		var chunk model.Set
		for o := range tasks {
			if chunk.Add(o); chunk.Len() < n && len(chunk.Intervals()) < maxRuns {
				continue
			}
			if !yield(unit(chunk)) {
				return
			}
			chunk = model.Set{}
		}
		if !chunk.Empty() {
			yield(unit(chunk))
		}
	}
}

// sequence yields the ready ones of n things: first those at the front, last
// those at the back, each part in the order wanted.
func sequence(s *model.GroupStatus, ready model.Set, kind model.Order, stride, n int64) iter.Seq[int64] {
	if s.Front.Empty() && s.Back.Empty() {
		return walk(ready, kind, stride, n)
	}
	front := ready.Intersect(s.Front)
	back := ready.Intersect(s.Back).Subtract(front)
	parts := []model.Set{front, ready.Subtract(front).Subtract(back), back}
	return func(yield func(int64) bool) {
		for _, part := range parts {
			for o := range walk(part, kind, stride, n) {
				if !yield(o) {
					return
				}
			}
		}
	}
}

// walk yields the members of a set of numbers below n in one of the orders.
func walk(set model.Set, kind model.Order, stride, n int64) iter.Seq[int64] {
	switch kind {
	case model.OrderReverse:
		return reverse(set)
	case model.OrderInterleave:
		return interleave(set, min(stride, n))
	case model.OrderFirstMiddleLast:
		return bisect(set, n)
	}
	return set.All()
}

func reverse(set model.Set) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for _, v := range slices.Backward(set.Intervals()) {
			for o := v.Hi - 1; o >= v.Lo; o-- {
				if !yield(o) {
					return
				}
			}
		}
	}
}

// interleave yields the multiples of a stride, then what follows them by one,
// and so on. Where members lie so scattered that looking at each interval once
// for each remainder takes longer, they are sorted.
func interleave(set model.Set, stride int64) iter.Seq[int64] {
	if int64(len(set.Intervals()))*stride > 8*set.Len() {
		all := slices.Collect(set.All())
		slices.SortFunc(all, func(a, b int64) int { return cmp.Or(cmp.Compare(a%stride, b%stride), cmp.Compare(a, b)) })
		return slices.Values(all)
	}
	return func(yield func(int64) bool) {
		for rest := range stride {
			for _, v := range set.Intervals() {
				for o := v.Lo + (rest-v.Lo%stride+stride)%stride; o < v.Hi; o += stride {
					if !yield(o) {
						return
					}
				}
			}
		}
	}
}

// bisect yields 0, n-1, n/2, then n/4 and 3n/4, then the odd eighths, and so on
// until all numbers below n have had their turn, as far as they are in the set.
// Each level is found by arithmetic within the set's intervals.
func bisect(set model.Set, n int64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		if set.Contains(0) && !yield(0) || n > 1 && set.Contains(n-1) && !yield(n-1) {
			return
		}
		for parts := int64(2); parts <= 4*n; parts *= 2 {
			for _, v := range set.Intervals() {
				if !level(v, n, parts, yield) {
					return
				}
			}
		}
	}
}

// level yields the numbers n*k/parts with odd k within an interval that no
// coarser level has; it reports false once it is to stop.
func level(v model.Interval, n, parts int64, yield func(int64) bool) bool {
	last := int64(-1)
	for k := (v.Lo*parts+n-1)/n | 1; k < parts; k += 2 {
		o := n * k / parts
		if o >= v.Hi {
			return true
		}
		if o < v.Lo || o == last || o == 0 || o == n-1 || coarser(o, n, parts/2) {
			continue
		}
		last = o
		if !yield(o) {
			return false
		}
	}
	return true
}

// coarser reports whether o is n*k/parts for any k from 1 to parts-1.
func coarser(o, n, parts int64) bool {
	k := (o*parts + n - 1) / n
	return k >= 1 && k < parts && n*k/parts == o
}
