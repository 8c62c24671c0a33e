package model

import (
	"fmt"
	"strings"
	"testing"
)

func sweep() Matrix {
	return Matrix{{Name: "lr", Values: []string{"0.1", "0.01"}}, {Name: "seed", Range: Range{First: 9, Last: 1, Step: -4}}}
}

func TestTheLastAxisOfASweepVariesFastest(t *testing.T) {
	m := sweep()
	var got []string
	for i := range m.Points() {
		got = append(got, strings.Join(m.At(i), "/"))
	}
	if want := "0.1/9 0.1/5 0.1/1 0.01/9 0.01/5 0.01/1"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	for _, i := range []int64{-1, 6} {
		if at := m.At(i); at != nil {
			t.Errorf("point %d is %v", i, at)
		}
	}
}

func TestAxesAreDescribedBriefly(t *testing.T) {
	for _, c := range []struct {
		axis Axis
		want string
	}{
		{sweep()[0], "0.1, 0.01"},
		{sweep()[1], "9..1:4"},
		{Axis{Range: Range{First: 0, Last: 9, Step: 1}}, "0..9"},
		{Axis{Range: Range{First: 0, Last: 1, Step: 1}}, "0, 1"},
		{Axis{Values: strings.Split("a b c d e f g h", " ")}, "a, b, c, d, e, f, ... h"},
	} {
		if got := c.axis.Describe(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestASweepIsChecked(t *testing.T) {
	group := func(m Matrix, x Indices) []FieldError {
		g := TaskGroup{Name: "main", Indices: x, Matrix: m, Variants: []Variant{{Name: "v", Driver: DriverSim, SpeedPermille: 1000, Resources: Resources{CPUMilli: 1}}}}
		return Validate(&JobSpec{Name: "s", Groups: []TaskGroup{g}})
	}
	wide := Range{First: 0, Last: 1999, Step: 1}
	for _, c := range []struct {
		name string
		m    Matrix
		x    Indices
		want string
	}{
		{"good", sweep(), Count(6), ""},
		{"other indices", sweep(), Count(5), "6 points"},
		{"too many points", Matrix{{Name: "a", Range: wide}, {Name: "b", Range: wide}}, Count(1), "1000001 points"},
		{"an axis twice", Matrix{{Name: "a", Values: []string{"1"}}, {Name: "A", Values: []string{"1"}}}, Count(1), "two axes"},
		{"a value twice", Matrix{{Name: "a", Values: []string{"1", "1"}}}, Count(2), "twice"},
		{"no values", Matrix{{Name: "a"}}, Count(1), "no values"},
		{"no name", Matrix{{Name: "a-b", Values: []string{"1"}}}, Count(1), "no name"},
	} {
		got := fmt.Sprint(group(c.m, c.x))
		if c.want == "" && got != "[]" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %q", c.name, got, c.want)
		}
	}
}
