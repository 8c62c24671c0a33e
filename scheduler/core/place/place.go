package place

import (
	"slices"

	"caravan/scheduler/core/block"
	"caravan/scheduler/core/demand"
	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/pack"
	"caravan/scheduler/core/potential"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

// maxClasses bounds the request classes that are kept from one cycle to the next.
const maxClasses = 1 << 14

// Placer places tasks on a fleet.
type Placer struct {
	tuning potential.Config
	fleet  fleet.Fleet
	table  *request.Table
	known  []known // by class id
	cycle  uint64

	// wanted are the attributes that this cycle's classes ask about.
	wanted    names
	catalogue *catalogue
	sites     []site
	left      left
	looks     int64 // what Fetch returned
	// run is the state that the last task went to, and ahead how many more of its nodes were fetched.
	run      int32
	ahead    int
	oddNodes []int32
	states   *potential.Index
	mix      tuned
	// seen counts the fleet's changes that the index has taken in.
	seen              int
	maxCPU, maxMemory int64

	odd             *pack.Packer
	steps, maxSteps int64
	shares          block.Pool[model.DeviceShare]
	// ids are the names of all nodes' devices, a node's from its site's first on: so that handing out a
	// device needs no look at the node's record.
	ids    []string
	rooms  []int64
	chosen []int // the positions of the devices that Devices returned last, of a node found by state
}

// known is what is kept of a class.
type known struct {
	class *request.Class
	// met is the last cycle in which the class was looked at; plain belongs to it.
	met   uint64
	plain bool
}

// Input is what a cycle begins with.
type Input struct {
	// Nodes are sorted by name. Neither they nor what they point to may change later.
	Nodes []fleet.View
	// Jobs are those that may be placed: shapes are told apart by what they ask about.
	Jobs []*model.Job
	Mix  demand.Mix
	// MaxSteps is the number of steps after which Exhausted reports true.
	MaxSteps int64
}

// New returns a placer without nodes. The tuning's zero value is the default; what is wrong with it is
// the error.
func New(tuning potential.Config) (*Placer, error) {
	p := &Placer{tuning: tuning, table: request.NewTable()}
	if _, err := p.fallback(nil); err != nil {
		return nil, err
	}
	return p, nil
}

// Begin begins a cycle; all that was placed before is forgotten, and the device shares that were handed out
// are written over.
func (p *Placer) Begin(in Input) {
	news := p.fleet.Load(in.Nodes)
	p.seen = 0
	p.cycle++
	p.steps, p.maxSteps = 0, in.MaxSteps
	p.shares.Reset()
	p.odd = pack.New(&p.fleet, &p.shares)
	if p.table.Len() > maxClasses {
		p.table, p.known = request.NewTable(), nil
		if p.states != nil {
			p.states.Forget()
		}
	}
	mix := in.Mix
	if mix.Empty() {
		mix = demand.Default()
	}
	wanted := ask(in.Jobs, &mix)
	if news.Renewed || p.states == nil || !p.fits(&wanted) || !p.renew(news.Nodes) {
		p.build(wanted, mix)
	} else {
		p.sync()
		p.retune(mix, len(news.Nodes) > 0)
	}
	p.wanted = wanted
	p.states.Settle()
}

// ask collects what jobs with waiting tasks, and the mix, ask about.
func ask(jobs []*model.Job, mix *demand.Mix) (n names) {
	for _, j := range jobs {
		for g := range j.Groups {
			if j.Groups[g].Waiting.Empty() {
				continue
			}
			spec := &j.Spec.Groups[g]
			n.add(spec.Constraints)
			for v := range spec.Variants {
				n.add(spec.Variants[v].Constraints)
				n.addDevices(spec.Variants[v].Resources.Devices)
			}
		}
	}
	for _, list := range [...][]demand.Weighted{mix.Values, mix.Prices} {
		for i := range list {
			n.addDevices(list[i].Class.Devices)
		}
	}
	return n
}

// fits reports whether the catalogue tells nodes apart by all that is asked about. Shapes may be finer
// than need be, models not, because there may be but so many.
func (p *Placer) fits(wanted *names) bool {
	have := &p.catalogue.names
	for _, name := range wanted.node {
		if !slices.Contains(have.node, name) {
			return false
		}
	}
	return slices.Equal(have.device, wanted.device)
}

// renew looks again at nodes that are no longer what they were. It reports false when everything has to
// be built anew: because a device model came or went, or a node is larger than any before.
func (p *Placer) renew(nodes []int32) bool {
	for _, i := range nodes {
		n := p.fleet.At(int(i))
		s, known := p.catalogue.site(n.Node, n.Usable)
		if !known || s.odd != p.sites[i].odd || s.model != p.sites[i].model {
			return false
		}
		s.first = p.sites[i].first
		if s.devices != p.sites[i].devices {
			return false
		}
		p.sites[i] = s
		for d := range n.Node.Devices {
			p.ids[int(s.first)+d] = n.Node.Devices[d].ID
		}
	}
	return p.maxCPU == p.fleet.MaxCPUMilli && p.maxMemory == p.fleet.MaxMemoryMiB
}

// build makes the catalogue and the index.
func (p *Placer) build(wanted names, mix demand.Mix) {
	p.catalogue = newCatalogue(wanted)
	p.sites = p.sites[:0]
	p.oddNodes = p.oddNodes[:0]
	p.ids = p.ids[:0]
	for i := range p.fleet.Len() {
		n := p.fleet.At(i)
		s, _ := p.catalogue.site(n.Node, n.Usable)
		s.first = int32(len(p.ids)) //nolint:gosec // of the devices of a fleet
		p.sites = append(p.sites, s)
		for d := range n.Node.Devices {
			p.ids = append(p.ids, n.Node.Devices[d].ID)
		}
		if s.odd {
			p.oddNodes = append(p.oddNodes, int32(i))
		}
	}
	p.left.reset(len(p.ids))
	p.maxCPU, p.maxMemory = p.fleet.MaxCPUMilli, p.fleet.MaxMemoryMiB
	p.mix = p.resolve(mix)
	p.states = potential.NewIndex(p.potentialOf(p.mix.values), potential.IndexConfig{
		Nodes: p.fleet.Len(), MaxCPUMilli: p.maxCPU, MaxMemoryMiB: p.maxMemory, Serves: p.serves,
	})
	p.states.Reprice(p.mix.prices)
	for i := range p.sites {
		p.set(i)
	}
	p.seen = p.fleet.Changes()
}

// serves reports whether nodes of a shape could ever serve a class.
func (p *Placer) serves(class int, shape int32) bool {
	_, ok := p.known[class].class.Serves(p.catalogue.examples[shape])
	return ok
}

// fetched is how many nodes' books are fetched from memory at once.
const fetched = 64

// sync takes in what changed since the index was last used.
func (p *Placer) sync() {
	if p.seen == p.fleet.Changes() {
		return
	}
	changed := p.fleet.Changed(p.seen)
	for len(changed) > 0 {
		some := changed[:min(fetched, len(changed))]
		if len(some) > 1 {
			p.looks += p.fleet.Fetch(some) + p.left.fetch(some, p.sites)
		}
		for _, node := range some {
			p.set(int(node))
		}
		changed = changed[len(some):]
	}
	p.seen = p.fleet.Changes()
}

// set tells the index what a node has left.
func (p *Placer) set(i int) {
	s := &p.sites[i]
	if s.odd || !p.left.note(p.fleet.At(i), s, p.catalogue.offers) {
		return
	}
	p.states.Set(i, p.left.state(s))
}

// Intern returns the class of a group's variant, the same for equal demands as long as the cycle lasts.
func (p *Placer) Intern(g *model.TaskGroup, v *model.Variant) *request.Class {
	c := p.table.Intern(g, v)
	for len(p.known) <= c.ID {
		p.known = append(p.known, known{})
	}
	p.known[c.ID].class = c
	return c
}

// Classes returns how many classes were met so far, in this cycle or before: their ids are below it.
func (p *Placer) Classes() int { return p.table.Len() }

// meet looks at a class for the first time in a cycle, and reports whether it is plain.
func (p *Placer) meet(c *request.Class) bool {
	k := &p.known[c.ID]
	if k.met != p.cycle {
		k.met = p.cycle
		k.plain = describable(c) && p.wanted.covers(c)
		if k.plain {
			p.steps += 1 + int64(p.fleet.Len())/nodesPerStep
		}
	}
	if k.plain && !p.states.Knows(c.ID) {
		p.states.Class(c.ID, p.catalogue.request(c))
	}
	return k.plain
}

// nodesPerStep is how many nodes' states are compared with a class for one step.
const nodesPerStep = 16

// Plain reports whether a class is looked at by states instead of by nodes.
func (p *Placer) Plain(c *request.Class) bool { return p.meet(c) }

// Exhausted reports whether the steps are used up: whoever places asks first, and what was begun is
// finished.
func (p *Placer) Exhausted() bool { return p.Steps() >= p.maxSteps }

// Steps returns the work of the cycle: one for each placement, and for each class that is first looked
// at one for every 16 nodes, or for every node where nodes are looked at one by one.
func (p *Placer) Steps() int64 { return p.steps + p.odd.Steps() }

// Fleet returns the nodes as they are now.
func (p *Placer) Fleet() *fleet.Fleet { return &p.fleet }

// Groups yields the nodes in groups that are alike but for their names, in no order that means anything:
// the first of each, how many they are, and a number for those that are alike in what they are, -1 for a
// node on its own.
func (p *Placer) Groups(yield func(first int32, count int64, shape int32) bool) {
	p.sync()
	for g := range p.states.Groups {
		if !yield(g.First, g.Count, g.State.Shape) {
			return
		}
	}
	for _, node := range p.oddNodes {
		if !yield(node, 1, -1) {
			return
		}
	}
}
