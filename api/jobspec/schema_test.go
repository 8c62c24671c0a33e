package jobspec

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
)

// readField reads the text after "name: " in a field's notation.
func readField(t *testing.T, f field, text string) []Problem {
	t.Helper()
	root, lines, bad := parseYAML("example", []byte(f.name+": "+text+"\n"))
	if bad != nil {
		t.Fatalf("%s: %s", f.name, bad)
	}
	r := &reader{file: "example", lines: lines, anchors: map[string]ast.Node{}}
	o := &object{title: "an example", fields: []field{f}}
	r.read(mapping{func() *object { return o }}, &value{}, root)
	return r.problems
}

func TestEveryFieldIsDocumentedAndItsExampleIsValid(t *testing.T) {
	for _, o := range append(partObjects(), jobObject()) {
		if o.doc == "" || o.title == "" || o.heading == "" || o.id == "" {
			t.Errorf("object %q lacks words", o.id)
		}
		seen := map[string]bool{}
		for _, f := range o.fields {
			if seen[f.name] {
				t.Errorf("%s has the field %s twice", o.title, f.name)
			}
			seen[f.name] = true
			if !strings.HasSuffix(f.doc, ".") {
				t.Errorf("%s of %s has no full sentence", f.name, o.title)
			}
			for _, p := range readField(t, f, f.example) {
				t.Errorf("the example of %s of %s: %s", f.name, o.title, p)
			}
			for _, other := range f.elsewhere {
				if _, taken := o.field(other); taken || other != strings.ToLower(other) {
					t.Errorf("%s of %s: %q cannot be another name for it", f.name, o.title, other)
				}
			}
		}
	}
}

// A default that the reference promises is one that could be written, and means
// what leaving the field out means.
func TestDefaultsMeanWhatTheReferenceSays(t *testing.T) {
	const head = "name: x\ncommand: [echo]\n"
	want, err := Parse("job.yaml", []byte(head))
	if err != nil {
		t.Fatal(err)
	}
	groups := groupObject()
	for _, at := range []struct {
		object *object
		before string
	}{{jobObject(), ""}, {groups, ""}, {resourcesObject(), "resources: "}} {
		for _, f := range at.object.fields {
			if f.unset == "" || strings.Contains(f.unset, " ") {
				continue // nothing, or described in words
			}
			text := head + f.name + ": " + f.unset + "\n"
			if at.before != "" {
				text = head + at.before + "{" + f.name + ": " + f.unset + "}\n"
			}
			got, err := Parse("job.yaml", []byte(text))
			if err != nil {
				t.Errorf("%s: %s: %v", f.name, f.unset, err)
				continue
			}
			if protoText(got.Spec) != protoText(want.Spec) {
				t.Errorf("%s: %s is not the default", f.name, f.unset)
			}
		}
	}
}
