package jobspec

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"caravan/api/caravanv1"
	"caravan/api/where"
)

// expression is a condition in the language of package where; term.
type expression struct{ subject where.Subject }

func (is expression) words() string {
	if is.subject == where.OnDevice {
		return "an expression, as in device.memory >= 12 * GiB"
	}
	return "an expression, as in node.cpu >= 32"
}

func (is expression) read(r *reader, v *value, n ast.Node) {
	text, ok := r.scalar(v, n, is)
	if !ok {
		return
	}
	if text = strings.TrimSpace(text); text == "" {
		r.reject(v, v.at, "is empty", "write "+is.words())
		return
	}
	if r.expressions == nil {
		checker, err := where.New()
		if err != nil {
			r.reject(v, v.at, "cannot be checked: "+err.Error(), "this is a defect of the program")
			return
		}
		r.expressions = checker
	}
	_, err := r.expressions.Compile(is.subject, text)
	if fault, ok := errors.AsType[*where.Fault](err); ok {
		r.rejectExpression(v, n, text, fault)
		return
	}
	v.data = term{at: v.at, constraint: &caravanv1.Constraint{Attribute: text, Operator: caravanv1.Operator_OPERATOR_WHERE}}
}

func (expression) editor() map[string]any {
	return map[string]any{"type": "string", "minLength": 1, "maxLength": where.MaxBytes}
}

// rejectExpression rejects v at the place in the file of a fault in its text: on
// its line of a literal block, or in a text that stands on one line as it is.
func (r *reader) rejectExpression(v *value, n ast.Node, text string, fault *where.Fault) {
	if _, block := n.(*ast.LiteralNode); block && fault.Line > 0 {
		if at, ok := r.inBlock(v.at, text, fault); ok {
			r.reject(v, at, fault.Message, fault.Hint)
			return
		}
	}
	width := fault.Width
	if fault.Line != 1 || strings.Contains(text, "\n") {
		width = 0
	}
	r.rejectText(v, n, text, &SyntaxError{Col: fault.Col, Width: width, Message: fault.Message, Hint: fault.Hint})
}

// inBlock finds a fault's place when the lines of a text stand below `at` as they
// are, each as far in as the first.
func (r *reader) inBlock(at span, text string, fault *where.Fault) (span, bool) {
	lines := strings.Split(text, "\n")
	from := at.line // the line after the sign of the block, counted from 0
	for from < len(r.lines) && strings.TrimSpace(r.lines[from]) == "" {
		from++
	}
	if from+len(lines) > len(r.lines) {
		return span{}, false
	}
	indent := strings.Index(r.lines[from], lines[0])
	if indent < 0 {
		return span{}, false
	}
	for i, line := range lines {
		if have := strings.TrimRight(r.lines[from+i], " \r"); line != "" && have != strings.Repeat(" ", indent)+strings.TrimRight(line, " \r") {
			return span{}, false
		}
	}
	return span{line: from + fault.Line, col: indent + fault.Col, width: fault.Width}, true
}

// where writes the expressions among conditions as one.
func (w *writer) where(constraints []*caravanv1.Constraint) {
	var texts []string
	for _, c := range constraints {
		if c.GetOperator() == caravanv1.Operator_OPERATOR_WHERE {
			texts = append(texts, c.GetAttribute())
		}
	}
	if len(texts) > 1 {
		for i := range texts {
			texts[i] = "(" + texts[i] + ")"
		}
	}
	w.text("where", strings.Join(texts, " && "))
}

// plainConditions gives the conditions that are no expressions.
func plainConditions(constraints []*caravanv1.Constraint) []*caravanv1.Constraint {
	return slices.DeleteFunc(slices.Clone(constraints), func(c *caravanv1.Constraint) bool {
		return c.GetOperator() == caravanv1.Operator_OPERATOR_WHERE
	})
}

// labelText is a label's key, or key=value; labelMatch.
type labelText struct{}

// labelMatch is a key of labels, with a value or without.
type labelMatch struct {
	key, value string
	withValue  bool
}

func (labelText) words() string { return "a label's key, or key=value" }

func (is labelText) read(r *reader, v *value, n ast.Node) {
	text, ok := r.scalar(v, n, is)
	if !ok {
		return
	}
	m := labelMatch{}
	m.key, m.value, m.withValue = strings.Cut(text, "=")
	if !labelRegexp.MatchString(m.key) {
		r.rejectText(v, n, text, &SyntaxError{
			Col: 1, Width: max(1, utf8.RuneCountInString(m.key)), Message: quote(m.key) + " is not the key of a label", Hint: "write " + is.words() + ", as in tier=db",
		})
		return
	}
	v.data = m
}

func (labelText) editor() map[string]any { return map[string]any{"type": "string", "minLength": 1} }

// ruleText is a rule in one word, or as a mapping; string or fields.
type ruleText struct {
	of    choice
	rule  func() *object
	write string
}

func (is ruleText) words() string { return is.write }

func (is ruleText) read(r *reader, v *value, n ast.Node) {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		r.object(is.rule(), v, n)
	case *ast.SequenceNode:
		r.reject(v, v.at, "a list stands here", "write "+is.words())
	default:
		is.of.read(r, v, n)
	}
}

func (is ruleText) editor() map[string]any {
	return map[string]any{"anyOf": []any{is.of.editor(), refEditor(is.rule())}}
}
