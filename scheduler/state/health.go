package state

import (
	"iter"
	"slices"
	"strings"

	"caravan/scheduler/model"
)

// MaxHealthRecords is the largest number of devices and hosts whose health is remembered. Beyond
// it no history is begun, which an event tells; what agents say of now counts all the same.
const MaxHealthRecords = 1_000_000

// HealthRecord returns what is remembered of a device or host by its identity.
func (s *Snapshot) HealthRecord(identity string) (*model.HealthRecord, bool) {
	return s.t.health.get(identity)
}

// HealthRecords yields all records by identity.
func (s *Snapshot) HealthRecords() iter.Seq[*model.HealthRecord] { return values(s.t.health.all()) }

// maxAhead is how far an agent's clock may be ahead of the state's.
const maxAhead = model.Time(model.Minute)

// OrdersFor returns the orders to a node's agent that it has not obeyed yet, in the order in which
// they were given.
func (s *Snapshot) OrdersFor(node string) []model.HealthOrder {
	n, ok := s.t.nodes.byName.get(node)
	if !ok {
		return nil
	}
	var orders []model.HealthOrder
	for _, identity := range identities(n) {
		if r, ok := s.t.health.get(identity); ok && r.Order.Index != 0 {
			orders = append(orders, r.Order)
		}
	}
	slices.SortFunc(orders, func(a, b model.HealthOrder) int {
		if a.Index != b.Index {
			return int(int64(a.Index) - int64(b.Index)) //nolint:gosec // indices are far from the bounds
		}
		return strings.Compare(a.Device, b.Device)
	})
	return orders
}

// identities are those of a node's host and devices, in this order.
func identities(n *model.Node) []string {
	all := []string{model.HostIdentity(n.Name)}
	for i := range n.Devices {
		all = append(all, model.DeviceIdentity(n.Name, &n.Devices[i]))
	}
	return all
}

// hear takes in what an agent says of the health of its host and devices: histories go to the
// records, orders that were obeyed are done with, and what is remembered comes back to the node,
// whose devices must be its own.
func (t *Txn) hear(n *model.Node) {
	n.Health = t.remember(model.HostIdentity(n.Name), n.Name, "", n.Health)
	for i := range n.Devices {
		d := &n.Devices[i]
		d.Health = t.remember(model.DeviceIdentity(n.Name, d), n.Name, d.ID, d.Health)
	}
	t.hold(n)
}

// remember takes in one history, and returns the health as the node keeps it.
func (t *Txn) remember(identity, node, device string, h model.Health) model.Health {
	told := h.History
	h.History = nil
	old, known := t.tb.health.get(identity)
	if !known {
		if len(told) == 0 {
			return h
		}
		old = &model.HealthRecord{Identity: identity}
		if t.tb.health.len() >= MaxHealthRecords {
			t.event(Event{Type: "health.unrecorded", Node: node, Message: identity + ": the health of too many devices is remembered"})
			return h
		}
	}
	c := old.Clone()
	c.Node, c.Device = node, device
	changed := known && (old.Node != node || old.Device != device)
	for _, e := range told {
		if len(c.History) > 0 && e.At <= c.History[len(c.History)-1].At || e.At > t.now+maxAhead {
			continue // told before, or by a clock that would keep out what is told later
		}
		changed = true
		c.History = append(slices.Clip(c.History), e)
		t.event(Event{Type: "health." + e.State.String(), Node: node, Message: describeEntry(device, e)})
	}
	c.History = c.History[max(0, len(c.History)-model.MaxHealthEntries):]
	if c.Order.Index != 0 && h.Order >= c.Order.Index {
		c.Order, changed = model.HealthOrder{}, true
	}
	if changed {
		t.tb.health.put(identity, c)
	}
	h.LastFault = c.LastFault()
	return h
}

func describeEntry(device string, e model.HealthEntry) string {
	m := "host"
	if device != "" {
		m = "device " + device
	}
	if e.Fault != "" {
		m += ": " + e.Fault
	}
	return m
}

// hold keeps devices out of service whose quarantine was ordered and not obeyed yet.
func (t *Txn) hold(n *model.Node) {
	held := func(identity string) (string, bool) {
		r, ok := t.tb.health.get(identity)
		if !ok || r.Order.Verb != model.OrderQuarantine {
			return "", false
		}
		return "quarantined by " + r.Order.By + ": " + r.Order.Reason, true
	}
	if why, ok := held(model.HostIdentity(n.Name)); ok {
		n.HealthReason = why
	}
	for i := range n.Devices {
		d := &n.Devices[i]
		if why, ok := held(model.DeviceIdentity(n.Name, d)); ok {
			d.Healthy, d.HealthReason = false, why
		}
	}
}

// OrderHealth gives a node's agent an order about one of its devices or its host. A later order
// takes the place of an earlier one that has not been obeyed, except that a fault never takes the
// place of an operator's word. A quarantine keeps new work away at once. The answer's Count is 1
// if the order stands.
func (t *Txn) OrderHealth(node string, o model.HealthOrder) (Answer, *model.Error) {
	n, ok := t.tb.nodes.byName.get(node)
	if !ok {
		return Answer{}, noNode(node)
	}
	identity, device := model.HostIdentity(node), n.Name
	if o.Device != "" {
		i := slices.IndexFunc(n.Devices, func(d model.Device) bool { return d.ID == o.Device })
		if i < 0 {
			return Answer{}, model.NotFound("device", o.Device, "see `caravan node show "+node+"`")
		}
		identity, device = model.DeviceIdentity(node, &n.Devices[i]), o.Device
	}
	if err := checkOrder(n, &o); err != nil {
		return Answer{}, err
	}
	r, known := t.tb.health.get(identity)
	switch {
	case !known && t.tb.health.len() >= MaxHealthRecords:
		return Answer{}, overloaded("device "+device, "health records", MaxHealthRecords, "records of devices that stay well are dropped after a while")
	case !known:
		r = &model.HealthRecord{Identity: identity}
	case o.Verb == model.OrderFault && r.Order.Index != 0:
		return Answer{}, nil
	}
	o.Index, o.At = t.index, t.now
	c := r.Clone()
	c.Node, c.Device, c.Order = node, o.Device, o
	t.tb.health.put(identity, c)
	again := n.Clone()
	again.Devices = slices.Clone(n.Devices)
	t.hold(again)
	t.putNode(again)
	t.event(Event{Type: "health.ordered", Node: node, Message: describeOrder(&o)})
	return Answer{Count: 1}, nil
}

func describeOrder(o *model.HealthOrder) string {
	m := o.By + " orders " + o.Verb.String()
	if o.Fault != "" {
		m += " " + o.Fault
	}
	if o.Device != "" {
		m += " of device " + o.Device
	} else {
		m += " of the host"
	}
	return m + ": " + o.Reason
}

// checkOrder refuses an order that no agent could obey.
func checkOrder(n *model.Node, o *model.HealthOrder) *model.Error {
	switch {
	case n.Simulated:
		return invalid("node "+n.Name, "a simulated node has nothing that could be ill", "drain it instead")
	case o.Verb < model.OrderQuarantine || o.Verb > model.OrderFault:
		return invalid("verb", "an order is quarantine, return or fault", "say which")
	case o.Verb == model.OrderFault && (o.Fault == "" || len(o.Fault) > model.MaxFaultCode):
		return invalid("fault", "a fault has a code of 1 to 128 bytes", "take one of the health policy")
	case o.Reason == "" || len(o.Reason) > model.MaxHealthReason:
		return invalid("reason", "a reason has 1 to 256 bytes", "say in a sentence why")
	case o.By == "" || len(o.By) > model.MaxHealthReason:
		return invalid("by", "who orders has 1 to 256 bytes", "give a name")
	}
	return nil
}

// checkHealth refuses what an agent says of health beyond the bounds.
func checkHealth(subject string, h *model.Health, reason string) *model.Error {
	ok := h.State.Valid() && len(h.History) <= model.MaxHealthEntries && len(reason) <= 2*model.MaxHealthReason
	for _, e := range h.History {
		ok = ok && e.State.Valid() && e.State != model.HealthUnset && e.At > 0 && len(e.Fault) <= model.MaxFaultCode
	}
	if !ok {
		return invalid(subject, "its health is told in a way that is out of bounds", "run the agent and the servers in the same version")
	}
	return nil
}

// sweepHealth forgets records without an order that have not changed since. An agent still knows
// what is ill now, and tells.
func (t *Txn) sweepHealth(before model.Time, limit int) int {
	var gone []string
	for identity, r := range t.tb.health.all() {
		if len(gone) >= limit {
			break
		}
		if n := len(r.History); r.Order.Index == 0 && (n == 0 || r.History[n-1].At < before) {
			gone = append(gone, identity)
		}
	}
	for _, identity := range gone {
		t.tb.health.remove(identity)
	}
	return len(gone)
}
