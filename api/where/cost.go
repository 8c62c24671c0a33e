package where

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// What one node may hold at most, for the estimate.
const (
	mostText       = 256
	mostDevices    = 64
	mostAttributes = 128
)

// sizes estimates how large what a node says of itself may be.
type sizes struct{}

// EstimateSize answers by type: a text, the devices, the attributes.
func (sizes) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	most := uint64(mostText)
	switch element.Type().Kind() {
	case types.ListKind:
		most = mostDevices
	case types.MapKind:
		most = mostAttributes
	case types.StringKind, types.DynKind, types.BytesKind:
	default:
		return nil
	}
	return &checker.SizeEstimate{Min: 0, Max: most}
}

// EstimateCallCost leaves calls to the language's own estimate.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// named reports whether an expression looks at a node's name.
func named(a *cel.Ast) bool {
	found := false
	ast.PostOrderVisit(a.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.SelectKind {
			return
		}
		s := e.AsSelect()
		found = found || s.FieldName() == "name" && s.Operand().Kind() == ast.IdentKind && s.Operand().AsIdent() == OnNode.String()
	}))
	return found
}
