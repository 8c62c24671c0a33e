package jobspec

import (
	"fmt"
	"regexp"

	"github.com/goccy/go-yaml/ast"
)

// chunkSize is the number of indices that one allocation takes, or auto; int64,
// 0 for auto.
type chunkSize struct{}

func (chunkSize) words() string { return "a whole number, or auto" }

func (is chunkSize) read(r *reader, v *value, n ast.Node) {
	if text, ok := n.(*ast.StringNode); ok && text.Value == "auto" {
		v.data = int64(0)
		return
	}
	integer{1, MaxTasks}.read(r, v, n)
}

func (chunkSize) editor() map[string]any {
	return map[string]any{"anyOf": []any{integer{1, MaxTasks}.editor(), map[string]any{"enum": []string{"auto"}}}}
}

// jobPattern is a job's id, or the number at its end.
const jobPattern = `^([a-z][a-z0-9-]{0,47}-)?[1-9][0-9]{0,11}$`

var jobRegexp = regexp.MustCompile(jobPattern)

// jobText names a job; string.
type jobText struct{}

func (jobText) words() string { return "a job's id or number, as in ladder-17 or 17" }

func (is jobText) read(r *reader, v *value, n ast.Node) {
	text, ok := r.scalar(v, n, is)
	if !ok {
		return
	}
	if !jobRegexp.MatchString(text) {
		r.reject(v, v.at, quote(text)+" is not a job", "write "+is.words())
		return
	}
	v.data = text
}

func (jobText) editor() map[string]any {
	return map[string]any{"anyOf": []any{map[string]any{"type": "string", "pattern": jobPattern}, map[string]any{"type": "integer", "minimum": 1}}}
}

// jobDependency is a job's name or a mapping; string or fields.
type jobDependency struct{}

func (jobDependency) words() string {
	return "a job's id or number, or {job: ladder-17, condition: ended}"
}

func (is jobDependency) read(r *reader, v *value, n ast.Node) {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		r.object(jobDependencyObject(), v, n)
	case *ast.SequenceNode:
		r.reject(v, v.at, "a list stands here", "write "+is.words())
	default:
		jobText{}.read(r, v, n)
	}
}

func (jobDependency) editor() map[string]any {
	return map[string]any{"anyOf": []any{jobText{}.editor(), refEditor(jobDependencyObject())}}
}

// limitUses is how much is held of limits, by their names; map[string]int64.
type limitUses struct{}

func (limitUses) words() string {
	return "a mapping of numbers by the names of limits, as in {maya: 1}"
}

func (is limitUses) read(r *reader, v *value, n ast.Node) {
	pairs, ok := r.entries(v, n)
	switch {
	case !ok:
		r.reject(v, v.at, describe(n)+" stands where a mapping should", "write "+is.words())
		return
	case len(pairs) > maxLimits:
		r.reject(v, v.at, fmt.Sprintf("has %d entries", len(pairs)), fmt.Sprintf("write at most %d", maxLimits))
		return
	}
	read := make(map[string]int64, len(pairs))
	for _, e := range pairs {
		c := &value{name: e.name, path: join(v.path, e.name), key: e.key}
		if hint, ok := checkName(e.name); !ok {
			r.report(e.key, c.path, quote(e.name)+" is not the name of a limit", hint)
			continue
		}
		r.read(integer{1, maxLimitCount}, c, e.node)
		if count, ok := as[int64](c); ok {
			read[e.name] = count
		}
	}
	v.data = read
}

func (limitUses) editor() map[string]any {
	return map[string]any{
		"type": "object", "maxProperties": maxLimits, "propertyNames": nameText{}.editor(),
		"additionalProperties": integer{1, maxLimitCount}.editor(),
	}
}
