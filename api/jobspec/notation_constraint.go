package jobspec

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"caravan/api/caravanv1"
)

var attributeRegexp = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$`)

const conditionHint = `write a value, a list of values (any of them), "!x" (not x), a comparison such as ">=3", or exists`

// textAttribute says whether an attribute is always text, so that rack: 12
// means the rack named 12.
func textAttribute(name string) bool {
	return slices.Contains([]string{"family", "instance_type", "zone", "rack", "node", "simulated", "device", "kind", "vendor", "model"}, name)
}

// term is one constraint and where it stands.
type term struct {
	constraint *caravanv1.Constraint
	at         span
}

// constraintSet is conditions by attribute; []term, sorted by attribute and
// operator: the conditions are a set, and their order means nothing.
type constraintSet struct{}

func (constraintSet) words() string { return `a mapping of conditions, as in {family: [ga1, gn5]}` }

func (is constraintSet) read(r *reader, v *value, n ast.Node) {
	pairs, ok := r.entries(v, n)
	if !ok {
		r.reject(v, v.at, describe(n)+" stands where a mapping should", "write attribute: condition on each line, without a dash")
		return
	}
	if len(pairs) > maxValues {
		r.reject(v, v.at, fmt.Sprintf("has more than %d conditions", maxValues), "write fewer")
		return
	}
	var terms []term
	for _, e := range pairs {
		c := &value{name: e.name, path: join(v.path, e.name), key: e.key}
		if !attributeRegexp.MatchString(e.name) {
			r.report(e.key, c.path, quote(e.name)+" is not the name of an attribute", "write letters, digits and . _ / -, starting with a letter")
			continue
		}
		r.read(condition{e.name}, c, e.node)
		found, _ := as[[]term](c)
		terms = append(terms, found...)
	}
	sortTerms(terms)
	v.data = terms
}

// sortTerms puts conditions into the order of a message.
func sortTerms(terms []term) {
	slices.SortStableFunc(terms, func(a, b term) int {
		return cmp.Or(
			strings.Compare(a.constraint.GetAttribute(), b.constraint.GetAttribute()),
			cmp.Compare(a.constraint.GetOperator(), b.constraint.GetOperator()),
		)
	})
}

func (constraintSet) editor() map[string]any {
	return map[string]any{
		"type": "object", "maxProperties": maxValues,
		"propertyNames":        map[string]any{"pattern": attributeRegexp.String()},
		"additionalProperties": condition{}.editor(),
	}
}

// condition is the conditions on one attribute; []term.
type condition struct{ attribute string }

func (condition) words() string { return `a condition: a value, a list of values, "!x" or ">=3"` }

func (is condition) read(r *reader, v *value, n ast.Node) {
	nodes, ok := items(n)
	if !ok {
		nodes = []ast.Node{n}
	}
	if len(nodes) == 0 {
		r.reject(v, v.at, "is an empty list", "write a value, or remove the line")
		return
	}
	if len(nodes) > maxValues {
		r.reject(v, v.at, fmt.Sprintf("has %d values", len(nodes)), fmt.Sprintf("write at most %d", maxValues))
		return
	}
	var terms []term
	for i, item := range nodes {
		c := &value{path: v.path, key: v.at}
		if ok {
			c.path = fmt.Sprintf("%s[%d]", v.path, i)
			c.key = r.nodePlace(item, v.at)
		}
		r.read(singleCondition(is), c, item)
		found, ok := as[term](c)
		v.bad = v.bad || !ok
		terms = append(terms, found)
	}
	if v.bad {
		return
	}
	r.joinTerms(v, terms)
}

// joinTerms makes one list of alternatives out of single values: all plain, or
// all negated. Comparisons each stand for themselves.
func (r *reader) joinTerms(v *value, terms []term) {
	var joined []term
	for _, t := range terms {
		operator := t.constraint.GetOperator()
		alternatives := operator == caravanv1.Operator_OPERATOR_IN || operator == caravanv1.Operator_OPERATOR_NOT_IN
		i := slices.IndexFunc(joined, func(have term) bool { return have.constraint.GetOperator() == operator })
		switch {
		case i < 0:
			joined = append(joined, t)
		case alternatives:
			joined[i].constraint.Values = append(joined[i].constraint.Values, t.constraint.Values...)
		default:
			r.reject(v, t.at, "has the same comparison twice", "keep the stricter one")
			return
		}
	}
	if len(joined) > 1 && joined[0].constraint.GetOperator() != joined[1].constraint.GetOperator() {
		for _, t := range joined {
			if t.constraint.GetOperator() == caravanv1.Operator_OPERATOR_IN {
				r.reject(v, v.at, "mixes plain values with others", "plain values already exclude the rest: keep only those, or write all as \"!x\"")
				return
			}
		}
	}
	v.data = joined
}

func (condition) editor() map[string]any {
	one := anyText{}.editor()
	return map[string]any{"anyOf": []any{one, map[string]any{"type": "array", "minItems": 1, "maxItems": maxValues, "items": one}}}
}

// singleCondition is one value of a condition; term.
type singleCondition struct{ attribute string }

func (singleCondition) words() string { return condition{}.words() }

func (is singleCondition) read(r *reader, v *value, n ast.Node) {
	text, ok := r.scalar(v, n, is)
	if !ok {
		return
	}
	c, err := parseCondition(is.attribute, text, quoted(n))
	if err != nil {
		r.rejectText(v, n, text, err)
		return
	}
	v.data = term{constraint: c, at: v.at}
}

func (singleCondition) editor() map[string]any { return anyText{}.editor() }

// comparisons lists the operators before a value, longest first.
func comparisons() []struct {
	sign     string
	operator caravanv1.Operator
} {
	return []struct {
		sign     string
		operator caravanv1.Operator
	}{
		{">=", caravanv1.Operator_OPERATOR_AT_LEAST},
		{"<=", caravanv1.Operator_OPERATOR_AT_MOST},
		{">", caravanv1.Operator_OPERATOR_ABOVE},
		{"<", caravanv1.Operator_OPERATOR_BELOW},
	}
}

// parseCondition reads one condition. isText says that the value stood in
// quotes, so that "8" is a text while 8 is a number.
func parseCondition(attribute, text string, isText bool) (*caravanv1.Constraint, *SyntaxError) {
	c := &caravanv1.Constraint{Attribute: attribute, Operator: caravanv1.Operator_OPERATOR_IN}
	for _, comparison := range comparisons() {
		operand, ok := strings.CutPrefix(text, comparison.sign)
		if !ok {
			continue
		}
		if textAttribute(attribute) {
			return nil, wrong(fmt.Sprintf("%s is text and cannot be compared by %s", attribute, comparison.sign), conditionHint)
		}
		operand = strings.TrimSpace(operand)
		milli, err := parseOperand(operand)
		if err != nil {
			return nil, err
		}
		c.Operator, c.Values = comparison.operator, []*caravanv1.AttributeValue{number(milli)}
		return c, nil
	}
	switch {
	case text == "exists" && !isText, text == "*":
		c.Operator = caravanv1.Operator_OPERATOR_EXISTS
		return c, nil
	case strings.HasPrefix(text, "!"):
		c.Operator = caravanv1.Operator_OPERATOR_NOT_IN
		text = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(text, "!"), "="))
		isText = false // the quotes were needed for the "!"
	case strings.HasPrefix(text, "="):
		text = text[1:]
	}
	// An apostrophe on both sides keeps a number text where the quotes are taken.
	if len(text) >= 2 && text[0] == '\'' && text[len(text)-1] == '\'' {
		text, isText = text[1:len(text)-1], true
	}
	if text == "" {
		return nil, wrong("names no value", conditionHint)
	}
	if !isText && looksNumber(attribute, text) {
		milli, err := parseOperand(text)
		if err != nil {
			return nil, err
		}
		c.Values = []*caravanv1.AttributeValue{number(milli)}
		return c, nil
	}
	c.Values = []*caravanv1.AttributeValue{{Value: &caravanv1.AttributeValue_Text{Text: text}}}
	return c, nil
}

// sizeAttribute says whether an attribute counts in MiB, so that 12GiB is a
// number for it.
func sizeAttribute(name string) bool { return name == "memory" || name == "disk" }

// looksNumber says whether a text is a number for the attribute.
func looksNumber(attribute, text string) bool {
	if textAttribute(attribute) {
		return false
	}
	digits := leadingNumber.FindString(text)
	_, isSize := sizeUnit(strings.TrimSpace(text[len(digits):]))
	return decimalPattern.MatchString(text) || isSize && decimalPattern.MatchString(digits) && sizeAttribute(attribute)
}

// parseOperand reads the number of a comparison as thousandths; a size counts
// in MiB, the unit of every memory attribute.
func parseOperand(text string) (int64, *SyntaxError) {
	if unit := strings.TrimSpace(strings.TrimPrefix(text, leadingNumber.FindString(text))); unit != "" {
		if _, isSize := sizeUnit(unit); isSize {
			mib, err := parseSize(text)
			if err != nil || mib > maxDiskMiB {
				return 0, wrong(quote(text)+" is not a size", "write a size, as in 12GiB")
			}
			return mib * 1000, nil
		}
	}
	return milli(text, "a number, or a size such as 12GiB", "its unit")
}

func number(milli int64) *caravanv1.AttributeValue {
	return &caravanv1.AttributeValue{Value: &caravanv1.AttributeValue_Milli{Milli: milli}}
}

// deviceMemory is a size that is held (int64 MiB) or a condition ([]term).
type deviceMemory struct{}

func (deviceMemory) words() string { return `a size such as 8GiB, or a comparison such as ">=12GiB"` }

func (is deviceMemory) read(r *reader, v *value, n ast.Node) {
	if text, ok := n.(*ast.StringNode); ok && strings.ContainsAny(text.Value[:min(1, len(text.Value))], "<>=!") {
		condition{"memory"}.read(r, v, n)
		return
	}
	if _, ok := items(n); ok {
		condition{"memory"}.read(r, v, n)
		return
	}
	size{1, maxMemoryMiB}.read(r, v, n)
}

func (deviceMemory) editor() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "string", "pattern": `^([<>]=?|!)? ?` + sizePattern},
		map[string]any{"type": "array", "minItems": 1, "maxItems": maxValues, "items": anyText{}.editor()},
	}}
}
