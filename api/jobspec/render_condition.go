package jobspec

import (
	"strings"

	"caravan/api/caravanv1"
)

// conditionsByAttribute sorts conditions as Parse does and groups them.
func conditionsByAttribute(constraints []*caravanv1.Constraint) [][]*caravanv1.Constraint {
	terms := make([]term, 0, len(constraints))
	for _, c := range constraints {
		terms = append(terms, term{constraint: c})
	}
	sortTerms(terms)
	var grouped [][]*caravanv1.Constraint
	for i, t := range terms {
		if i == 0 || terms[i-1].constraint.GetAttribute() != t.constraint.GetAttribute() {
			grouped = append(grouped, nil)
		}
		last := len(grouped) - 1
		grouped[last] = append(grouped[last], t.constraint)
	}
	return grouped
}

func (w *writer) constraints(name string, constraints []*caravanv1.Constraint) {
	w.nest(name, func(w *writer) {
		for _, attribute := range conditionsByAttribute(plainConditions(constraints)) {
			w.condition(attribute)
		}
	})
}

// condition writes all conditions on one attribute.
func (w *writer) condition(constraints []*caravanv1.Constraint) {
	var written []string
	for _, c := range constraints {
		written = append(written, formatCondition(c)...)
	}
	if len(written) == 1 {
		w.plain(constraints[0].GetAttribute(), written[0])
		return
	}
	w.plain(constraints[0].GetAttribute(), "["+strings.Join(written, ", ")+"]")
}

// signOf gives the sign that a comparison is written with, "" for none.
func signOf(operator caravanv1.Operator) string {
	for _, c := range comparisons() {
		if c.operator == operator {
			return c.sign
		}
	}
	return ""
}

// formatCondition gives the values of a condition as YAML scalars.
func formatCondition(c *caravanv1.Constraint) []string {
	if c.GetOperator() == caravanv1.Operator_OPERATOR_EXISTS {
		return []string{"exists"}
	}
	sign := signOf(c.GetOperator())
	if c.GetOperator() == caravanv1.Operator_OPERATOR_NOT_IN {
		sign = "!"
	}
	written := make([]string, 0, len(c.GetValues()))
	for _, v := range c.GetValues() {
		_, isText := v.GetValue().(*caravanv1.AttributeValue_Text)
		switch {
		case isText:
			written = append(written, quoteYAML(sign+protectText(c.GetAttribute(), v.GetText(), sign)))
		case sign == "":
			written = append(written, formatNumber(c.GetAttribute(), v.GetMilli()))
		default:
			written = append(written, quoteYAML(sign+formatNumber(c.GetAttribute(), v.GetMilli())))
		}
	}
	return written
}

// formatNumber writes the number of a condition, a size for what is counted in MiB.
func formatNumber(attribute string, milli int64) string {
	if sizeAttribute(attribute) && milli%1000 == 0 && milli <= maxDiskMiB*1000 {
		return formatSize(milli / 1000)
	}
	return formatMilli(milli)
}

// protectText keeps a text from being read as an operator, as a number, or
// without its outer spaces.
func protectText(attribute, text, sign string) string {
	if sign == "" {
		if strings.ContainsAny(text[:min(1, len(text))], "!=<>") || isApostrophed(text) || text == "*" {
			return "=" + wrapApostrophed(text)
		}
		return text
	}
	if looksNumber(attribute, text) || isApostrophed(text) || strings.HasPrefix(text, "=") || strings.TrimSpace(text) != text {
		return "'" + text + "'"
	}
	return text
}

func isApostrophed(text string) bool {
	return len(text) >= 2 && text[0] == '\'' && text[len(text)-1] == '\''
}

func wrapApostrophed(text string) string {
	if isApostrophed(text) {
		return "'" + text + "'"
	}
	return text
}
