package jobspec

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

var (
	variableRegexp = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	labelRegexp    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$`)
)

// shellArgv is the command that runs a shell text: a failing command and an
// unset variable end it, which is what a batch script should do.
func shellArgv(text string) []string { return []string{"/bin/sh", "-euc", text} }

// shell is shell text; []string.
type shell struct{}

func (shell) words() string { return "shell text" }

func (is shell) read(r *reader, v *value, n ast.Node) {
	if _, list := items(n); list {
		r.reject(v, v.at, "a list stands where shell text should", "write the list under command:, or each command on a line of its own after run: |")
		return
	}
	text, ok := r.scalar(v, n, is)
	if !ok {
		return
	}
	if strings.TrimSpace(text) == "" {
		r.reject(v, v.at, "is empty", "write "+is.words())
		return
	}
	v.data = shellArgv(text)
}

func (shell) editor() map[string]any { return map[string]any{"type": "string", "minLength": 1} }

// argv is a program with its arguments; []string.
type argv struct{}

func (argv) words() string { return "a list of program and arguments, as in [ffmpeg, -i, in.mkv]" }

func (is argv) read(r *reader, v *value, n ast.Node) {
	list, ok := items(n)
	if !ok {
		hint := "write " + is.words()
		if text, isText := n.(*ast.StringNode); isText {
			hint = "write a list, as in [" + strings.Join(strings.Fields(text.Value), ", ") + "], or write it as shell text under run:"
		}
		r.reject(v, v.at, describe(n)+" stands where a list should", hint)
		return
	}
	args := make([]string, 0, len(list))
	for i, item := range list {
		c := &value{path: fmt.Sprintf("%s[%d]", v.path, i), key: r.nodePlace(item, v.at)}
		r.read(anyText{}, c, item)
		text, ok := as[string](c)
		v.bad = v.bad || !ok
		args = append(args, text)
	}
	switch {
	case v.bad:
	case len(args) == 0 || args[0] == "":
		r.reject(v, v.at, "names no program", "write "+is.words())
	case len(args) > maxArgs:
		r.reject(v, v.at, fmt.Sprintf("has more than %d arguments", maxArgs), "put them into a file and name the file")
	default:
		v.data = args
	}
}

func (argv) editor() map[string]any {
	return map[string]any{
		"type": "array", "minItems": 1, "maxItems": maxArgs,
		"items": map[string]any{"type": []string{"string", "number", "boolean"}},
	}
}

// shellOrArgv is shell text or a list; []string.
type shellOrArgv struct{}

func (shellOrArgv) words() string { return "shell text, or a list of program and arguments" }

func (is shellOrArgv) read(r *reader, v *value, n ast.Node) {
	if _, list := items(n); list {
		argv{}.read(r, v, n)
		return
	}
	shell{}.read(r, v, n)
}

func (shellOrArgv) editor() map[string]any {
	return map[string]any{"anyOf": []any{shell{}.editor(), argv{}.editor()}}
}

// anyText is any scalar, as it is written; string.
type anyText struct{}

func (anyText) words() string { return "text" }

func (is anyText) read(r *reader, v *value, n ast.Node) {
	if text, ok := r.scalar(v, n, is); ok {
		v.data = text
	}
}

func (anyText) editor() map[string]any {
	return map[string]any{"type": []string{"string", "number", "boolean"}}
}

// pairs is a mapping of texts, as labels are; map[string]string.
type pairs struct{}

func (pairs) words() string { return "a mapping of texts, as in {show: demo}" }

func (is pairs) read(r *reader, v *value, n ast.Node) {
	r.texts(v, n, is, func(key string) (message, hint string) {
		if labelRegexp.MatchString(key) {
			return "", ""
		}
		return quote(key) + " is not a key", "write at most 63 letters, digits and . _ / -, with a letter or digit at both ends"
	})
}

func (pairs) editor() map[string]any {
	return map[string]any{"type": "object", "maxProperties": maxPairs, "additionalProperties": anyText{}.editor()}
}

// environment is environment variables; map[string]string.
type environment struct{}

func (environment) words() string { return "a mapping of variables, as in {OMP_NUM_THREADS: 4}" }

func (is environment) read(r *reader, v *value, n ast.Node) {
	r.texts(v, n, is, func(key string) (message, hint string) {
		switch {
		case !variableRegexp.MatchString(key):
			return quote(key) + " is not the name of a variable", "write letters, digits and '_', not starting with a digit"
		case strings.HasPrefix(key, "CARAVAN_"):
			return quote(key) + " is kept for Caravan", "choose a name that does not start with CARAVAN_"
		}
		return "", ""
	})
}

func (environment) editor() map[string]any {
	return map[string]any{
		"type": "object", "maxProperties": maxPairs, "additionalProperties": anyText{}.editor(),
		"propertyNames": map[string]any{"pattern": variableRegexp.String()},
	}
}

// texts reads a mapping of texts whose keys pass a check.
func (r *reader) texts(v *value, n ast.Node, is notation, check func(key string) (message, hint string)) {
	pairs, ok := r.entries(v, n)
	if !ok {
		hint := "write " + is.words()
		if _, list := items(n); list {
			hint = "write KEY: value on each line, without the dash"
		}
		r.reject(v, v.at, describe(n)+" stands where a mapping should", hint)
		return
	}
	if len(pairs) > maxPairs {
		r.reject(v, v.at, fmt.Sprintf("has more than %d entries", maxPairs), "put them into a file")
		return
	}
	read := make(map[string]string, len(pairs))
	for _, e := range pairs {
		c := &value{name: e.name, path: join(v.path, e.name), key: e.key}
		if message, hint := check(e.name); message != "" {
			r.report(e.key, c.path, message, hint)
			continue
		}
		if e.node.Type() == ast.NullType {
			r.report(e.key, c.path, "has no value", `write "" for an empty text`)
			continue
		}
		r.read(anyText{}, c, e.node)
		if text, ok := as[string](c); ok {
			read[e.name] = text
		}
	}
	v.data = read
}
