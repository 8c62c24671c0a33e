package explain

import (
	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/request"
	"caravan/scheduler/resource"
)

// Explainer examines classes against a fleet.
type Explainer struct {
	fleet    *fleet.Fleet
	fitter   pack.Fitter
	verdicts map[int]*verdict // by class id
	// looks counts the work; maxLooks bounds it.
	looks, maxLooks int64

	// alike yields the nodes in groups, and plain says which classes cannot
	// tell the nodes of a group apart; nil when every node is looked at.
	alike  Groups
	plain  func(*request.Class) bool
	groups []group // as alike yields them, once it was asked
	// fixed keeps by shape what holds for all its nodes, for one class.
	fixed []fixed
	turn  int
	whole resource.Free
}

// Groups yields nodes in groups that are alike but for their names: the first
// of each, how many they are, and a number for those that are alike in what
// they are, whatever they have left; -1 for a node on its own.
type Groups func(yield func(first int32, count int64, shape int32) bool)

type group struct {
	first int32
	shape int32
	count int64
}

// verdict is what is known of a class, shared by all that wait in it.
type verdict struct {
	trace VariantTrace
	// takers counts the nodes of the right sort that take work.
	takers int64
	// now, empty and ever add up what the nodes hold: as things are, with
	// nothing running, and with every node and device back as well.
	now, empty, ever capacity
	examined         bool
}

// New returns an explainer that looks at about eight times maxLooks nodes in
// all: a look at the whole fleet that was begun is finished.
func New(f *fleet.Fleet, maxLooks int64) *Explainer {
	return &Explainer{fleet: f, maxLooks: maxLooks, verdicts: make(map[int]*verdict)}
}

// Alike lets the explainer look at groups of nodes instead of at each, for
// classes that are plain. What it says is the same.
func (e *Explainer) Alike(groups Groups, plain func(*request.Class) bool) {
	e.alike, e.plain = groups, plain
}

// Group fills in the code and the variants of a group whose next tasks, as many
// as are needed together, found no room. Names stand parallel to classes. bars
// are the rules that close nodes to the group, nil for none.
func (e *Explainer) Group(t *GroupTrace, names []string, classes []*request.Class, need Need, bars *Bars) {
	takers, never := false, true
	for i, c := range classes {
		v := e.class(c)
		takers = takers || v.takers > 0 || !v.examined
		never = never && v.examined && v.ever.of(need) < need.Tasks
		shown := v.trace
		shown.Variant = names[i]
		if need.Tasks > 1 && v.now.of(need) < need.Tasks && v.examined {
			shown.Hint = gangHint(v, need)
		}
		if bars != nil && v.examined {
			e.bar(&shown, c, need, bars)
		}
		t.Variants = append(t.Variants, shown)
	}
	switch {
	case !takers:
		t.Code = NoNodes
	case never:
		t.Code = NeverFits
	default:
		t.Code = NoRoom
	}
}

// class returns the verdict on a class, examining it when first asked.
func (e *Explainer) class(c *request.Class) *verdict {
	if v := e.verdicts[c.ID]; v != nil {
		return v
	}
	v := &verdict{}
	if e.looks < e.maxLooks {
		v = e.examine(c)
	} else {
		v.trace.Nodes = int64(e.fleet.Len())
		v.trace.Hint = "not examined: too many different requests wait; look again later"
	}
	e.verdicts[c.ID] = v
	return v
}
