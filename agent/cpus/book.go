package cpus

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"k8s.io/utils/cpuset"
)

// Policy says how tasks are bound.
type Policy string

// Policies; see the package.
const (
	Off   Policy = "off"
	Near  Policy = "near"
	Exact Policy = "exact"
)

// ParsePolicy returns the policy of a word; "" is Near.
func ParsePolicy(word string) (Policy, error) {
	switch p := Policy(word); p {
	case "":
		return Near, nil
	case Off, Near, Exact:
		return p, nil
	}
	return "", fmt.Errorf("binding of processors %q must be off, near or exact", word)
}

// Demand is what a task asks for.
type Demand struct {
	CPUMilli  int64
	MemoryMiB int64
	// Near are the memory nodes of its devices.
	Near []int
}

// Pin is what a task is bound to.
type Pin struct {
	// CPUs and MemoryNodes are lists as in "0-3,8"; "" for all.
	CPUs        string `json:"cpus,omitempty"`
	MemoryNodes string `json:"memory_nodes,omitempty"`
	// Own says that no other task runs on the processors.
	Own bool `json:"own,omitempty"`
	// Note says what did not come as the policy wants it.
	Note string `json:"note,omitempty"`
}

// Config describes a book.
type Config struct {
	Topology Topology
	Policy   Policy
	// Move binds a running task anew; it is called from the goroutine of Take or Release, with no lock
	// held. Nil where nothing can be moved: then Exact is refused.
	Move func(task string, to Pin)
}

// Book keeps what tasks are bound to.
type Book struct {
	cfg Config
	all cpuset.CPUSet

	mu    sync.Mutex // guards tasks
	tasks map[string]*entry
}

type entry struct {
	demand Demand
	pin    Pin
	own    cpuset.CPUSet // empty for a task that shares
}

// New checks the configuration.
func New(cfg Config) (*Book, error) {
	all := cfg.Topology.CPUs()
	switch {
	case all.Size() == 0:
		return nil, errors.New("cpus: the topology has no processors")
	case cfg.Policy == Exact && cfg.Move == nil:
		return nil, errors.New("cpus: tasks that share have to be moved when others get processors for themselves")
	}
	return &Book{cfg: cfg, all: all, tasks: make(map[string]*entry)}, nil
}

// Take binds a task. Repeated it gives the same answer.
func (b *Book) Take(task string, d Demand) Pin {
	b.mu.Lock()
	if e, ok := b.tasks[task]; ok {
		defer b.mu.Unlock()
		return e.pin
	}
	e := &entry{demand: d}
	b.tasks[task] = e
	switch b.cfg.Policy {
	case Near:
		e.pin = b.near(task, d)
	case Exact:
		b.exact(task, e)
	}
	b.mu.Unlock()
	b.move(task)
	return e.pin
}

// Adopt notes what a task was bound to by an earlier agent.
func (b *Book) Adopt(task string, d Demand, p Pin) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &entry{demand: d, pin: p}
	if p.Own {
		if own, err := cpuset.Parse(p.CPUs); err == nil {
			e.own = own
		}
	}
	b.tasks[task] = e
}

// Pin returns what a task is bound to now.
func (b *Book) Pin(task string) (Pin, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.tasks[task]
	if !ok {
		return Pin{}, false
	}
	return e.pin, true
}

// Release forgets a task.
func (b *Book) Release(task string) {
	b.mu.Lock()
	_, known := b.tasks[task]
	delete(b.tasks, task)
	b.mu.Unlock()
	if known {
		b.move(task)
	}
}

// near binds a task to the nodes of its devices; b.mu is held.
func (b *Book) near(task string, d Demand) Pin {
	nodes, set := b.nodes(d.Near)
	if len(nodes) == 0 || len(nodes) == len(b.cfg.Topology.Nodes) {
		return Pin{}
	}
	var asked int64
	for other, e := range b.tasks {
		if other != task && e.pin.CPUs != "" && overlaps(e.pin.CPUs, set) {
			asked += e.demand.CPUMilli
		}
	}
	list := nodeList(nodes)
	if asked+d.CPUMilli > int64(set.Size())*1000 {
		return Pin{Note: "the cores next to its devices, at memory nodes " + list + ", are taken: it runs anywhere"}
	}
	p := Pin{CPUs: set.String()}
	b.bindMemory(&p, task, d, nodes)
	return p
}

// bindMemory binds a task's memory to nodes where it fits; b.mu is held.
func (b *Book) bindMemory(p *Pin, task string, d Demand, nodes []Node) {
	var have int64
	for _, n := range nodes {
		have += n.MemoryMiB
	}
	list := nodeList(nodes)
	var bound int64
	for other, e := range b.tasks {
		if other != task && e.pin.MemoryNodes != "" && sharesNode(e.pin.MemoryNodes, nodes) {
			bound += e.demand.MemoryMiB
		}
	}
	switch {
	case d.MemoryMiB == 0 || have == 0:
	case bound+d.MemoryMiB > have:
		p.Note = join(p.Note, "its memory does not fit memory nodes "+list+": it comes from anywhere")
	default:
		p.MemoryNodes = list
	}
}

// exact gives a task its own processors, or a place among those who share; b.mu is held.
func (b *Book) exact(task string, e *entry) {
	d := e.demand
	count := int(d.CPUMilli / 1000)
	free := b.shared()
	if d.CPUMilli%1000 != 0 || count == 0 || free.Size()-count < b.reserved(task) {
		e.pin = b.share(e)
		if d.CPUMilli%1000 == 0 && count > 0 {
			e.pin.Note = join(e.pin.Note, "too few processors are left to give it its own: it shares")
		}
		return
	}
	nodes, note := b.choose(d, free, count)
	e.own = pick(nodes, free, count)
	e.pin = Pin{CPUs: e.own.String(), Own: true, Note: note}
	var used []Node
	for _, n := range nodes {
		if n.CPUs.Intersection(e.own).Size() > 0 {
			used = append(used, n)
		}
	}
	if len(used) < len(b.cfg.Topology.Nodes) {
		b.bindMemory(&e.pin, task, d, used)
	}
}

// choose returns the nodes whose processors are taken, in this order; b.mu is held.
func (b *Book) choose(d Demand, free cpuset.CPUSet, count int) (nodes []Node, note string) {
	near, set := b.nodes(d.Near)
	if set.Intersection(free).Size() >= count {
		return near, ""
	}
	if len(near) > 0 {
		note = "too few processors are left next to its devices, at memory nodes " + nodeList(near)
	}
	best := -1
	for i, n := range b.cfg.Topology.Nodes {
		left := n.CPUs.Intersection(free).Size()
		if left >= count && (best < 0 || left < b.cfg.Topology.Nodes[best].CPUs.Intersection(free).Size()) {
			best = i
		}
	}
	if best >= 0 && len(near) == 0 {
		return []Node{b.cfg.Topology.Nodes[best]}, note
	}
	// What is next to the devices first, then the rest.
	nodes = near
	for _, n := range b.cfg.Topology.Nodes {
		if !slices.ContainsFunc(near, func(m Node) bool { return m.ID == n.ID }) {
			nodes = append(nodes, n)
		}
	}
	if note == "" {
		note = "no memory node has so many processors left: they are on several"
	}
	return nodes, note
}

// pick takes processors of the nodes in order, the lowest numbers first.
func pick(nodes []Node, free cpuset.CPUSet, count int) cpuset.CPUSet {
	var chosen []int
	for _, n := range nodes {
		for _, c := range n.CPUs.Intersection(free).List() {
			if len(chosen) < count {
				chosen = append(chosen, c)
			}
		}
	}
	return cpuset.New(chosen...)
}

// shared are the processors that nobody has for itself; b.mu is held.
func (b *Book) shared() cpuset.CPUSet {
	left := b.all
	for _, e := range b.tasks {
		left = left.Difference(e.own)
	}
	return left
}

// reserved is how many processors have to be left for those who share; b.mu is held.
func (b *Book) reserved(except string) int {
	var milli int64
	for task, e := range b.tasks {
		if task != except && e.own.Size() == 0 {
			milli += max(e.demand.CPUMilli, 1)
		}
	}
	return int((milli + 999) / 1000)
}

// share is where a task runs that has no processors of its own; b.mu is held.
func (b *Book) share(e *entry) Pin {
	left := b.shared()
	_, near := b.nodes(e.demand.Near)
	if here := near.Intersection(left); here.Size() > 0 {
		return Pin{CPUs: here.String(), Note: e.pin.Note}
	}
	return Pin{CPUs: left.String(), Note: e.pin.Note}
}

// move binds those who share anew, where that changes anything.
func (b *Book) move(except string) {
	if b.cfg.Policy != Exact {
		return
	}
	type moved struct {
		task string
		to   Pin
	}
	var all []moved
	b.mu.Lock()
	for _, task := range slices.Sorted(maps.Keys(b.tasks)) {
		e := b.tasks[task]
		if e.own.Size() > 0 || task == except {
			continue
		}
		if now := b.share(e); now != e.pin {
			e.pin = now
			all = append(all, moved{task, now})
		}
	}
	b.mu.Unlock()
	for _, m := range all {
		b.cfg.Move(m.task, m.to)
	}
}

// nodes returns the nodes of the given numbers, in their order, and their processors.
func (b *Book) nodes(ids []int) (nodes []Node, set cpuset.CPUSet) {
	for _, n := range b.cfg.Topology.Nodes {
		if slices.Contains(ids, n.ID) {
			nodes, set = append(nodes, n), set.Union(n.CPUs)
		}
	}
	return nodes, set
}

func nodeList(nodes []Node) string {
	var ids []int
	for _, n := range nodes {
		ids = append(ids, n.ID)
	}
	return cpuset.New(ids...).String()
}

func overlaps(list string, set cpuset.CPUSet) bool {
	s, err := cpuset.Parse(list)
	return err == nil && s.Intersection(set).Size() > 0
}

func sharesNode(list string, nodes []Node) bool {
	s, err := cpuset.Parse(list)
	return err == nil && slices.ContainsFunc(nodes, func(n Node) bool { return s.Contains(n.ID) })
}

func join(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(n string) bool { return n == "" }), "; ")
}

// Describe writes a pin for people and limits: "own 0-3" or "0-7".
func (p Pin) Describe() string {
	if p.Own {
		n, _ := cpuset.Parse(p.CPUs)
		return p.CPUs + " (" + strconv.Itoa(n.Size()) + " of its own)"
	}
	return p.CPUs
}
