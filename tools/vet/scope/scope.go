// Package scope says where the analyzers look: at which files of a package, and at which lines an
// author has excused with a directive and a reason.
package scope

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Files returns the files of the package that are not tests. Tests may read clocks and start
// goroutines: what they test may not.
func Files(pass *analysis.Pass) []*ast.File {
	var files []*ast.File
	for _, f := range pass.Files {
		if !strings.HasSuffix(pass.Fset.Position(f.FileStart).Filename, "_test.go") {
			files = append(files, f)
		}
	}
	return files
}

// ObjectName returns "path.Name" for an object of a package and "path.Type.Name" for a method, as
// the lists in package rules write them, and "" for anything local.
func ObjectName(obj types.Object) string {
	if obj == nil || obj.Pkg() == nil {
		return ""
	}
	if fn, ok := obj.(*types.Func); ok {
		if recv := fn.Signature().Recv(); recv != nil {
			t := recv.Type()
			if p, ok := t.(*types.Pointer); ok {
				t = p.Elem()
			}
			if named, ok := t.(*types.Named); ok {
				return obj.Pkg().Path() + "." + named.Obj().Name() + "." + obj.Name()
			}
			return ""
		}
	}
	if obj.Parent() != obj.Pkg().Scope() {
		return ""
	}
	return obj.Pkg().Path() + "." + obj.Name()
}

// Excuses are the directives of one kind in one file.
type Excuses struct {
	fset  *token.FileSet
	lines map[int]bool // lines that a directive covers
	spans []ast.Node   // declarations whose doc comment holds the directive
}

// Excused collects the directives //caravan:<kind> <reason> of a file. A directive covers its own
// line and the next one; in the doc comment of a declaration it covers the whole declaration. A
// directive without a reason is reported and covers nothing.
func Excused(pass *analysis.Pass, file *ast.File, kind string) *Excuses {
	e := &Excuses{fset: pass.Fset, lines: map[int]bool{}}
	prefix := "//caravan:" + kind
	given := map[*ast.Comment]bool{}
	for _, group := range file.Comments {
		for _, c := range group.List {
			rest, found := strings.CutPrefix(c.Text, prefix)
			if !found || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
				continue
			}
			reason, _, _ := strings.Cut(rest, "//")
			if strings.TrimSpace(reason) == "" {
				pass.Reportf(c.Pos(), "%s needs a reason: %s <why it is safe>", prefix, prefix)
				continue
			}
			given[c] = true
			line := pass.Fset.Position(c.Pos()).Line
			e.lines[line], e.lines[line+1] = true, true
		}
	}
	for _, decl := range file.Decls {
		if doc := docOf(decl); doc != nil {
			for _, c := range doc.List {
				if given[c] {
					e.spans = append(e.spans, decl)
				}
			}
		}
	}
	return e
}

// Cover reports whether a directive covers the position.
func (e *Excuses) Cover(pos token.Pos) bool {
	if e.lines[e.fset.Position(pos).Line] {
		return true
	}
	for _, n := range e.spans {
		if n.Pos() <= pos && pos < n.End() {
			return true
		}
	}
	return false
}

func docOf(decl ast.Decl) *ast.CommentGroup {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return d.Doc
	case *ast.GenDecl:
		return d.Doc
	default:
		return nil
	}
}
