package jobspec

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// mapping is an object with a closed set of fields; fields.
type mapping struct{ object func() *object }

func (is mapping) words() string {
	o := is.object()
	return "a mapping, as in {" + o.fields[0].name + ": " + o.fields[0].example + "}"
}

func (is mapping) read(r *reader, v *value, n ast.Node) { r.object(is.object(), v, n) }

func (is mapping) editor() map[string]any { return refEditor(is.object()) }

// named is a mapping of objects by name; fields, in the order of the file.
type named struct {
	object func() *object
	// what an entry is called, and how many there may be.
	what string
	most int
}

func (is named) words() string { return fmt.Sprintf("a mapping of %ss by name", is.what) }

func (is named) read(r *reader, v *value, n ast.Node) {
	pairs, ok := r.entries(v, n)
	if !ok {
		hint := fmt.Sprintf("write the name of each %s as a key, and its fields indented below", is.what)
		r.reject(v, v.at, describe(n)+" stands where a mapping should", hint)
		return
	}
	if len(pairs) == 0 {
		r.reject(v, v.at, fmt.Sprintf("holds no %s", is.what), fmt.Sprintf("add a %s, or remove the line", is.what))
		return
	}
	if len(pairs) > is.most {
		r.report(v.start(), v.path, fmt.Sprintf("holds %d %ss", len(pairs), is.what), fmt.Sprintf("write at most %d", is.most))
		pairs = pairs[:is.most]
	}
	read := make(fields, 0, len(pairs))
	for _, e := range pairs {
		c := &value{name: e.name, path: join(v.path, e.name), key: e.key}
		if hint, ok := checkName(e.name); !ok {
			r.report(e.key, c.path, fmt.Sprintf("%s is not a name for a %s", quote(e.name), is.what), hint)
		}
		r.read(mapping{is.object}, c, e.node)
		read = append(read, c)
	}
	v.data = read
}

func (is named) editor() map[string]any {
	return map[string]any{
		"type": "object", "minProperties": 1, "maxProperties": is.most,
		"propertyNames":        nameText{}.editor(),
		"additionalProperties": refEditor(is.object()),
	}
}

// list is a list of values in one notation; []*value. With single, one value
// may stand without the list.
type list struct {
	of     notation
	most   int
	single bool
}

func (is list) words() string { return "a list; each entry is " + is.of.words() }

func (is list) read(r *reader, v *value, n ast.Node) {
	nodes, ok := items(n)
	switch {
	case !ok && is.single:
		nodes = []ast.Node{n}
	case !ok:
		r.reject(v, v.at, describe(n)+" stands where a list should", "write "+is.words())
		return
	case len(nodes) == 0:
		r.reject(v, v.at, "is an empty list", "add an entry, or remove the line")
		return
	case len(nodes) > is.most:
		r.reject(v, v.at, fmt.Sprintf("has %d entries", len(nodes)), fmt.Sprintf("write at most %d", is.most))
		return
	}
	read := make([]*value, 0, len(nodes))
	for i, item := range nodes {
		c := &value{path: fmt.Sprintf("%s[%d]", v.path, i)}
		c.at = r.nodePlace(item, v.at)
		c.key = c.at
		if !ok {
			c.path = v.path
		}
		r.read(is.of, c, item)
		read = append(read, c)
	}
	v.data = read
}

func (is list) editor() map[string]any {
	array := map[string]any{"type": "array", "minItems": 1, "maxItems": is.most, "items": is.of.editor()}
	if !is.single {
		return array
	}
	return map[string]any{"anyOf": []any{array, is.of.editor()}}
}

// dependency is a group's name or a mapping; string or fields.
type dependency struct{}

func (dependency) words() string { return "a group's name, or {group: render, each: true}" }

func (is dependency) read(r *reader, v *value, n ast.Node) {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		r.object(dependencyObject(), v, n)
	case *ast.SequenceNode:
		r.reject(v, v.at, "a list stands here", "write "+is.words())
	default:
		nameText{}.read(r, v, n)
	}
}

func (dependency) editor() map[string]any {
	return map[string]any{"anyOf": []any{nameText{}.editor(), refEditor(dependencyObject())}}
}
