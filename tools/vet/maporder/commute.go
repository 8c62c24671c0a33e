package maporder

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// effects collects what a loop body writes, and how. A body commutes when
//   - every statement writes in one of the known ways, and each variable in one way only;
//   - nothing that it reads is among what it writes;
//   - everything it evaluates is free of calls, but for conversions and a few builtins.
//
// This is a syntactic proof: it knows nothing of pointers that lead to the same place, except that a
// field is written in one way wherever it sits.
type effects struct {
	info    *types.Info
	key     types.Object            // the key of the outermost loop
	nested  int                     // map loops around, inside the outermost one
	written map[types.Object]string // variable or field -> the way it is written
	touched map[types.Object]bool   // variables from outside of which a field is written
	local   map[types.Object]bool   // declared inside the loop: lives for one iteration
	types   []types.Type            // types of the slices and maps that are written by index
	reads   []ast.Expr              // checked at the end, when all writes are known
	returns []string                // constants returned from inside the loop
}

func newEffects(info *types.Info) *effects {
	return &effects{
		info:    info,
		written: map[types.Object]string{},
		touched: map[types.Object]bool{},
		local:   map[types.Object]bool{},
	}
}

// Ways of writing that are looked up by name.
const (
	collect  = "append"    // a variable that grows by append
	ownEntry = "own entry" // the entry of a map under the key of the outermost loop
)

// collected returns the slices that the loop appends to.
func (e *effects) collected() []types.Object {
	var out []types.Object
	for obj, way := range e.written {
		if way == collect {
			out = append(out, obj)
		}
	}
	return out
}

// outermost reports whether the body of a loop over a map commutes.
func (e *effects) outermost(loop *ast.RangeStmt) bool {
	if loop.Tok == token.ASSIGN {
		return false // the last key and value stay in outer variables
	}
	if id, ok := loop.Key.(*ast.Ident); ok {
		e.key = e.info.Defs[id]
	}
	e.declare(loop.Key, loop.Value)
	return e.block(loop.Body) && e.readsAreClean() && e.walksStably(loop.X)
}

// walksStably reports whether the loop leaves the map it walks alone, except for the current entry:
// whether a new entry is still visited is up to the runtime.
func (e *effects) walksStably(x ast.Expr) bool {
	stable := true
	ast.Inspect(x, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			way, written := e.written[e.object(id)]
			stable = stable && (!written || way == ownEntry)
		}
		return stable
	})
	return stable
}

func (e *effects) declare(names ...ast.Expr) {
	for _, n := range names {
		if id, ok := n.(*ast.Ident); ok {
			if obj := e.info.Defs[id]; obj != nil {
				e.local[obj] = true
			}
		}
	}
}

func (e *effects) block(b *ast.BlockStmt) bool {
	for _, s := range b.List {
		if !e.stmt(s) {
			return false
		}
	}
	return true
}

func (e *effects) stmt(s ast.Stmt) bool {
	switch s := s.(type) {
	case nil, *ast.EmptyStmt:
		return true
	case *ast.BlockStmt:
		return e.block(s)
	case *ast.IfStmt:
		e.reads = append(e.reads, s.Cond)
		return e.stmt(s.Init) && e.block(s.Body) && e.stmt(s.Else)
	case *ast.RangeStmt:
		return e.inner(s)
	case *ast.SwitchStmt:
		return e.switched(s)
	case *ast.DeclStmt:
		return e.declared(s)
	case *ast.BranchStmt:
		return s.Tok == token.CONTINUE && s.Label == nil
	case *ast.IncDecStmt:
		return e.isInteger(s.X) && e.write(s.X, "+")
	case *ast.AssignStmt:
		return e.assign(s)
	case *ast.ExprStmt:
		return e.deletion(s.X)
	case *ast.ReturnStmt:
		return e.constantReturn(s)
	default:
		return false
	}
}

// switched checks a switch over values.
func (e *effects) switched(s *ast.SwitchStmt) bool {
	if s.Tag != nil {
		e.reads = append(e.reads, s.Tag)
	}
	if !e.stmt(s.Init) {
		return false
	}
	for _, clause := range s.Body.List {
		c, ok := clause.(*ast.CaseClause)
		if !ok {
			return false
		}
		e.reads = append(e.reads, c.List...)
		for _, inner := range c.Body {
			if !e.stmt(inner) {
				return false
			}
		}
	}
	return true
}

// declared checks a declaration of variables.
func (e *effects) declared(s *ast.DeclStmt) bool {
	decl, ok := s.Decl.(*ast.GenDecl)
	if !ok || decl.Tok != token.VAR {
		return ok && decl.Tok == token.CONST
	}
	for _, spec := range decl.Specs {
		if v, ok := spec.(*ast.ValueSpec); ok {
			for _, name := range v.Names {
				e.declare(name)
			}
			e.reads = append(e.reads, v.Values...)
		}
	}
	return true
}

// inner checks a loop inside the loop. Keys of an inner map repeat from one outer element to the
// next, so inside of it nothing may be written by key.
func (e *effects) inner(s *ast.RangeStmt) bool {
	if s.Tok == token.ASSIGN {
		return false
	}
	t := e.info.TypeOf(s.X)
	if t == nil {
		return false
	}
	switch t.Underlying().(type) {
	case *types.Map:
		e.nested++
		defer func() { e.nested-- }()
	case *types.Slice, *types.Array, *types.Pointer, *types.Basic:
	default: // channels and iterators run code of their own
		return false
	}
	e.declare(s.Key, s.Value)
	e.reads = append(e.reads, s.X)
	return e.block(s.Body)
}

// commutative maps the assignment operators whose order does not matter to the way they write. On
// integers they commute even when they overflow.
var commutative = map[token.Token]string{
	token.ADD_ASSIGN: "+", token.SUB_ASSIGN: "+", token.MUL_ASSIGN: "*",
	token.OR_ASSIGN: "|", token.AND_ASSIGN: "&", token.XOR_ASSIGN: "^", token.AND_NOT_ASSIGN: "&^",
}

func (e *effects) assign(s *ast.AssignStmt) bool {
	if way, ok := commutative[s.Tok]; ok {
		e.reads = append(e.reads, s.Rhs[0])
		return e.isInteger(s.Lhs[0]) && e.write(s.Lhs[0], way)
	}
	if s.Tok == token.DEFINE {
		e.declare(s.Lhs...)
		e.reads = append(e.reads, s.Rhs...)
		return true // in a block of its own, := reuses only variables of that block
	}
	if s.Tok != token.ASSIGN || len(s.Lhs) != len(s.Rhs) {
		return false
	}
	for i, lhs := range s.Lhs {
		if !e.set(lhs, s.Rhs[i]) {
			return false
		}
	}
	return true
}

// set checks one plain assignment.
func (e *effects) set(lhs, rhs ast.Expr) bool {
	if id, ok := lhs.(*ast.Ident); ok && id.Name == "_" {
		e.reads = append(e.reads, rhs)
		return true
	}
	if tv := e.info.Types[rhs]; tv.Value != nil {
		return e.write(lhs, "constant "+tv.Value.ExactString())
	}
	if e.nested == 0 && e.isOwnEntry(lhs) {
		e.reads = append(e.reads, rhs)
		return e.write(lhs, ownEntry)
	}
	if e.isLocal(lhs) && !e.isKey(lhs) {
		e.reads = append(e.reads, rhs)
		return true
	}
	call, ok := rhs.(*ast.CallExpr)
	if !ok || len(call.Args) < 2 || !sameVariable(e.info, lhs, call.Args[0]) {
		return false
	}
	e.reads = append(e.reads, call.Args[1:]...)
	switch e.builtin(call) {
	case "append":
		_, plain := lhs.(*ast.Ident)
		return plain && e.write(lhs, collect)
	case "min", "max":
		return !e.isFloat(lhs) && e.write(lhs, e.builtin(call))
	default:
		return false
	}
}

// deletion allows delete(m, k) with the key of the loop.
func (e *effects) deletion(x ast.Expr) bool {
	call, ok := x.(*ast.CallExpr)
	if !ok || e.builtin(call) != "delete" {
		return false
	}
	return e.nested == 0 && e.isKey(call.Args[1]) && e.write(&ast.IndexExpr{X: call.Args[0], Index: call.Args[1]}, ownEntry)
}

// constantReturn allows leaving the loop with a constant, as a search for any element does.
func (e *effects) constantReturn(s *ast.ReturnStmt) bool {
	var texts []string
	for _, r := range s.Results {
		tv := e.info.Types[r]
		switch {
		case tv.Value != nil:
			texts = append(texts, tv.Value.ExactString())
		case tv.IsNil():
			texts = append(texts, "nil")
		default:
			return false
		}
	}
	e.returns = append(e.returns, strings.Join(texts, ","))
	return true
}

// write notes that a place is written in a way, and reports whether that is the only way so far.
func (e *effects) write(place ast.Expr, way string) bool {
	var root *ast.Ident
	switch p := ast.Unparen(place).(type) {
	case *ast.Ident:
		if e.isKey(p) {
			return false
		}
		if e.isLocal(p) {
			return true
		}
		root = p
	case *ast.SelectorExpr:
		root = p.Sel
		e.field(p)
	case *ast.IndexExpr:
		e.reads = append(e.reads, p.Index)
		if !e.isOwnEntry(p) {
			e.types = append(e.types, e.info.TypeOf(p.X))
		}
		switch x := ast.Unparen(p.X).(type) {
		case *ast.Ident:
			root = x
		case *ast.SelectorExpr:
			root = x.Sel
			e.field(x)
		default:
			return false
		}
	default:
		return false
	}
	obj := e.object(root)
	if before, seen := e.written[obj]; obj == nil || seen && before != way {
		return false
	}
	e.written[obj] = way
	return true
}

// field notes the variable that a written field belongs to.
func (e *effects) field(sel *ast.SelectorExpr) {
	id, ok := ast.Unparen(sel.X).(*ast.Ident)
	if !ok {
		e.reads = append(e.reads, sel.X)
		return
	}
	if !e.isLocal(id) {
		e.touched[e.object(id)] = true
	}
}
