// Package maporder reports loops over maps, in the packages that decide, whose outcome could depend
// on the order in which the runtime hands the elements out. That order differs from run to run.
//
// A loop is left alone when one of these holds:
//   - it binds neither key nor value;
//   - all it does is collect into slices that the same function sorts afterwards;
//   - all it does is accumulate in a way that commutes: integer sums, bit sets, min and max, writes
//     to the entry of the current key, the same constant every time; see effects;
//   - its line, or the one above, says //caravan:unordered <reason>.
package maporder

import (
	"go/ast"
	"go/types"
	"slices"

	"golang.org/x/tools/go/analysis"

	"caravan/tools/vet/rules"
	"caravan/tools/vet/scope"
)

// Analyzer is the check for go vet.
var Analyzer = &analysis.Analyzer{
	Name: "maporder",
	Doc:  "report loops over maps that may depend on map order in the packages that decide and apply",
	Run:  run,
}

func run(pass *analysis.Pass) (any, error) {
	if !rules.IsPure(pass.Pkg.Path()) {
		return nil, nil
	}
	for _, file := range scope.Files(pass) {
		c := checker{pass: pass, excuses: scope.Excused(pass, file, "unordered")}
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil {
				c.function(fn.Body)
			}
		}
		c.walks(file)
	}
	return nil, nil
}

type checker struct {
	pass    *analysis.Pass
	excuses *scope.Excuses
}

// function checks the loops of one function body. Function literals are checked on their own,
// because a sort outside of one need not run after it.
func (c checker) function(body *ast.BlockStmt) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			c.function(n.Body)
			return false
		case *ast.RangeStmt:
			if c.isMap(n.X) && !isBlank(n.Key, n.Value) && !c.excuses.Cover(n.Pos()) && !c.harmless(n, body) {
				c.pass.Reportf(n.Pos(), "loop over a map in map order: range over slices.Sorted(maps.Keys(m)), or //caravan:unordered <reason>")
			}
		}
		return true
	})
}

// harmless reports whether the loop can be shown not to depend on the order.
func (c checker) harmless(loop *ast.RangeStmt, body *ast.BlockStmt) bool {
	e := newEffects(c.pass.TypesInfo)
	if !e.outermost(loop) {
		return false
	}
	for _, collected := range e.collected() {
		if !c.sortedAfter(collected, loop, body) {
			return false
		}
	}
	return true
}

// sortedAfter reports whether a sorting call on the variable follows the loop in the function.
func (c checker) sortedAfter(v types.Object, loop *ast.RangeStmt, body *ast.BlockStmt) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || call.Pos() < loop.End() || len(call.Args) == 0 {
			return true
		}
		id, ok := ast.Unparen(call.Args[0]).(*ast.Ident)
		if ok && c.pass.TypesInfo.Uses[id] == v && slices.Contains(rules.SortingCalls, c.callee(call)) {
			found = true
		}
		return !found
	})
	return found
}

// walks reports the calls that hand out a map's elements in map order, unless an ordering call takes
// them in at once.
func (c checker) walks(file *ast.File) {
	ordered := map[ast.Node]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		name := c.callee(call)
		if slices.Contains(rules.OrderingCalls, name) {
			for _, arg := range call.Args {
				ordered[ast.Unparen(arg)] = true
			}
		}
		for _, ban := range rules.UnorderedWalks {
			if ban.Name == name && !ordered[call] && !c.excuses.Cover(call.Pos()) {
				c.pass.Reportf(call.Pos(), "%s yields in map order: %s, or //caravan:unordered <reason>", name, ban.Why)
			}
		}
		return true
	})
}

// callee returns the name of what a call calls, as package rules writes it.
func (c checker) callee(call *ast.CallExpr) string {
	fun := ast.Unparen(call.Fun)
	switch f := fun.(type) {
	case *ast.IndexExpr: // explicit type argument
		fun = f.X
	case *ast.IndexListExpr:
		fun = f.X
	}
	switch f := fun.(type) {
	case *ast.Ident:
		return scope.ObjectName(c.pass.TypesInfo.Uses[f])
	case *ast.SelectorExpr:
		return scope.ObjectName(c.pass.TypesInfo.Uses[f.Sel])
	default:
		return ""
	}
}

func (c checker) isMap(x ast.Expr) bool { return isMap(c.pass.TypesInfo, x) }

// isMap reports whether x is a map, or of a type parameter that may be one.
func isMap(info *types.Info, x ast.Expr) bool {
	t := info.TypeOf(x)
	if t == nil {
		return false
	}
	switch u := t.Underlying().(type) {
	case *types.Map:
		return true
	case *types.Interface: // a type parameter: a map if any of its terms is one
		for embedded := range u.EmbeddedTypes() {
			if termHasMap(embedded) {
				return true
			}
		}
	}
	return false
}

func termHasMap(t types.Type) bool {
	union, ok := t.(*types.Union)
	if !ok {
		_, isMap := t.Underlying().(*types.Map)
		return isMap
	}
	for term := range union.Terms() {
		if _, isMap := term.Type().Underlying().(*types.Map); isMap {
			return true
		}
	}
	return false
}

// isBlank reports whether a range binds nothing.
func isBlank(exprs ...ast.Expr) bool {
	for _, e := range exprs {
		if id, ok := e.(*ast.Ident); e != nil && (!ok || id.Name != "_") {
			return false
		}
	}
	return true
}
