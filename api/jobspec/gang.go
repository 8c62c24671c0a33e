package jobspec

import (
	"strings"

	"github.com/goccy/go-yaml/ast"

	"caravan/api/caravanv1"
)

// Ways to start a gang, as they are written.
const (
	gangPerRank = "rank"
	gangPerNode = "node"
)

// gangText is true, false, or how a gang's tasks are started; string, empty for
// no gang.
type gangText struct{}

func (gangText) words() string { return "true, false, rank (the same as true) or node" }

func (is gangText) read(r *reader, v *value, n ast.Node) {
	text, ok := r.scalar(v, n, is)
	if !ok {
		return
	}
	switch {
	case n.Type() == ast.BoolType && strings.EqualFold(text, "true"), text == gangPerRank:
		v.data = gangPerRank
	case n.Type() == ast.BoolType:
		v.data = ""
	case text == gangPerNode:
		v.data = gangPerNode
	default:
		r.reject(v, v.at, quote(text)+" is no way to start a gang", "write "+is.words())
	}
}

func (gangText) editor() map[string]any {
	return map[string]any{"enum": []any{true, false, gangPerRank, gangPerNode}}
}

// gangWord is how a group's gang is started, empty for no gang.
func gangWord(f fields) string {
	word, _ := as[string](f.get("gang"))
	return word
}

func (w *writer) gang(g *caravanv1.TaskGroup) {
	switch {
	case g.GetPerNode():
		w.plain("gang", gangPerNode)
	case g.GetGang():
		w.plain("gang", "true")
	}
}

// directory is a path to a directory, relative to the job file or absolute; string.
type directory struct{}

func (directory) words() string { return "a directory, as in . or ../src" }

func (is directory) read(r *reader, v *value, n ast.Node) {
	text, ok := r.scalar(v, n, is)
	switch {
	case !ok:
	case text == "":
		r.reject(v, v.at, "is empty", "write "+is.words())
	case len(text) > 4096:
		r.reject(v, v.at, "is longer than 4096 bytes", "write a shorter path")
	default:
		v.data = text
	}
}

func (directory) editor() map[string]any { return map[string]any{"type": "string", "minLength": 1} }
