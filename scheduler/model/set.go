package model

import (
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Interval is the whole numbers from Lo up to but not including Hi.
type Interval struct{ Lo, Hi int64 }

// Set is a set of whole numbers kept as disjoint, ascending, non-touching
// intervals, so that a million neighbours cost one entry. The zero value is
// the empty set. Methods with a pointer receiver change the set in place; the
// others return new sets and share nothing with their operands. Membership is
// O(log n) in the number of intervals, insertion and removal O(n), the binary
// operations linear in the intervals of both sides.
type Set struct{ iv []Interval }

// NewSet returns the set of lo, lo+1, ... hi-1.
func NewSet(lo, hi int64) Set {
	if lo >= hi {
		return Set{}
	}
	return Set{iv: []Interval{{lo, hi}}}
}

// SetFromPairs builds a set from lo, hi, lo, hi, ... as Pairs writes it. It
// reports false when the pairs are not ascending, disjoint and non-empty.
func SetFromPairs(p []int64) (Set, bool) {
	if len(p)%2 != 0 {
		return Set{}, false
	}
	s := Set{iv: make([]Interval, 0, len(p)/2)}
	for i := 0; i < len(p); i += 2 {
		if p[i] >= p[i+1] || (i > 0 && p[i] <= p[i-1]) {
			return Set{}, false
		}
		s.iv = append(s.iv, Interval{p[i], p[i+1]})
	}
	return s, true
}

// Pairs returns the set as lo, hi, lo, hi, ...
func (s Set) Pairs() []int64 {
	if len(s.iv) == 0 {
		return nil
	}
	p := make([]int64, 0, 2*len(s.iv))
	for _, v := range s.iv {
		p = append(p, v.Lo, v.Hi)
	}
	return p
}

// Intervals returns the set's intervals; the caller must not change them.
func (s Set) Intervals() []Interval { return s.iv }

// Clone returns a copy.
func (s Set) Clone() Set { return Set{iv: slices.Clone(s.iv)} }

// Empty reports whether the set has no member.
func (s Set) Empty() bool { return len(s.iv) == 0 }

// Len returns the number of members.
func (s Set) Len() int64 {
	var n int64
	for _, v := range s.iv {
		n += v.Hi - v.Lo
	}
	return n
}

// Min returns the smallest member; ok is false for the empty set.
func (s Set) Min() (n int64, ok bool) {
	if len(s.iv) == 0 {
		return 0, false
	}
	return s.iv[0].Lo, true
}

// at returns the position of the first interval whose end lies beyond n.
func (s Set) at(n int64) int {
	return sort.Search(len(s.iv), func(i int) bool { return s.iv[i].Hi > n })
}

// Contains reports membership.
func (s Set) Contains(n int64) bool {
	i := s.at(n)
	return i < len(s.iv) && s.iv[i].Lo <= n
}

// ContainsRange reports whether all of lo ... hi-1 are members.
func (s Set) ContainsRange(lo, hi int64) bool {
	if lo >= hi {
		return true
	}
	i := s.at(lo)
	return i < len(s.iv) && s.iv[i].Lo <= lo && s.iv[i].Hi >= hi
}

// Add inserts n.
func (s *Set) Add(n int64) { s.AddRange(n, n+1) }

// AddRange inserts lo ... hi-1.
func (s *Set) AddRange(lo, hi int64) {
	if lo >= hi {
		return
	}
	// Every interval that overlaps or touches [lo, hi) is swallowed.
	i := sort.Search(len(s.iv), func(i int) bool { return s.iv[i].Hi >= lo })
	j := i
	for j < len(s.iv) && s.iv[j].Lo <= hi {
		lo, hi = min(lo, s.iv[j].Lo), max(hi, s.iv[j].Hi)
		j++
	}
	s.iv = slices.Replace(s.iv, i, j, Interval{lo, hi})
}

// Remove deletes n.
func (s *Set) Remove(n int64) { s.RemoveRange(n, n+1) }

// RemoveRange deletes lo ... hi-1.
func (s *Set) RemoveRange(lo, hi int64) {
	if lo >= hi {
		return
	}
	i := s.at(lo)
	j := i
	var rest [2]Interval
	kept := rest[:0]
	for j < len(s.iv) && s.iv[j].Lo < hi {
		if v := s.iv[j]; v.Lo < lo {
			kept = append(kept, Interval{v.Lo, lo})
		}
		if v := s.iv[j]; v.Hi > hi {
			kept = append(kept, Interval{hi, v.Hi})
		}
		j++
	}
	s.iv = slices.Replace(s.iv, i, j, kept...)
}

// Union returns the members of either set.
func (s Set) Union(t Set) Set {
	if len(s.iv) == 0 {
		return t.Clone()
	}
	out := make([]Interval, 0, len(s.iv)+len(t.iv))
	i, j := 0, 0
	for i < len(s.iv) || j < len(t.iv) {
		var v Interval
		if j == len(t.iv) || (i < len(s.iv) && s.iv[i].Lo <= t.iv[j].Lo) {
			v, i = s.iv[i], i+1
		} else {
			v, j = t.iv[j], j+1
		}
		if k := len(out) - 1; k >= 0 && v.Lo <= out[k].Hi {
			out[k].Hi = max(out[k].Hi, v.Hi)
		} else {
			out = append(out, v)
		}
	}
	return Set{iv: out}
}

// Intersect returns the members of both sets.
func (s Set) Intersect(t Set) Set {
	var out []Interval
	for i, j := 0, 0; i < len(s.iv) && j < len(t.iv); {
		lo, hi := max(s.iv[i].Lo, t.iv[j].Lo), min(s.iv[i].Hi, t.iv[j].Hi)
		if lo < hi {
			out = append(out, Interval{lo, hi})
		}
		if s.iv[i].Hi < t.iv[j].Hi {
			i++
		} else {
			j++
		}
	}
	return Set{iv: out}
}

// Subtract returns the members of s that are not in t.
func (s Set) Subtract(t Set) Set {
	var out []Interval
	j := 0
	for _, v := range s.iv {
		lo := v.Lo
		for j < len(t.iv) && t.iv[j].Hi <= lo {
			j++
		}
		for k := j; k < len(t.iv) && t.iv[k].Lo < v.Hi; k++ {
			if lo < t.iv[k].Lo {
				out = append(out, Interval{lo, t.iv[k].Lo})
			}
			lo = max(lo, t.iv[k].Hi)
		}
		if lo < v.Hi {
			out = append(out, Interval{lo, v.Hi})
		}
	}
	return Set{iv: out}
}

// First returns the set of its n smallest members.
func (s Set) First(n int64) Set {
	var out []Interval
	for _, v := range s.iv {
		if n <= 0 {
			break
		}
		hi := min(v.Hi, v.Lo+n)
		out = append(out, Interval{v.Lo, hi})
		n -= hi - v.Lo
	}
	return Set{iv: out}
}

// All yields the members in ascending order.
func (s Set) All() func(yield func(int64) bool) {
	return func(yield func(int64) bool) {
		for _, v := range s.iv {
			for n := v.Lo; n < v.Hi; n++ {
				if !yield(n) {
					return
				}
			}
		}
	}
}

// Equal reports whether both sets have the same members.
func (s Set) Equal(t Set) bool { return slices.Equal(s.iv, t.iv) }

// String writes the set as 0-3,7,9-10.
func (s Set) String() string {
	parts := make([]string, len(s.iv))
	for i, v := range s.iv {
		parts[i] = strconv.FormatInt(v.Lo, 10)
		if v.Hi-v.Lo > 1 {
			parts[i] += "-" + strconv.FormatInt(v.Hi-1, 10)
		}
	}
	return strings.Join(parts, ",")
}
