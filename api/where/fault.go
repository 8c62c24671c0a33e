package where

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/common"
)

// Fault is what is wrong with an expression.
type Fault struct {
	// Line and Col count from 1 in the text, Col in characters; 0 when the fault
	// is in the whole. Width is how many characters are wrong.
	Line, Col, Width int
	Message          string
	Hint             string
}

// Error gives the message and, in brackets, the hint.
func (f *Fault) Error() string { return f.Message + " (" + f.Hint + ")" }

var (
	examples = [...]string{OnNode: "cpu >= 32", OnDevice: "memory >= 12 * GiB"}
	homes    = [...]string{OnNode: "the where of a group or a variant", OnDevice: "the where of a device request"}
)

var (
	undefinedField = regexp.MustCompile(`undefined field '([^']*)'`)
	undeclared     = regexp.MustCompile(`undeclared reference to '([^']*)'`)
	noOverload     = regexp.MustCompile(`no matching overload for '([^']*)' applied to '([^(']*)\.?\((.*)\)'`)
	wrongType      = regexp.MustCompile(`expected type '([^']*)' but found '([^']*)'`)
	wordRegexp     = regexp.MustCompile(`^[\pL_][\pL\pN_]*|^.`)
)

// faultOf turns the first error of the language into ours.
func faultOf(s Subject, errs []*common.Error, text string) *Fault {
	first := errs[0]
	for _, e := range errs[1:] {
		at, best := e.Location, first.Location
		if at.Line() < best.Line() || at.Line() == best.Line() && at.Column() < best.Column() {
			first = e
		}
	}
	f := &Fault{Line: first.Location.Line(), Col: first.Location.Column() + 1, Width: 1}
	at := f.rest(text)
	switch m := first.Message; {
	case undefinedField.MatchString(m):
		name := undefinedField.FindStringSubmatch(m)[1]
		// The language points at the dot before the field.
		if strings.HasPrefix(at, "."+name) {
			f.Col++
		}
		f.Width = utf8.RuneCountInString(name)
		f.Message, f.Hint = fmt.Sprintf("there is no attribute %q here", name), attributeHint(s, name)
	case undeclared.MatchString(m):
		name := undeclared.FindStringSubmatch(m)[1]
		f.Width = utf8.RuneCountInString(name)
		f.Message, f.Hint = fmt.Sprintf("%q is not known", name), unknownHint(s, name)
	case noOverload.MatchString(m):
		parts := noOverload.FindStringSubmatch(m)
		sign := strings.Trim(parts[1], "_")
		operands := strings.TrimPrefix(strings.TrimSuffix(parts[2], ".")+", "+parts[3], ", ")
		f.Message = fmt.Sprintf("%s does not go with %s", sign, typeWords(operands))
		f.Hint = overloadHint(operands)
		f.Width = utf8.RuneCountInString(sign)
	case wrongType.MatchString(m):
		parts := wrongType.FindStringSubmatch(m)
		f.Message, f.Hint = fmt.Sprintf("%s stands where %s should", typeWords(parts[2]), typeWords(parts[1])), fmt.Sprintf("compare it, as in %s.%s", s, examples[s])
		if field, ok := strings.CutPrefix(at, "."); ok {
			f.Col++
			at = field
		}
		f.Width = utf8.RuneCountInString(wordRegexp.FindString(at))
	default:
		f.Message, f.Hint = "is no expression: "+syntaxWords(m), fmt.Sprintf("write a condition such as %s.%s, joined by && and ||", s, examples[s])
		f.Width = utf8.RuneCountInString(wordRegexp.FindString(at))
	}
	if f.Width = max(1, f.Width); strings.HasPrefix(at, "(") {
		f.Width = 1
	}
	return f
}

// rest returns the text from the fault's place on.
func (f *Fault) rest(text string) string {
	lines := strings.Split(text, "\n")
	if f.Line < 1 || f.Line > len(lines) {
		return ""
	}
	runes := []rune(lines[f.Line-1])
	return string(runes[min(max(f.Col-1, 0), len(runes)):])
}

// fieldsOf lists what a subject has, as expressions name it.
func fieldsOf(s Subject) []string {
	t := reflect.TypeFor[Node]()
	if s == OnDevice {
		t = reflect.TypeFor[Device]()
	}
	var names []string
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("cel"))
	}
	return names
}

func attributeHint(s Subject, name string) string {
	for _, other := range []Subject{OnNode, OnDevice} {
		for _, field := range fieldsOf(other) {
			if other != s && field == name {
				return fmt.Sprintf("a %s has it: write it in %s", other, homes[other])
			}
		}
	}
	return fmt.Sprintf("a %s has %s; what else it advertises is %s.attributes[%q], or %s.numbers[%q] for a number",
		s, strings.Join(fieldsOf(s), ", "), s, name, s, name)
}

func unknownHint(s Subject, name string) string {
	for _, field := range fieldsOf(s) {
		if field == name {
			return fmt.Sprintf("write %s.%s", s, name)
		}
	}
	if s == OnNode && name == "device" {
		return "write node.devices.exists(d, d.model == \"P100\"), or the condition under the device request"
	}
	return fmt.Sprintf("write %s and a dot before an attribute, and texts in quotes, as in %s.%s", s, s, examples[s])
}

func overloadHint(operands string) string {
	switch {
	case operands == "double, int" || operands == "int, double":
		return "write the number with a decimal point, as in 32.0, or compare by >= or <="
	case strings.Contains(operands, "string") && (strings.Contains(operands, "int") || strings.Contains(operands, "double")):
		return "write texts in quotes and numbers without; sizes as in 12 * GiB"
	}
	return "both sides must be of one kind: text, number, or true and false"
}

// typeWords writes the language's types as people say them.
func typeWords(types string) string {
	return strings.NewReplacer(
		"string", "text", "double", "a decimal number", "int", "a whole number", "bool", "true or false",
		"where.Node", "a node", "where.Device", "a device", ", ", " and ", "dyn", "anything",
	).Replace(types)
}

// syntaxWords shortens what the grammar says.
func syntaxWords(message string) string {
	message = strings.TrimPrefix(message, "Syntax error: ")
	message, _, _ = strings.Cut(message, " expecting")
	return strings.ReplaceAll(message, "<EOF>", "the end")
}
