package model

import (
	"slices"
	"strconv"
	"strings"
)

// Limits on a sweep.
const (
	MaxAxes       = 16
	MaxAxisValues = 10_000
)

// Matrix is the axes of a sweep. Its points are the combinations of the axes'
// values, numbered from 0; the last axis varies fastest. What is kept are the
// axes, so that a sweep's size does not depend on the number of its points.
type Matrix []Axis

// Axis is one parameter of a sweep: a list of texts, or, when that is empty, a
// range of whole numbers.
type Axis struct {
	Name   string
	Values []string
	Range  Range
}

// Len returns the number of values.
func (a *Axis) Len() int64 {
	if len(a.Values) > 0 {
		return int64(len(a.Values))
	}
	return a.Range.Len()
}

// At returns value i, counted from 0.
func (a *Axis) At(i int64) string {
	if len(a.Values) > 0 {
		return a.Values[i]
	}
	return strconv.FormatInt(a.Range.First+i*a.Range.Step, 10)
}

// find returns the position of a value, or -1.
func (a *Axis) find(value string) int64 {
	for i := range a.Len() {
		if a.At(i) == value {
			return i
		}
	}
	return -1
}

// Points returns the number of combinations, MaxTasks + 1 for any that are more.
func (m Matrix) Points() int64 {
	n := int64(1)
	for i := range m {
		if n *= m[i].Len(); n > MaxTasks {
			return MaxTasks + 1
		}
	}
	return n
}

// At returns the values of a point in the order of the axes; nil for a number
// that is no point.
func (m Matrix) At(point int64) []string {
	if len(m) == 0 || point < 0 || point >= m.Points() {
		return nil
	}
	out := make([]string, len(m))
	for i := len(m) - 1; i >= 0; i-- {
		n := m[i].Len()
		out[i] = m[i].At(point % n)
		point /= n
	}
	return out
}

// AxisCondition demands one of some values of an axis.
type AxisCondition struct {
	Axis   string
	Values []string
}

// Select returns the points that meet all conditions. It fails for an
// axis or a value that the sweep does not have.
func (m Matrix) Select(conditions []AxisCondition) (Set, *Error) {
	chosen := make([][]int64, len(m))
	for _, c := range conditions {
		at := m.axis(c.Axis)
		if at < 0 {
			return Set{}, m.fault(c.Axis, "the sweep has no axis "+strconv.Quote(c.Axis), "its axes are "+m.names())
		}
		for _, v := range c.Values {
			i := m[at].find(v)
			if i < 0 {
				return Set{}, m.fault(c.Axis, "axis "+c.Axis+" has no value "+strconv.Quote(v), "its values are "+m[at].Describe())
			}
			chosen[at] = append(chosen[at], i)
		}
	}
	points := NewSet(0, 1)
	for i := range m {
		slices.Sort(chosen[i])
		points = m[i].spread(points, chosen[i])
	}
	return points, nil
}

// spread multiplies the points of the axes before by some values of this one;
// nil means all values.
func (a *Axis) spread(before Set, chosen []int64) Set {
	n := a.Len()
	var out Set
	for _, v := range before.Intervals() {
		if chosen == nil {
			out.AddRange(v.Lo*n, v.Hi*n)
			continue
		}
		for p := v.Lo; p < v.Hi; p++ {
			for _, i := range chosen {
				out.Add(p*n + i)
			}
		}
	}
	return out
}

func (m Matrix) axis(name string) int {
	for i := range m {
		if m[i].Name == name {
			return i
		}
	}
	return -1
}

func (m Matrix) names() string {
	var names []string
	for i := range m {
		names = append(names, m[i].Name)
	}
	if names == nil {
		return "none: the group is no sweep"
	}
	return strings.Join(names, ", ")
}

func (Matrix) fault(axis, message, hint string) *Error {
	return &Error{Kind: KindInvalid, Subject: "matrix." + axis, Message: message, Hint: hint}
}

// describedValues is how many values are written out.
const describedValues = 6

// Describe writes the axis's values for people, the middle of a long list left out.
func (a *Axis) Describe() string {
	n := a.Len()
	if len(a.Values) == 0 && n > 2 {
		text := strconv.FormatInt(a.Range.First, 10) + ".." + strconv.FormatInt(a.Range.Last, 10)
		if step := max(a.Range.Step, -a.Range.Step); step != 1 {
			text += ":" + strconv.FormatInt(step, 10)
		}
		return text
	}
	var values []string
	for i := range min(n, describedValues) {
		values = append(values, a.At(i))
	}
	if n > describedValues {
		values = append(values, "... "+a.At(n-1))
	}
	return strings.Join(values, ", ")
}
