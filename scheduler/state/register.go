package state

import (
	"slices"
	"strings"

	"caravan/scheduler/model"
)

// Bounds on nodes.
const (
	// MaxNodes is the largest number of nodes, lost ones included.
	MaxNodes = 200_000
	// MaxNodeName is the longest node name, in bytes, as for a DNS name.
	MaxNodeName = 253
	// MaxNodeDevices is the largest number of devices of one node.
	MaxNodeDevices = 1024
)

// RegisterNode takes in what an agent says of its host, whether the node is
// new, has changed, or comes back.
//
//   - With the boot id known already, what runs there runs on, and a node held
//     for silent or lost is ready again.
//   - With another boot id, what ran there is lost at once.
//   - A ready node that registers from another address and with another boot id
//     is refused: two hosts of one name would go on killing each other's work.
//     A host that was rebooted under a new address gets in once its old self
//     has been declared lost.
//
// Draining stays as it is. The answer's Count is the number of allocations lost.
func (t *Txn) RegisterNode(info *model.Node) (Answer, *model.Error) {
	if err := checkNode(info); err != nil {
		return Answer{}, err
	}
	n := info.Clone()
	n.Devices = slices.Clone(info.Devices)
	slices.SortFunc(n.Devices, func(a, b model.Device) int { return strings.Compare(a.ID, b.ID) })
	n.State, n.Draining, n.RegisteredAt, n.ChangedAt = model.NodeReady, false, t.now, t.now
	old, known := t.tb.nodes.byName.get(n.Name)
	t.hear(n)
	if !known {
		if t.tb.nodes.byName.len() >= MaxNodes {
			return Answer{}, overloaded("node "+n.Name, "nodes", MaxNodes, "nodes that stay lost are dropped after a while")
		}
		t.putNode(n)
		t.event(Event{Type: "node.registered", Node: n.Name, Message: describeNode(n)})
		return Answer{}, nil
	}
	if old.State != model.NodeLost && old.BootID != n.BootID && old.Address != n.Address {
		return Answer{}, model.Conflict("node "+n.Name,
			"a node of this name is alive at "+old.Address,
			"give one of the hosts another name, or wait half a minute if this host was rebooted under a new address")
	}
	n.Draining = old.Draining
	var lost int64
	// A host that turns simulated, or real, is another one too.
	if old.BootID != n.BootID || old.Simulated != n.Simulated {
		lost = t.loseEach(n.Name, "the host was started anew", all)
	}
	t.putNode(n)
	kind, message := "node.changed", describeNode(n)
	if old.State != model.NodeReady {
		kind = "node.returned"
	} else if old.BootID != n.BootID {
		kind = "node.rebooted"
	}
	t.event(Event{Type: kind, Node: n.Name, Message: message})
	return Answer{Count: lost}, nil
}

// putNode stores a node and draws up its book anew.
func (t *Txn) putNode(n *model.Node) {
	t.tb.nodes.byName.put(n.Name, n)
	live := slices.Collect(t.tb.allocations.liveOn(n.Name))
	t.putBook(n.Name, newBook(n, live))
}

// all chooses the allocations of every group.
func all(*model.TaskGroup) bool { return true }

// loseEach ends the live allocations of a node whose group is chosen as lost, and counts them.
func (t *Txn) loseEach(node, message string, chosen func(*model.TaskGroup) bool) (n int64) {
	for _, a := range slices.Collect(t.tb.allocations.liveOn(node)) {
		j, ok := t.tb.jobs.get(a.Job)
		must(ok, "a live allocation has no job")
		if !chosen(&j.Spec.Groups[a.Group]) {
			continue
		}
		n++
		// The end of one may have marked the next, its gang's member.
		a, _ = t.tb.allocations.byID.get(a.ID)
		t.finish(a, &Report{
			State: model.AllocationLost,
			Exit:  model.Exit{Reason: model.ReasonNodeLost, Message: message},
			Usage: a.Usage,
		})
	}
	return n
}

// SilenceNode notes that a ready node's lease has ended. Allocations that may run twice are
// lost and their tasks wait again, at no charge; the others live until the node is lost or
// proves their end. The answer's Count is the number of allocations lost; silencing a node
// that is not ready changes nothing.
func (t *Txn) SilenceNode(name, reason string) (Answer, *model.Error) {
	n, ok := t.tb.nodes.byName.get(name)
	if !ok {
		return Answer{}, noNode(name)
	}
	if n.State != model.NodeReady {
		return Answer{}, nil
	}
	lost := t.loseEach(name, reason, (*model.TaskGroup).MayRunTwice)
	t.turn(n, model.NodeSilent, "node.silent", reason)
	return Answer{Count: lost}, nil
}

// turn changes a node's state and says why.
func (t *Txn) turn(n *model.Node, to model.NodeState, event, reason string) {
	c := n.Clone()
	c.State, c.ChangedAt = to, t.now
	t.tb.nodes.byName.put(n.Name, c)
	t.changedNodes.Insert(n.Name)
	t.event(Event{Type: event, Node: n.Name, Message: reason})
}

// LoseNode declares a node lost: its allocations are lost and their tasks wait
// again, at no charge. It must not be called before what ran there is dead: its
// lease has run out, and the grace after it. The answer's Count is the number of allocations lost; losing a lost
// node changes nothing.
func (t *Txn) LoseNode(name, reason string) (Answer, *model.Error) {
	n, ok := t.tb.nodes.byName.get(name)
	if !ok {
		return Answer{}, noNode(name)
	}
	if n.State == model.NodeLost {
		return Answer{}, nil
	}
	lost := t.loseEach(name, reason, all)
	t.turn(n, model.NodeLost, "node.lost", reason)
	return Answer{Count: lost}, nil
}

// DrainNode keeps new allocations away from a node, or lets them in again.
// What runs there runs to its end. The answer's Count is 1 if that was a change.
func (t *Txn) DrainNode(name string, drain bool) (Answer, *model.Error) {
	n, ok := t.tb.nodes.byName.get(name)
	if !ok {
		return Answer{}, noNode(name)
	}
	if n.Draining == drain {
		return Answer{}, nil
	}
	c := n.Clone()
	c.Draining, c.ChangedAt = drain, t.now
	t.tb.nodes.byName.put(name, c)
	t.changedNodes.Insert(name)
	kind := "node.undrained"
	if drain {
		kind = "node.drained"
	}
	t.event(Event{Type: kind, Node: name})
	return Answer{Count: 1}, nil
}

// checkNode refuses a node that the books could not hold.
func checkNode(n *model.Node) *model.Error {
	subject := "node " + n.Name
	switch {
	case !validName(n.Name, MaxNodeName, true):
		return invalid(subject, "a node name has 1 to 253 lower-case letters, digits, '-' and '.'", "start the agent with a name of its own")
	case n.CPUMilli < 0 || n.CPUMilli > model.MaxCPUMilli, n.MemoryMiB < 0 || n.MemoryMiB > model.MaxMemoryMiB, n.DiskMiB < 0 || n.DiskMiB > model.MaxDiskMiB:
		return invalid(subject, "the node offers an amount that is negative or beyond the limits", "mend the agent's configuration")
	case len(n.Devices) > MaxNodeDevices:
		return invalid(subject, "a node has at most 1024 devices", "offer fewer partitions")
	}
	if err := checkHealth(subject, &n.Health, n.HealthReason); err != nil {
		return err
	}
	if k := len(n.Devices); len(n.DeviceLinks) > 0 && len(n.DeviceLinks) != k*(k-1)/2 {
		return invalid(subject, "the links between devices do not fit their number", "update the agent")
	}
	seen := map[string]bool{}
	for i := range n.Devices {
		d := &n.Devices[i]
		if err := checkHealth(subject+": device "+d.ID, &d.Health, d.HealthReason); err != nil {
			return err
		}
		switch {
		case d.ID == "" || seen[d.ID]:
			return invalid(subject, "two devices have the id "+d.ID, "each device needs an id of its own")
		case d.Thousandths < 0 || d.Thousandths > 1000 || d.MemoryMiB < 0 || d.MemoryMiB > model.MaxMemoryMiB:
			return invalid(subject, "device "+d.ID+" offers an impossible amount", "thousandths are 0 to 1000")
		}
		seen[d.ID] = true
	}
	return nil
}

func describeNode(n *model.Node) string {
	m := model.FormatMilli(n.CPUMilli) + " cores, " + model.FormatMiB(n.MemoryMiB) + " memory"
	if len(n.Devices) > 0 {
		m += ", " + plural(int64(len(n.Devices)), "device")
	}
	return m
}
