package maporder

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// readsAreClean reports whether everything the loop evaluates is free of effects and of what the
// loop writes, and whether early returns leave nothing half done.
func (e *effects) readsAreClean() bool {
	if len(e.returns) > 0 {
		slices.Sort(e.returns)
		if len(slices.Compact(e.returns)) > 1 || len(e.written) > 0 {
			return false
		}
	}
	for _, x := range e.reads {
		if !e.clean(x) {
			return false
		}
	}
	return true
}

// clean reports whether one expression has no effect and reads nothing that the loop writes.
func (e *effects) clean(x ast.Expr) bool {
	ok := true
	ast.Inspect(x, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			ok = false
		case *ast.UnaryExpr:
			ok = ok && n.Op != token.ARROW && n.Op != token.AND
		case *ast.CallExpr:
			ok = ok && e.harmlessCall(n)
		case *ast.Ident:
			_, written := e.written[e.object(n)]
			ok = ok && !written && !e.touched[e.object(n)]
		case *ast.SelectorExpr:
			if id, isVar := ast.Unparen(n.X).(*ast.Ident); isVar && e.touched[e.object(id)] {
				_, written := e.written[e.object(n.Sel)]
				ok = ok && !written
				return false // another field of a variable that is written
			}
		case *ast.IndexExpr:
			if _, isVar := ast.Unparen(n.X).(*ast.Ident); isVar && e.isOwnEntry(n) {
				return false // no other iteration writes this one
			}
			ok = ok && !e.aliases(n)
		}
		return ok
	})
	return ok
}

// aliases reports whether an element that is read may be one that the loop writes.
func (e *effects) aliases(x *ast.IndexExpr) bool {
	t := e.info.TypeOf(x.X)
	return t != nil && slices.ContainsFunc(e.types, func(w types.Type) bool { return types.Identical(w, t) })
}

// harmlessCall allows conversions and the builtins that only look.
func (e *effects) harmlessCall(call *ast.CallExpr) bool {
	if e.info.Types[call.Fun].IsType() {
		return true
	}
	switch e.builtin(call) {
	case "len", "cap", "min", "max":
		return true
	default:
		return false
	}
}

// builtin returns the name of the builtin that is called, or "".
func (e *effects) builtin(call *ast.CallExpr) string {
	id, ok := ast.Unparen(call.Fun).(*ast.Ident)
	if !ok {
		return ""
	}
	if b, ok := e.info.Uses[id].(*types.Builtin); ok {
		return b.Name()
	}
	return ""
}

// isOwnEntry reports whether x is the entry of some map under the key of the loop.
func (e *effects) isOwnEntry(x ast.Expr) bool {
	index, ok := ast.Unparen(x).(*ast.IndexExpr)
	return ok && isMap(e.info, index.X) && e.isKey(index.Index)
}

func (e *effects) isKey(x ast.Expr) bool {
	id, ok := ast.Unparen(x).(*ast.Ident)
	return ok && e.key != nil && e.info.Uses[id] == e.key
}

// isLocal reports whether x is a variable declared inside the loop.
func (e *effects) isLocal(x ast.Expr) bool {
	id, ok := ast.Unparen(x).(*ast.Ident)
	return ok && e.local[e.object(id)]
}

func (e *effects) object(id *ast.Ident) types.Object {
	if obj := e.info.Uses[id]; obj != nil {
		return obj
	}
	return e.info.Defs[id]
}

func (e *effects) isInteger(x ast.Expr) bool { return e.basic(x)&types.IsInteger != 0 }

func (e *effects) isFloat(x ast.Expr) bool { return e.basic(x)&types.IsFloat != 0 }

func (e *effects) basic(x ast.Expr) types.BasicInfo {
	t := e.info.TypeOf(x)
	if t == nil {
		return 0
	}
	b, ok := t.Underlying().(*types.Basic)
	if !ok {
		return 0
	}
	return b.Info()
}

// sameVariable reports whether two expressions are the same variable or the same chain of fields.
func sameVariable(info *types.Info, a, b ast.Expr) bool {
	switch a := ast.Unparen(a).(type) {
	case *ast.Ident:
		b, ok := ast.Unparen(b).(*ast.Ident)
		return ok && info.Uses[a] != nil && info.Uses[a] == info.Uses[b]
	case *ast.SelectorExpr:
		b, ok := ast.Unparen(b).(*ast.SelectorExpr)
		return ok && info.Uses[a.Sel] == info.Uses[b.Sel] && sameVariable(info, a.X, b.X)
	default:
		return false
	}
}
