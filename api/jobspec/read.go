package jobspec

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// read reads a node in a notation into v, whose name, path and key are set.
func (r *reader) read(is notation, v *value, n ast.Node) {
	v.at = r.nodePlace(n, v.key)
	n = r.resolve(v, n)
	if n == nil {
		return
	}
	if n.Type() == ast.NullType {
		hint := "write " + is.words()
		if v.optional {
			hint += ", or remove the line"
		}
		r.reject(v, v.at, "has no value", hint)
		return
	}
	v.at = r.nodePlace(n, v.key)
	is.read(r, v, n)
}

// scalar gives the text of a scalar as it was written, whatever YAML takes it
// for: 1.10 stays "1.10" and yes stays "yes". It rejects v for anything else.
func (r *reader) scalar(v *value, n ast.Node, is notation) (text string, ok bool) {
	switch t := n.(type) {
	case *ast.StringNode:
		text = t.Value
	case *ast.LiteralNode:
		text = t.Value.Value
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		r.reject(v, v.at, describe(n)+" stands here", "write "+is.words())
		return "", false
	default:
		text = n.GetToken().Value
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		r.reject(v, v.at, "holds a byte that is not text", "remove the escape")
		return "", false
	}
	if len(text) > maxTextLen {
		r.reject(v, v.at, fmt.Sprintf("is longer than %d bytes", maxTextLen), "put the text into a file and name the file")
		return "", false
	}
	return text, true
}

// describe names what a node is, for "X stands here".
func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.BoolNode:
		return n.GetToken().Value
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.StringNode:
		if quoted(n) {
			return "text in quotes"
		}
	}
	return quote(n.GetToken().Value)
}

// quoted says whether a scalar is text by its quotes, so that it is no number.
func quoted(n ast.Node) bool {
	switch t := n.(type) {
	case *ast.LiteralNode:
		return true
	case *ast.StringNode:
		return t.Token.Type == token.DoubleQuoteType || t.Token.Type == token.SingleQuoteType
	}
	return false
}

// rejectText rejects v for a mistake inside its text, at the wrong characters
// when the text stands in the file as it is.
func (r *reader) rejectText(v *value, n ast.Node, text string, err *SyntaxError) {
	at := v.at
	lead := 0
	if quoted(n) {
		lead = 1
	}
	if err.Width > 0 && at.width == utf8.RuneCountInString(text)+2*lead {
		at.col += lead + err.Col - 1
		at.width = err.Width
	}
	r.reject(v, at, err.Message, err.Hint)
}

// object reads a mapping with a closed set of fields into fields.
func (r *reader) object(o *object, v *value, n ast.Node) {
	pairs, ok := r.entries(v, n)
	if !ok {
		hint := "write its fields one on each line, as in " + o.fields[0].name + ": " + o.fields[0].example
		if _, isList := items(n); isList {
			hint = "write its fields without a dash, as in " + o.fields[0].name + ": " + o.fields[0].example
		}
		r.reject(v, v.at, describe(n)+" stands where fields should", hint)
		return
	}
	read := make(fields, 0, len(pairs))
	for _, e := range pairs {
		f, known := o.field(e.name)
		if !known {
			hint := unknownHint(o, e.name)
			r.report(e.key, join(v.path, e.name), fmt.Sprintf("%s is not a field of %s", quote(e.name), o.title), hint)
			// A misspelt field is taken for written, lest it be missed as well.
			if near := intended(o, e.name); near != "" && read.get(near) == nil {
				read = append(read, &value{name: near, path: join(v.path, near), key: e.key, at: e.key, bad: true})
			}
			continue
		}
		c := &value{name: e.name, path: join(v.path, e.name), key: e.key, optional: !f.required}
		r.read(f.is, c, e.node)
		read = append(read, c)
	}
	for _, f := range o.fields {
		if f.required && read.get(f.name) == nil {
			r.report(v.start(), v.path, f.name+" is missing", fmt.Sprintf("add %s: %s", f.name, f.example))
			read = append(read, &value{name: f.name, path: join(v.path, f.name), key: v.start(), at: v.start(), bad: true})
		}
	}
	v.data = read
}

// start is where a value is pointed at as a whole: its key, if it has one.
func (v *value) start() span {
	if v.key.line > 0 {
		return v.key
	}
	return v.at
}

// intended gives the field that an unknown name most likely stands for.
func intended(o *object, name string) string {
	lower := strings.ToLower(name)
	for _, f := range o.fields {
		for _, other := range f.elsewhere {
			if lower == other {
				return f.name
			}
		}
	}
	return nearest(strings.ReplaceAll(lower, "-", "_"), o.names())
}

// unknownHint says what to write for a field that does not exist: the field of
// this name in an object below, the one that is meant here, the one that is
// meant in an object below, or the list of all.
func unknownHint(o *object, name string) string {
	near := intended(o, name)
	for _, h := range homes(o) {
		if _, ok := h.object.field(name); ok && near == "" {
			return h.hint(name)
		}
	}
	if near != "" {
		f, _ := o.field(near)
		return fmt.Sprintf("did you mean %s? Write %s: %s", near, near, f.example)
	}
	for _, h := range homes(o) {
		if below := intended(h.object, name); below != "" {
			return h.hint(below)
		}
	}
	return "its fields are " + strings.Join(o.names(), ", ")
}

// home is an object together with the field that holds it.
type home struct {
	field  string
	object *object
}

// hint says to write a field of the home there.
func (h home) hint(name string) string {
	f, _ := h.object.field(name)
	return fmt.Sprintf("write it under %s, as in %s: {%s: %s}", h.field, h.field, name, f.example)
}

// homes lists the objects that are fields of o.
func homes(o *object) []home {
	var found []home
	for _, f := range o.fields {
		switch is := f.is.(type) {
		case mapping:
			found = append(found, home{f.name, is.object()})
		case list:
			if m, ok := is.of.(mapping); ok {
				found = append(found, home{f.name, m.object()})
			}
		}
	}
	return found
}
