package explain

import (
	"cmp"

	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// Explainer examines classes against a fleet.
type Explainer struct {
	fleet    *fleet.Fleet
	fitter   pack.Fitter
	verdicts []*verdict // by class id
	// looks counts nodes looked at; maxLooks bounds them.
	looks, maxLooks int64
}

// verdict is what is known of a class, shared by all that wait in it.
type verdict struct {
	trace VariantTrace
	// takers counts the nodes of the right sort that take work.
	takers int64
	// now, empty and ever add up how many tasks the nodes hold: as things
	// are, with nothing running, and with every node and device back as well.
	now, empty, ever int64
	examined         bool
}

// New returns an explainer that looks at about maxLooks nodes in all: a look
// at the whole fleet that was begun is finished.
func New(f *fleet.Fleet, maxLooks int64) *Explainer {
	return &Explainer{fleet: f, maxLooks: maxLooks}
}

// Group fills in the code and the variants of a group whose next `need` tasks
// together found no room: 1, or all members of a gang. Names stand parallel to
// classes.
func (e *Explainer) Group(t *GroupTrace, names []string, classes []*request.Class, need int64) {
	takers, never := false, true
	for i, c := range classes {
		v := e.class(c)
		takers = takers || v.takers > 0 || !v.examined
		never = never && v.examined && v.ever < need
		shown := v.trace
		shown.Variant = names[i]
		if need > 1 && v.now < need && v.examined {
			shown.Hint = gangHint(v, need)
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
	for len(e.verdicts) <= c.ID {
		e.verdicts = append(e.verdicts, nil)
	}
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

// tally collects what examine learns of a class.
type tally struct {
	verdict
	checks     *checks
	rejections []Rejection // by check
	// sole counts by check the nodes that this check alone keeps away even
	// when empty, and soleNear is the first such node with the least shortfall.
	sole     []int64
	soleNear []*fleet.Node
	// restorable is the first node that would fit if it, or its devices, were back.
	restorable *fleet.Node
	nearest    *fleet.Node
	near       nearness
}

// nearness orders the nodes that do not fit, the nearest being the greatest:
// one that would fit when empty, then one that would fit when back in service,
// then the one that passes most checks, then the one with least missing.
type nearness struct {
	hope  int
	check int
	short int64
}

func (a nearness) compare(b nearness) int {
	return cmp.Or(cmp.Compare(a.hope, b.hope), cmp.Compare(a.check, b.check), cmp.Compare(b.short, a.short))
}

func (e *Explainer) examine(c *request.Class) *verdict {
	k := &checks{class: c, fitter: &e.fitter}
	t := &tally{checks: k, rejections: make([]Rejection, k.count()), sole: make([]int64, k.count()), soleNear: make([]*fleet.Node, k.count())}
	t.examined = true
	t.trace.Nodes = int64(e.fleet.Len())
	for i := range e.fleet.Len() {
		t.look(e.fleet.At(i))
	}
	e.looks += t.trace.Nodes
	for check := range t.rejections {
		if r := t.rejections[check]; r.Nodes > 0 {
			r.Constraint = k.label(check)
			t.trace.Rejections = append(t.trace.Rejections, r)
		}
	}
	if t.nearest != nil {
		t.trace.NearestNode = t.nearest.Node.Name
		t.trace.NearestLacks = k.lacks(t.near.check, t.nearest)
	}
	t.trace.Hint = t.hint()
	return &t.verdict
}

// look examines one node.
func (t *tally) look(n *fleet.Node) {
	k := t.checks
	if n.Usable && n.Node.Simulated == k.class.Simulated {
		t.takers++
	}
	whole := resource.Whole(n.Node)
	restored := t.ifRestored(n, whole)
	t.ever += restored
	if restored > 0 && t.restorable == nil {
		t.restorable = n
	}
	check := k.first(n, n.Free)
	if check < 0 {
		t.trace.Fits++
		t.now += k.room(n, n.Free)
		t.empty += k.room(n, whole)
		return
	}
	r := &t.rejections[check]
	r.Nodes++
	near := nearness{check: check, short: k.shortfall(check, n)}
	if restored > 0 {
		near.hope = 1
	}
	if k.first(n, whole) < 0 {
		r.IfEmpty++
		near.hope = 2
		t.empty += k.room(n, whole)
	} else if sole, ok := k.only(n, whole); ok {
		t.sole[sole]++
		if m := t.soleNear[sole]; m == nil || k.shortfall(sole, n) < k.shortfall(sole, m) {
			t.soleNear[sole] = n
		}
	}
	if t.nearest == nil || near.compare(t.near) > 0 {
		t.nearest, t.near = n, near
	}
}

// ifRestored returns how many tasks the node would hold if it were back,
// undrained, empty, and all its devices in good health.
func (t *tally) ifRestored(n *fleet.Node, whole *resource.Free) int64 {
	if _, ok := t.checks.class.Serves(n.Node); !ok {
		return 0
	}
	healed := whole.Clone()
	for i := range healed.Devices {
		healed.Devices[i].Healthy = true
	}
	if t.checks.resources(n.Node, healed) >= 0 {
		return 0
	}
	return t.checks.room(n, healed)
}

// room returns how many tasks the class has room for on a node that it fits,
// at least 1.
func (k *checks) room(n *fleet.Node, free *resource.Free) int64 {
	m, _, ok := pack.AppendMatch(k.match[:0], k.class, n.Node)
	k.match = m
	if !ok {
		return 0
	}
	return pack.Room(k.class, m, n.Node, free, model.MaxGangSize)
}
