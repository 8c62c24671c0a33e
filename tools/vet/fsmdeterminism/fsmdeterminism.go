// Package fsmdeterminism reports whatever would let two replicas, or two runs, of a pure package
// come to different results: clocks, timers, randomness, the operating system, goroutines, and
// choices left to the runtime. The lists are in package rules. There is no directive to silence it:
// what it reports belongs in another package.
package fsmdeterminism

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"

	"golang.org/x/tools/go/analysis"

	"caravan/tools/vet/rules"
	"caravan/tools/vet/scope"
)

// Analyzer is the check for go vet.
var Analyzer = &analysis.Analyzer{
	Name: "fsmdeterminism",
	Doc:  "report clocks, randomness, I/O and goroutines in the packages that decide and apply",
	Run:  run,
}

func run(pass *analysis.Pass) (any, error) {
	path := pass.Pkg.Path()
	if !rules.IsPure(path) {
		return nil, nil
	}
	c := checker{pass: pass, stateless: rules.IsStateless(path)}
	for _, file := range scope.Files(pass) {
		for _, spec := range file.Imports {
			c.imported(spec)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			c.node(n)
			return true
		})
	}
	return nil, nil
}

type checker struct {
	pass      *analysis.Pass
	stateless bool
}

func (c checker) imported(spec *ast.ImportSpec) {
	path, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return // not valid Go: the compiler says so
	}
	if ban, found := rules.Find(rules.Imports, path); found {
		c.pass.Reportf(spec.Pos(), "%s must not be imported here: %s", path, ban.Why)
	}
}

func (c checker) node(n ast.Node) {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.pass.Reportf(n.Pos(), "a pure package starts no goroutine: return the work to the caller")
	case *ast.SelectStmt:
		c.selection(n)
	case *ast.Ident:
		c.use(n)
	case *ast.ChanType:
		c.channel(n.Pos())
	case *ast.SendStmt:
		c.channel(n.Arrow)
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			c.channel(n.Pos())
		}
	case *ast.RangeStmt:
		if t := c.pass.TypesInfo.TypeOf(n.X); t != nil {
			if _, isChan := t.Underlying().(*types.Chan); isChan {
				c.channel(n.Pos())
			}
		}
	}
}

// selection reports a select that leaves a choice between ready channels to the runtime. One channel
// with a default is a notification that does not wait, which the replicated packages may use.
func (c checker) selection(s *ast.SelectStmt) {
	cases := 0
	for _, clause := range s.Body.List {
		if comm, ok := clause.(*ast.CommClause); ok && comm.Comm != nil {
			cases++
		}
	}
	if cases > 1 {
		c.pass.Reportf(s.Pos(), "select picks among %d ready channels at random: use one channel", cases)
	}
}

func (c checker) channel(pos token.Pos) {
	if c.stateless {
		c.pass.Reportf(pos, "a stateless package has no channels: take and return values")
	}
}

func (c checker) use(id *ast.Ident) {
	obj := c.pass.TypesInfo.Uses[id]
	if b, ok := obj.(*types.Builtin); ok && (b.Name() == "print" || b.Name() == "println") {
		c.pass.Reportf(id.Pos(), "%s must not be used here: return the text: the caller prints", b.Name())
		return
	}
	name := scope.ObjectName(obj)
	if name == "" {
		return
	}
	for _, ban := range rules.Objects {
		if ban.Name == name {
			c.pass.Reportf(id.Pos(), "%s must not be used here: %s", name, ban.Why)
			return
		}
	}
	if !c.stateless || slices.Contains(rules.Synchronised, name) {
		return
	}
	for _, ban := range rules.Synchronisation {
		if obj.Pkg().Path() == ban.Name {
			if _, isMethod := methodOf(obj); !isMethod {
				c.pass.Reportf(id.Pos(), "%s must not be used here: %s", name, ban.Why)
			}
			return
		}
	}
}

// methodOf reports whether an object is a method: its receiver's type has been reported already.
func methodOf(obj types.Object) (*types.Func, bool) {
	fn, ok := obj.(*types.Func)
	return fn, ok && fn.Signature().Recv() != nil
}
