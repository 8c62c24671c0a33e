// Package nofloatscore reports floating-point numbers in the packages that decide. The language lets
// a compiler fuse a multiplication and an addition on one processor and not on another, so two
// servers may score the same placement differently. Scores, shares and prices are integers in a
// small unit: thousandths, milliseconds, micro-units of money.
//
// A line or a declaration with //caravan:float <reason> is left alone: it is for the edge where a
// decimal number from outside becomes an integer. Untyped constants are exact and allowed.
package nofloatscore

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/analysis"

	"caravan/tools/vet/rules"
	"caravan/tools/vet/scope"
)

// Analyzer is the check for go vet.
var Analyzer = &analysis.Analyzer{
	Name: "nofloatscore",
	Doc:  "report floating-point types and arithmetic in the packages that decide and apply",
	Run:  run,
}

func run(pass *analysis.Pass) (any, error) {
	if !rules.IsPure(pass.Pkg.Path()) {
		return nil, nil
	}
	for _, file := range scope.Files(pass) {
		check(pass, file)
	}
	return nil, nil
}

// check reports each line of a file that has a floating-point type, variable or value, once.
func check(pass *analysis.Pass, file *ast.File) {
	excuses := scope.Excused(pass, file, "float")
	reported := map[int]bool{}
	report := func(pos token.Pos, what string) {
		line := pass.Fset.Position(pos).Line
		if !reported[line] && !excuses.Cover(pos) {
			reported[line] = true
			pass.Reportf(pos, "floating-point %s: use integers in a small unit, or //caravan:float <reason> at the edge", what)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		expr, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		if id, ok := expr.(*ast.Ident); ok {
			if v, ok := pass.TypesInfo.Defs[id].(*types.Var); ok && isFloat(v.Type()) {
				report(id.Pos(), "variable "+id.Name)
				return true
			}
		}
		tv, known := pass.TypesInfo.Types[expr]
		switch {
		case !known || !isFloat(tv.Type):
		case tv.IsType():
			report(expr.Pos(), "type")
		case tv.Value == nil:
			report(expr.Pos(), "value")
		}
		return true
	})
}

// isFloat reports whether a type is a sized floating-point or complex number. Untyped constants are
// not: the compiler computes them exactly.
func isFloat(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&(types.IsFloat|types.IsComplex) != 0 && b.Info()&types.IsUntyped == 0
}
