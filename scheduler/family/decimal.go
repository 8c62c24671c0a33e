package family

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
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
func parseMilli(text string) (int64, error) {
	whole, frac, dotted := strings.Cut(text, ".")
	if dotted && frac == "" || len(frac) > 3 || !digits(whole) || !digits(frac) && frac != "" {
		return 0, fmt.Errorf("%q is not a number of up to three decimals, such as 2 or 0.125", text)
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > maxWhole {
		return 0, fmt.Errorf("%q is larger than %d", text, maxWhole)
	}
	m, err := strconv.ParseInt((frac + "000")[:3], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", text, err)
	}
	return n*1000 + m, nil
}

// digits reports whether s is a non-empty run of ASCII digits.
func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
