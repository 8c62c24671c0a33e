package model

import (
	"slices"
	"strconv"
	"strings"
)

// Attribute is a text or a number in thousandths of its unit.
type Attribute struct {
	Number bool
	Text   string
	Milli  int64
}

// Text returns a textual attribute.
func Text(s string) Attribute { return Attribute{Text: s} }

// Milli returns a numeric attribute of n thousandths.
func Milli(n int64) Attribute { return Attribute{Number: true, Milli: n} }

// String writes the attribute as a user would, e.g. 0.25 for 250 thousandths.
func (a Attribute) String() string {
	if !a.Number {
		return a.Text
	}
	return FormatMilli(a.Milli)
}

// FormatMilli writes n thousandths as a decimal without trailing zeros.
func FormatMilli(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	s := sign + strconv.FormatInt(n/1000, 10)
	if f := n % 1000; f != 0 {
		frac := strconv.FormatInt(1000+f, 10)[1:]
		s += "." + strings.TrimRight(frac, "0")
	}
	return s
}

// Operator compares an attribute with a constraint's values.
type Operator uint8

// Operators. In and NotIn take one or more values, the comparisons exactly one
// number, Exists none. Where takes none either: its attribute is the text of an
// expression, and what it says of a node or a device is in their Truths.
const (
	In Operator = iota + 1
	NotIn
	AtLeast
	AtMost
	Above
	Below
	Exists
	Where
)

var operatorSigns = [...]string{"", "", "!", ">=", "<=", ">", "<", "*", ""}

// Constraint is a condition on one attribute of a node or a device. An absent
// attribute satisfies NotIn alone.
type Constraint struct {
	Attribute string
	Operator  Operator
	Values    []Attribute
}

// Holds reports whether the condition is met by the attribute (ok says
// whether there is one).
func (c *Constraint) Holds(a Attribute, ok bool) bool {
	switch c.Operator {
	case Exists:
		return ok
	case Where:
		return ok && a == Text("true")
	case In:
		return ok && slices.Contains(c.Values, a)
	case NotIn:
		return !ok || !slices.Contains(c.Values, a)
	}
	if !ok || !a.Number || len(c.Values) != 1 {
		return false
	}
	v := c.Values[0].Milli
	switch c.Operator {
	case AtLeast:
		return a.Milli >= v
	case AtMost:
		return a.Milli <= v
	case Above:
		return a.Milli > v
	case Below:
		return a.Milli < v
	}
	return false
}

// String writes the condition as in a job file: "family ga1|gn5", "memory >=12",
// "where node.cpu >= 32.0".
func (c *Constraint) String() string {
	if c.Operator == Where {
		return "where " + strings.Join(strings.Fields(c.Attribute), " ")
	}
	words := make([]string, len(c.Values))
	for i, v := range c.Values {
		words[i] = v.String()
		if c.Attribute == "memory" && v.Number {
			words[i] = FormatMiB(v.Milli / 1000)
		}
	}
	sign := "?"
	if int(c.Operator) < len(operatorSigns) {
		sign = operatorSigns[c.Operator]
	}
	return c.Attribute + " " + sign + strings.Join(words, "|")
}

// FormatMiB writes an amount of memory or disk with the largest unit that
// leaves it whole, MiB, GiB or TiB.
func FormatMiB(n int64) string {
	switch {
	case n != 0 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "TiB"
	case n != 0 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + "GiB"
	}
	return strconv.FormatInt(n, 10) + "MiB"
}

// HasExpressions reports whether any condition of the job is an expression.
func (s *JobSpec) HasExpressions() bool {
	expression := func(c Constraint) bool { return c.Operator == Where }
	for g := range s.Groups {
		group := &s.Groups[g]
		if slices.ContainsFunc(group.Constraints, expression) {
			return true
		}
		for v := range group.Variants {
			variant := &group.Variants[v]
			if slices.ContainsFunc(variant.Constraints, expression) {
				return true
			}
			for d := range variant.Resources.Devices {
				if slices.ContainsFunc(variant.Resources.Devices[d].Constraints, expression) {
					return true
				}
			}
		}
	}
	return false
}
