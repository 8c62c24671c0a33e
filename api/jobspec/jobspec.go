package jobspec

import (
	"strings"

	"github.com/goccy/go-yaml/ast"

	"caravan/api/caravanv1"
)

// File is a job file that has been read without a problem.
type File struct {
	// Name is the file's name as given to Parse.
	Name string
	// Spec is the job, with every default filled in.
	Spec *caravanv1.JobSpec

	lines  []string
	places map[string]located
}

// located is where the value of a message path was written.
type located struct {
	at   span
	path string // as the file says it
}

// Parse reads a job file. filename is used in messages only. The error, if any,
// is an *Errors with every problem of the file.
func Parse(filename string, src []byte) (*File, error) {
	root, lines, bad := parseYAML(filename, src)
	if bad != nil {
		return nil, &Errors{Problems: []Problem{*bad}}
	}
	r := &reader{file: filename, lines: lines, anchors: map[string]ast.Node{}}
	r.collectAnchors(root)
	top := &value{}
	r.read(mapping{jobObject}, top, root)
	if top.at.line == 0 {
		top.at = span{line: 1, col: 1}
	}
	b := &builder{reader: r, places: map[string]located{"": {at: top.at}}}
	spec := b.job(top)
	b.check(spec)
	if errs := newErrors(r.problems); errs != nil {
		return nil, errs
	}
	return &File{Name: filename, Spec: spec, lines: lines, places: b.places}, nil
}

// Locate gives the place of a value by its path in the message, as in
// "groups[0].variants[1].resources.cpu_milli". For a value that the file does
// not write it gives the place of the nearest value around it. It reports false
// only for a path whose first field the file does not have.
func (f *File) Locate(path string) (line, col int, ok bool) {
	found, ok := f.locate(path)
	return found.at.line, found.at.col, ok
}

// locate is Locate with the whole span and the path as the file says it.
func (f *File) locate(path string) (located, bool) {
	for path != "" {
		if found, ok := f.places[path]; ok {
			return found, true
		}
		// groups[0].env[KEY] is cut to groups[0].env, then groups[0], then groups.
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return f.places[""], false
}

// Problems turns what a server has found wrong with the job into problems at
// their places in the file. It returns nil when there are none.
func (f *File) Problems(violations []*caravanv1.FieldViolation) *Errors {
	problems := make([]Problem, 0, len(violations))
	for _, v := range violations {
		found, _ := f.locate(v.GetPath())
		path := found.path
		if path == "" {
			path = v.GetPath()
		}
		problems = append(problems, Problem{
			File: f.Name, Line: found.at.line, Col: found.at.col, Path: path,
			Message: v.GetMessage(), Hint: v.GetHint(), Excerpt: excerpt(f.lines, found.at),
		})
	}
	return newErrors(problems)
}
