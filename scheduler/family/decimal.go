package family

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// The number of decimals that amounts and prices may have.
const (
	amountPlaces = 3
	pricePlaces  = 6
)

// maxWhole bounds the whole part of a decimal, so that no product of a catalogue number overflows.
const maxWhole = 1_000_000

// decimal is a non-negative number with up to three decimals, in thousandths. It is read from the
// digits of the file: 0.125 is 125 and no rounding can creep in.
type decimal struct {
	milli int64
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (d *decimal) UnmarshalYAML(node ast.Node) error {
	switch node.Type() {
	case ast.IntegerType, ast.FloatType:
	default:
		return errorAt(node, "expected a plain number such as 2 or 0.25")
	}
	milli, err := parseMilli(node.GetToken().Value)
	if err != nil {
		return errorAt(node, "%v", err)
	}
	d.milli = milli
	return nil
}

// parseMilli turns "3", "0.5" or "0.125" into thousandths.
func parseMilli(text string) (int64, error) { return parseDecimal(text, amountPlaces) }

// parseDecimal reads a number of up to so many decimals, at most 6, in units of the last.
func parseDecimal(text string, places int) (int64, error) {
	whole, frac, dotted := strings.Cut(text, ".")
	if dotted && frac == "" || len(frac) > places || !digits(whole) || !digits(frac) && frac != "" {
		return 0, fmt.Errorf("%q is not a number of up to %d decimals, such as 2 or 0.125", text, places)
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > maxWhole {
		return 0, fmt.Errorf("%q is larger than %d", text, maxWhole)
	}
	m, err := strconv.ParseInt((frac + "000000")[:places], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", text, err)
	}
	for range places {
		n *= 10
	}
	return n + m, nil
}

// price is a non-negative amount of money with up to six decimals, in millionths.
type price struct {
	micro int64
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (p *price) UnmarshalYAML(node ast.Node) error {
	switch node.Type() {
	case ast.IntegerType, ast.FloatType:
	default:
		return errorAt(node, "expected a plain number such as 2 or 0.0475")
	}
	micro, err := parseDecimal(node.GetToken().Value, pricePlaces)
	if err != nil {
		return errorAt(node, "%v", err)
	}
	p.micro = micro
	return nil
}

// digits reports whether s is a non-empty run of ASCII digits.
func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
