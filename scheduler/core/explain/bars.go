package explain

import (
	"fmt"
	"slices"

	"caravan/scheduler/core/request"
)

// Bars are rules that close nodes to a group whatever these have left.
type Bars struct {
	// Labels names the rules.
	Labels []string
	// Rule is, for each node by position, the rule that closes it, -1 for none.
	Rule []int16
	// InVain is how many members of a gang had been put down when no node was
	// left for the next.
	InVain int64
}

// bar counts the nodes that a class would fit but for a rule by that rule.
func (e *Explainer) bar(t *VariantTrace, c *request.Class, need Need, bars *Bars) {
	closed := make([]int64, len(bars.Labels))
	nearest := -1
	k := &checks{class: c, fitter: &e.fitter}
	e.looks += 1 + int64(e.fleet.Len())/nodesPerLook
	for i, rule := range bars.Rule {
		n := e.fleet.At(i)
		if rule < 0 {
			continue
		}
		if f := k.fix(n, &e.whole, false); f.check >= 0 || k.left(n, &f) >= 0 {
			continue
		}
		closed[rule]++
		if nearest < 0 {
			nearest = i
		}
	}
	t.Rejections = slices.Clone(t.Rejections)
	worst := 0
	for rule, n := range closed {
		if n == 0 {
			continue
		}
		t.Fits -= n
		t.Rejections = append(t.Rejections, Rejection{Constraint: bars.Labels[rule], Nodes: n})
		if n > closed[worst] {
			worst = rule
		}
	}
	if nearest < 0 || t.Fits > 0 {
		return
	}
	t.NearestNode, t.NearestLacks = e.fleet.At(nearest).Node.Name, "a place that the rules allow: "+bars.Labels[bars.Rule[nearest]]
	t.Hint = fmt.Sprintf("wait for others to end, or loosen the rule: without %q %s would fit", bars.Labels[worst], nodes(closed[worst]))
	if need.Tasks > 1 {
		t.Hint = fmt.Sprintf("the rules leave room for %d of %d members: loosen %q", bars.InVain, need.Tasks, bars.Labels[worst])
	}
}
