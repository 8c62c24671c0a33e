package model

import (
	"cmp"
	"math/bits"
	"slices"
	"sort"
)

// project returns the tasks of array b that hold an index of the given tasks
// of array a.
//
// The tasks become runs of index values, each an arithmetic progression. A progression and a range of b have in
// common another progression, which number theory names without walking
// either: values congruent to both. Its positions in b are evenly spaced, and
// where they are neighbours, they are one interval. So a pair of runs costs a
// few divisions, and single tasks are only counted out where they really lie
// apart.
func project(a Indices, tasks Set, b Indices) Set {
	targets := targetsOf(b)
	var hits hits
	positions := tasks.iv
	var base int64 // position in a where the range begins
	for _, r := range a.Ranges {
		end := base + r.Len()
		for len(positions) > 0 && positions[0].Hi <= base {
			positions = positions[1:]
		}
		for i := 0; i < len(positions) && positions[i].Lo < end; i++ {
			lo, hi := max(positions[i].Lo, base), min(positions[i].Hi, end)
			targets.meet(runOf(r, lo-base, hi-base), &hits)
		}
		base = end
	}
	return hits.set()
}

// run is the index values first, first+step, ... last, with step above 0.
type run struct{ first, last, step int64 }

// runOf returns the values at positions lo ... hi-1 of a range, ascending.
func runOf(r Range, lo, hi int64) run {
	v := run{first: r.First + lo*r.Step, last: r.First + (hi-1)*r.Step, step: r.Step}
	if v.step < 0 {
		v.first, v.last, v.step = v.last, v.first, -v.step
	}
	return v
}

// target is a range of the array that is projected on.
type target struct {
	run
	// base is the array position of the range's first member in file order;
	// down says that positions fall as values rise.
	base, count int64
	down        bool
}

// targets are the ranges of an array by their least value.
type targets struct {
	list []target
	// reach[i] is the greatest value of list[0] ... list[i]: what lets a search
	// pass over the ranges that end too early.
	reach []int64
}

func targetsOf(x Indices) targets {
	var t targets
	var base int64
	for _, r := range x.Ranges {
		if n := r.Len(); n > 0 {
			t.list = append(t.list, target{run: runOf(r, 0, n), base: base, count: n, down: r.Step < 0})
			base += n
		}
	}
	slices.SortFunc(t.list, func(a, b target) int { return cmp.Compare(a.first, b.first) })
	for i := range t.list {
		t.reach = append(t.reach, t.list[i].last)
		if i > 0 {
			t.reach[i] = max(t.reach[i], t.reach[i-1])
		}
	}
	return t
}

// meet adds what a run has in common with the ranges.
func (t *targets) meet(r run, h *hits) {
	from := sort.Search(len(t.reach), func(i int) bool { return t.reach[i] >= r.first })
	for i := from; i < len(t.list) && t.list[i].first <= r.last; i++ {
		t.list[i].meet(r, h)
	}
}

// meet adds the positions of the range's members that are values of the run.
func (t *target) meet(r run, h *hits) {
	first, ok := common(r, t.run)
	last := min(r.last, t.last)
	if !ok || first > last {
		return
	}
	// Common values lie lcm(r.step, t.step) apart: every apart-th member of t.
	apart := r.step / gcd(r.step, t.step)
	n := (last-first)/t.step/apart + 1
	pos := (first - t.first) / t.step
	if t.down {
		pos = t.count - 1 - pos - (n-1)*apart
	}
	h.add(t.base+pos, n, apart)
}

// common returns the least value of both progressions, their ends aside, that
// is not below the first of either; ok is false when they never meet.
func common(a, b run) (v int64, ok bool) {
	g := gcd(a.step, b.step)
	if (b.first-a.first)%g != 0 {
		return 0, false
	}
	// a.first + k*a.step = b.first (mod b.step) has the one solution k modulo m.
	m := b.step / g
	k := mulMod(mod((b.first-a.first)/g, m), inverse(mod(a.step/g, m), m), m)
	// Start from the first value of a that is not below b.first, and from the
	// next k at or after it: at most m-1 further.
	skip := int64(0)
	if b.first > a.first {
		skip = (b.first - a.first + a.step - 1) / a.step
	}
	k = skip + mod(k-skip, m)
	if k > (min(a.last, b.last)-a.first)/a.step {
		return 0, false
	}
	return a.first + k*a.step, true
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// mod returns a modulo m, never negative.
func mod(a, m int64) int64 {
	if a %= m; a < 0 {
		a += m
	}
	return a
}

// mulMod returns a*b modulo m for a and b from 0 to m-1, however large.
func mulMod(a, b, m int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return int64(bits.Rem64(hi, lo, uint64(m)))
}

// inverse returns the x with a*x = 1 modulo m, for a and m without a common
// divisor.
func inverse(a, m int64) int64 {
	x, next, rest := int64(0), int64(1), m
	for a != 0 {
		q := rest / a
		rest, a = a, rest%a
		x, next = next, x-q*next
	}
	return mod(x, m)
}

// hits collects tasks, in any order, as intervals.
type hits struct{ iv []Interval }

// add enters n tasks, the first at pos and each `apart` from the one before.
func (h *hits) add(pos, n, apart int64) {
	if apart == 1 {
		h.interval(pos, pos+n-1)
		return
	}
	for range n {
		h.interval(pos, pos)
		pos += apart
	}
}

// interval enters tasks first ... last, joining them to the interval before
// where they follow it.
func (h *hits) interval(first, last int64) {
	if k := len(h.iv) - 1; k >= 0 && h.iv[k].Lo <= first && first <= h.iv[k].Hi {
		h.iv[k].Hi = max(h.iv[k].Hi, last+1)
		return
	}
	h.iv = append(h.iv, Interval{first, last + 1})
}

// set puts the intervals in order and joins those that overlap or touch.
func (h *hits) set() Set {
	slices.SortFunc(h.iv, func(a, b Interval) int { return cmp.Compare(a.Lo, b.Lo) })
	out := h.iv[:0]
	for _, v := range h.iv {
		if k := len(out) - 1; k >= 0 && v.Lo <= out[k].Hi {
			out[k].Hi = max(out[k].Hi, v.Hi)
		} else {
			out = append(out, v)
		}
	}
	return Set{iv: out}
}
