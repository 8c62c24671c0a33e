package device

import (
	"slices"
	"strings"

	"caravan/agent/device/health"
	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
	"caravan/plugins/sdk/pluginv1"
)

// record is what is known of a device, or the host, over all inventories.
type record struct {
	Health health.Record `json:"health"`
	// Counts of the signals seen now.
	Counts map[string]int64 `json:"counts,omitempty"`
}

// record returns a device's record, or the host's; m.mu is held.
func (m *Manager) record(id string) *record {
	r, ok := m.records[id]
	if !ok {
		identity := m.identity(id)
		found, kept := m.kept[identity]
		if !kept {
			found = record{Health: health.Record{Since: now(), Calm: now()}}
		}
		delete(m.kept, identity)
		r = &found
		r.Health.Busy = m.isHeld(id)
		m.records[id] = r
	}
	return r
}

// identity is what a device is kept under; m.mu is held.
func (m *Manager) identity(id string) string {
	if d := m.find(id); d != nil && d.Identity != "" {
		return "identity/" + d.Identity
	}
	return "id/" + id
}

// forget drops the record of a device that is not there any more, and keeps what is to be known of
// it should it come back; m.mu is held.
func (m *Manager) forget(d *pluginv1.Device) {
	if r, ok := m.records[d.Id]; ok && r.Health.Ill() {
		identity := "id/" + d.Id
		if d.Identity != "" {
			identity = "identity/" + d.Identity
		}
		m.kept[identity] = *r
	}
	delete(m.records, d.Id)
	delete(m.dirty, d.Id)
}

// apply moves a record on and sees to what follows; m.mu is held.
func (m *Manager) apply(id string, r *record, e health.Event) {
	before, lines := r.Health.State, len(r.Health.History)
	policy := m.onDevices
	if id == host {
		policy = m.onHost
	}
	var effects []health.Effect
	r.Health, effects = health.Apply(policy, r.Health, e)
	if _, passed := e.(health.Passed); !passed || len(effects) > 0 || len(r.Health.History) != lines {
		m.unsaved = true
	}
	for _, effect := range effects {
		switch effect {
		case health.Tell:
			m.cfg.Logger.Info("health changes", "device", id, "from", before, "to", r.Health.Describe())
		case health.Evict:
			reason := r.Health.Describe()
			if raised, ok := e.(health.Raised); ok && r.Health.InService() {
				reason = "in service: " + raised.Code + ": " + raised.Detail
			}
			m.evict(id, reason)
		case health.Reset:
			m.later(m.resetter(id))
		case health.Test:
			m.later(m.tester(id))
		}
	}
}

// evict asks for the end of what holds a device, or of all if it is the host; m.mu is held.
func (m *Manager) evict(id, reason string) {
	fault := &driver.Fault{Reason: driver.ReasonDeviceFault, Detail: "device " + id + " is " + reason}
	if id == host {
		fault = &driver.Fault{Reason: driver.ReasonHostFault, Detail: "the host is " + reason}
	}
	for allocation, h := range m.held {
		switch {
		case id != host && !h.has(id):
		case m.cfg.Evict == nil:
			m.cfg.Logger.Warn("a task uses what must not be used any more", "allocation", allocation, "reason", fault.Detail)
		default:
			m.cfg.Evict(allocation, fault)
		}
	}
}

func (h *holding) has(device string) bool {
	return slices.ContainsFunc(h.shares, func(s *pb.DeviceShare) bool { return s.DeviceId == device })
}

// raise tells of a fault seen of a device, or the host, to all that it reaches; m.mu is held.
func (m *Manager) raise(id, code, detail string) {
	at := now()
	m.apply(id, m.record(id), health.Raised{Code: code, Detail: detail, At: at})
	for _, other := range m.reach(id, code) {
		m.apply(other, m.record(other), health.Raised{Code: code, Detail: detail, From: id, At: at})
	}
}

// clear tells that a fault is not seen any more; m.mu is held.
func (m *Manager) clear(id, code string) {
	at := now()
	m.apply(id, m.record(id), health.Cleared{Code: code, At: at})
	for other, r := range m.records {
		if other != id && slices.Contains(r.Health.Present, code+"@"+id) {
			m.apply(other, r, health.Cleared{Code: code, From: id, At: at})
		}
	}
}

// happened tells of a fault that is over at once; m.mu is held.
func (m *Manager) happened(ids []string, code, detail string) {
	for _, id := range ids {
		m.raise(id, code, detail)
		m.clear(id, code)
	}
}

// reach returns whom else a fault concerns, by its scope; m.mu is held.
func (m *Manager) reach(id, code string) []string {
	var others []string
	switch m.cfg.Policy.Scope(code) {
	case health.OfDevice:
	case health.OfIsland:
		others = island(m.owner(id), id)
	case health.OfHost:
		others = append(others, host)
		for _, p := range m.plugins {
			for _, d := range p.inventory.GetDevices() {
				others = append(others, d.Id)
			}
		}
	}
	return slices.DeleteFunc(others, func(other string) bool { return other == id })
}

// directLink is the score from which on two devices have a link of their own.
const directLink = 100

// island returns all devices that are directly linked with one, or with one that is.
func island(p *plugin, id string) []string {
	all := []string{id}
	if p == nil {
		return all
	}
	for i := 0; i < len(all); i++ {
		for _, l := range p.inventory.GetLinks() {
			for _, ends := range [][2]string{{l.A, l.B}, {l.B, l.A}} {
				if ends[0] == all[i] && l.Score >= directLink && !slices.Contains(all, ends[1]) {
					all = append(all, ends[1])
				}
			}
		}
	}
	return all
}

// seen takes in what a plugin's inventory says of its devices' health, and which devices are gone;
// m.mu is held.
func (m *Manager) seen(inv *pluginv1.Inventory, gone []*pluginv1.Device) {
	for _, d := range inv.GetDevices() {
		r := m.record(d.Id)
		if slices.Contains(r.Health.Present, health.CodeGone) {
			m.clear(d.Id, health.CodeGone)
		}
		m.signals(d.Id, d.GetHealth())
	}
	for _, d := range gone {
		if !slices.Contains(m.record(d.Id).Health.Present, health.CodeGone) {
			m.raise(d.Id, health.CodeGone, "it was there and is not any more")
		}
	}
}

// signals turns what is seen of a device into what has changed; m.mu is held.
func (m *Manager) signals(id string, h *pluginv1.Health) {
	r := m.record(id)
	before := r.Counts
	r.Counts = make(map[string]int64)
	for _, s := range h.GetSignals() {
		r.Counts[s.Code] = s.Count
		if last, was := before[s.Code]; !was || s.Count > last {
			m.raise(id, s.Code, s.Detail)
		}
	}
	for code := range before {
		if _, still := r.Counts[code]; !still {
			m.clear(id, code)
		}
	}
}

// blame returns the fault that explains why a task has failed, nil for none: one that was seen of
// its devices, or the host, while it ran and not long before its end; m.mu is held.
func (m *Manager) blame(h *holding) *driver.Fault {
	since := max(h.since, now()-blameSpan)
	ids := append(h.devices(), host)
	for _, id := range ids {
		r, ok := m.records[id]
		if !ok {
			continue
		}
		for _, f := range r.Health.Past {
			if f.At < since || !m.cfg.Policy.Blames(f.Code) {
				continue
			}
			if id == host {
				return &driver.Fault{Reason: driver.ReasonHostFault, Detail: "the host had " + f.Code + " while the task ran"}
			}
			return &driver.Fault{Reason: driver.ReasonDeviceFault, Detail: strings.Join([]string{"device", id, "had", f.Code, "while the task ran"}, " ")}
		}
	}
	return nil
}

// blameSpan is how long before the end of a task a fault may have been seen that explains it.
const blameSpan = 60_000

func (h *holding) devices() []string {
	var ids []string
	for _, s := range h.shares {
		ids = append(ids, s.DeviceId)
	}
	return ids
}
