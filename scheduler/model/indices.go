package model

import (
	"strconv"
	"strings"
)

// Range holds First, First+Step, ... up to and including Last, which is always
// a member. Step is never 0 and is negative when the range runs downwards.
type Range struct{ First, Last, Step int64 }

// Len returns the number of members.
func (r Range) Len() int64 {
	if r.Step == 0 || (r.Last-r.First)/r.Step < 0 {
		return 0
	}
	return (r.Last-r.First)/r.Step + 1
}

// Position returns where v stands in the range, from 0.
func (r Range) Position(v int64) (pos int64, ok bool) {
	d := v - r.First
	if r.Step == 0 || d%r.Step != 0 {
		return 0, false
	}
	pos = d / r.Step
	return pos, pos >= 0 && pos < r.Len()
}

// Indices is a group's array: ranges of user-visible indices in the order of
// the job file. Each index is a task, known by its ordinal, which is its
// position in that order.
type Indices struct {
	Ranges []Range
	// Chunk is how many tasks one allocation takes: ordinals 0 to Chunk-1, Chunk
	// to 2*Chunk-1 and so on, less those that do not wait. 0 counts as 1.
	Chunk int64
	// Auto lets the scheduler choose how many tasks an allocation takes, from any
	// place; Chunk is 1.
	Auto bool
}

// Count returns the indices of `count: n`, which are 0 to n-1.
func Count(n int64) Indices {
	return Indices{Ranges: []Range{{First: 0, Last: n - 1, Step: 1}}, Chunk: 1}
}

// Len returns the number of indices.
func (x Indices) Len() int64 {
	var n int64
	for _, r := range x.Ranges {
		n += r.Len()
	}
	return n
}

// Tasks returns the number of tasks.
func (x Indices) Tasks() int64 { return x.Len() }

// Allocations returns how many allocations it takes to run every task once,
// where that is known beforehand; with Auto it is the number of tasks.
func (x Indices) Allocations() int64 { return (x.Len() + x.chunk() - 1) / x.chunk() }

func (x Indices) chunk() int64 { return max(1, x.Chunk) }

// At returns the index of the task with that ordinal.
func (x Indices) At(pos int64) (index int64, ok bool) {
	for _, r := range x.Ranges {
		if n := r.Len(); pos < n {
			return r.First + pos*r.Step, pos >= 0
		} else {
			pos -= n
		}
	}
	return 0, false
}

// Ordinal returns the task that works on an index.
func (x Indices) Ordinal(index int64) (ordinal int64, ok bool) {
	var base int64
	for _, r := range x.Ranges {
		if p, ok := r.Position(index); ok {
			return base + p, true
		}
		base += r.Len()
	}
	return 0, false
}

// Of returns the indices of tasks, in order of their ordinals.
func (x Indices) Of(tasks Set) []int64 {
	out := make([]int64, 0, tasks.Len())
	for o := range tasks.All() {
		if v, ok := x.At(o); ok {
			out = append(out, v)
		}
	}
	return out
}

// OrdinalsOf returns the tasks whose indices lie in ascending or descending
// ranges. The cost follows the ranges on both sides, not the tasks, but where
// the strides differ.
func (x Indices) OrdinalsOf(ranges []Range) Set {
	from := Indices{Ranges: ranges}
	return project(from, NewSet(0, from.Len()), x)
}

// wholeChunks returns the tasks of all chunks that a set has a part of.
func (x Indices) wholeChunks(tasks Set) Set {
	c, n := x.chunk(), x.Len()
	if c == 1 {
		return tasks
	}
	var out Set
	for _, v := range tasks.iv {
		out.AddRange(v.Lo/c*c, min((v.Hi+c-1)/c*c, n))
	}
	return out
}

// String writes the array as a job file does: 1-250:2,300.
func (x Indices) String() string {
	parts := make([]string, len(x.Ranges))
	for i, r := range x.Ranges {
		parts[i] = strconv.FormatInt(r.First, 10)
		if r.Len() > 1 {
			parts[i] += "-" + strconv.FormatInt(r.Last, 10)
		}
		if r.Step != 1 && r.Step != -1 {
			parts[i] += ":" + strconv.FormatInt(max(r.Step, -r.Step), 10)
		}
	}
	return strings.Join(parts, ",")
}
