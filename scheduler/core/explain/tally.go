package explain

import (
	"cmp"

	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// tally collects what examine learns of a class.
type tally struct {
	verdict
	checks     *checks
	rejections []Rejection // by check
	// sole counts by check the nodes that this check alone keeps away even
	// when empty, and soleNear is the first such node with the least shortfall.
	sole     []int64
	soleNear []candidate
	// restorable is the first node that would fit if it, or its devices, were back.
	restorable candidate
	nearest    candidate
	near       nearness
}

// candidate is a node with its position; the zero value is none.
type candidate struct {
	*fleet.Node
	at    int32
	short int64
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
	t := &tally{checks: k, rejections: make([]Rejection, k.count()), sole: make([]int64, k.count()), soleNear: make([]candidate, k.count())}
	t.examined = true
	t.trace.Nodes = int64(e.fleet.Len())
	e.looks += 1 + t.trace.Nodes/nodesPerLook
	e.turn++
	if e.alike != nil && e.plain(c) {
		e.byGroups(t)
	} else {
		for i := range e.fleet.Len() {
			n := e.fleet.At(i)
			f := k.fix(n, &e.whole, false)
			t.look(n, int32(i), 1, &f)
		}
	}
	for check := range t.rejections {
		if r := t.rejections[check]; r.Nodes > 0 {
			r.Constraint = k.label(check)
			t.trace.Rejections = append(t.trace.Rejections, r)
		}
	}
	if t.nearest.Node != nil {
		t.trace.NearestNode = t.nearest.Node.Node.Name
		t.trace.NearestLacks = k.lacks(t.near.check, t.nearest.Node)
	}
	t.trace.Hint = t.hint()
	return &t.verdict
}

// nodesPerLook is how many nodes are looked at for one step.
const nodesPerLook = 8

// byGroups looks at one node of each group, and at what its shape fixes once.
func (e *Explainer) byGroups(t *tally) {
	if e.groups == nil {
		e.alike(func(first int32, count int64, shape int32) bool {
			e.groups = append(e.groups, group{first: first, shape: shape, count: count})
			for len(e.fixed) <= int(shape) {
				e.fixed = append(e.fixed, fixed{})
			}
			return true
		})
	}
	for _, g := range e.groups {
		n := e.fleet.At(int(g.first))
		if g.shape < 0 {
			f := t.checks.fix(n, &e.whole, false)
			t.look(n, g.first, g.count, &f)
			continue
		}
		f := &e.fixed[g.shape]
		if f.turn != e.turn {
			*f = t.checks.fix(n, &e.whole, true)
			f.turn = e.turn
		}
		t.look(n, g.first, g.count, f)
	}
}

// fixed is what is so of a node for a class whatever it has left.
type fixed struct {
	turn  int
	takes bool
	// check is the first state, constraint or kind of device that is in the
	// way, -1 for none; sole the only check that keeps it away when empty, -1
	// for none or several. Their shortfalls are -1 when they depend on what is
	// left.
	check, sole           int
	checkShort, soleShort int64
	// restored is how many tasks fit with all back and empty, empty how many
	// with nothing running; fits says whether any does.
	restored, empty int64
	fits            bool
	match           pack.Match
	uniform         bool
}

// fix finds what is so of a node whatever it has left. uniform says that its
// devices are all alike. whole is scratch space.
func (k *checks) fix(n *fleet.Node, whole *resource.Free, uniform bool) fixed {
	emptied(whole, n.Node)
	f := fixed{
		takes: n.Usable && n.Node.Simulated == k.class.Simulated, uniform: uniform,
		check: k.state(n), sole: -1, checkShort: -1, soleShort: -1,
	}
	if i, ok := k.class.Serves(n.Node); f.check < 0 && !ok {
		f.check = firstConstraint + i
	}
	m, failing, ok := pack.AppendMatch(nil, k.class, n.Node)
	f.match = m
	if f.check < 0 && !ok {
		f.check = k.firstDevice() + failing
	}
	if f.check < 0 && k.resources(n.Node, whole) < 0 {
		f.fits, f.empty = true, k.room(n, whole)
	}
	if !f.fits {
		if check, ok := k.only(n, whole); ok {
			f.sole = check
			f.soleShort = k.fixedShortfall(check, n)
		}
	}
	if f.check >= 0 {
		f.checkShort = k.fixedShortfall(f.check, n)
	}
	f.restored = k.ifRestored(n, whole)
	return f
}

// emptied writes what a node offers when nothing runs on it.
func emptied(f *resource.Free, n *model.Node) {
	f.CPUMilli, f.MemoryMiB, f.DiskMiB = n.CPUMilli, n.MemoryMiB, n.DiskMiB
	f.Tasks, f.Exclusive, f.Devices = 0, false, f.Devices[:0]
	for i := range n.Devices {
		d := &n.Devices[i]
		f.Devices = append(f.Devices, resource.DeviceFree{Thousandths: d.Thousandths, MemoryMiB: d.MemoryMiB, Media: d.Media(), Healthy: d.Healthy})
	}
}

// ifRestored returns how many tasks the node would hold if it were back,
// undrained, empty, and all its devices in good health. It heals whole.
func (k *checks) ifRestored(n *fleet.Node, whole *resource.Free) int64 {
	if _, ok := k.class.Serves(n.Node); !ok {
		return 0
	}
	for i := range whole.Devices {
		whole.Devices[i].Healthy = true
	}
	if k.resources(n.Node, whole) >= 0 {
		return 0
	}
	return k.room(n, whole)
}

// look examines one node for all of a group.
func (t *tally) look(n *fleet.Node, at int32, count int64, f *fixed) {
	k := t.checks
	if f.takes {
		t.takers += count
	}
	t.ever.add(f.restored, count)
	if f.restored > 0 && (t.restorable.Node == nil || at < t.restorable.at) {
		t.restorable = candidate{Node: n, at: at}
	}
	check := f.check
	if check < 0 {
		check = k.left(n, f)
	}
	t.empty.add(f.empty, count)
	if check < 0 {
		t.trace.Fits += count
		t.now.add(pack.Room(k.class, f.match, n.Node, n.Free, model.MaxGangSize), count)
		return
	}
	r := &t.rejections[check]
	r.Nodes += count
	near := nearness{check: check, short: f.checkShort}
	if near.short < 0 {
		near.short = k.shortfallOf(check, n, f)
	}
	if f.restored > 0 {
		near.hope = 1
	}
	if f.fits {
		r.IfEmpty += count
		near.hope = 2
	} else if f.sole >= 0 {
		t.alone(n, at, count, f)
	}
	if c := near.compare(t.near); t.nearest.Node == nil || c > 0 || c == 0 && at < t.nearest.at {
		t.nearest, t.near = candidate{Node: n, at: at}, near
	}
}

// alone counts nodes that one check alone keeps away.
func (t *tally) alone(n *fleet.Node, at int32, count int64, f *fixed) {
	t.sole[f.sole] += count
	short := f.soleShort
	if short < 0 {
		short = t.checks.shortfallOf(f.sole, n, f)
	}
	if m := &t.soleNear[f.sole]; m.Node == nil || short < m.short || short == m.short && at < m.at {
		*m = candidate{Node: n, at: at, short: short}
	}
}

// left returns the first check of devices, cores, memory and disk that fails
// on what a node has left, or -1. Nothing fixed is in the way.
func (k *checks) left(n *fleet.Node, f *fixed) int {
	if !k.fitter.Devices(k.class, f.match, n.Node, n.Free) {
		return k.firstDevice() + k.fitter.Failing()
	}
	return k.hostLeft(n.Free)
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
