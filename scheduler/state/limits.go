package state

import (
	"fmt"
	"iter"
	"strings"

	"caravan/scheduler/model"
)

// MaxLimits is the largest number of limits.
const MaxLimits = 1000

// limitTable holds limits by name, and beside them what is held of each: by the
// whole cluster, on each node, and on each device. All three are kept whatever
// the limit's scope is, so that it may be changed.
type limitTable struct {
	byName table[string, *model.Limit]
	// used is keyed by limitKey; what is 0 is not there.
	used table[string, int64]
}

// limitKey names what is held of a limit in all, on a node or on a device.
func limitKey(name string, scope model.LimitScope, node, device string) string {
	switch scope {
	case model.PerNode:
		return name + "/" + node
	case model.PerDevice:
		return name + "/" + node + "/" + device
	}
	return name
}

func newLimitTable() limitTable {
	return limitTable{byName: newTable[string, *model.Limit](), used: newTable[string, int64]()}
}

func (t *limitTable) copy() limitTable {
	return limitTable{byName: t.byName.copy(), used: t.used.copy()}
}

// charge books times what an allocation on a node, with these devices, holds.
func (t *limitTable) charge(uses []model.LimitUse, node string, devices []model.DeviceShare, times int64) {
	for _, u := range uses {
		t.add(limitKey(u.Name, model.PerCluster, "", ""), times*u.Count)
		t.add(limitKey(u.Name, model.PerNode, node, ""), times*u.Count)
		for i := range devices {
			t.add(limitKey(u.Name, model.PerDevice, node, devices[i].Device), times*u.Count)
		}
	}
}

func (t *limitTable) add(key string, n int64) {
	have, _ := t.used.get(key)
	must(have+n >= 0, "less than nothing is held of a limit")
	if have+n == 0 {
		t.used.remove(key)
		return
	}
	t.used.put(key, have+n)
}

// full returns which limit has no room for one more allocation, or nothing.
func (t *limitTable) full(uses []model.LimitUse, node string, devices []model.DeviceShare) string {
	for _, u := range uses {
		l, ok := t.byName.get(u.Name)
		if !ok {
			return "there is no limit " + u.Name
		}
		keys := []string{limitKey(u.Name, l.Scope, node, "")}
		if l.Scope == model.PerDevice {
			keys = keys[:0]
			for i := range devices {
				keys = append(keys, limitKey(u.Name, l.Scope, node, devices[i].Device))
			}
		}
		for _, key := range keys {
			if used, _ := t.used.get(key); used+u.Count > l.Count {
				return fmt.Sprintf("limit %s is used up (%d of %d)", key, used, l.Count)
			}
		}
	}
	return ""
}

// PutLimit makes a limit or changes it. A lower count stops nothing that runs.
// The answer's Count is 1.
func (t *Txn) PutLimit(l model.Limit) (Answer, *model.Error) {
	if err := model.ValidateLimit(&l); err != nil {
		return Answer{}, err
	}
	if !t.tb.limits.byName.has(l.Name) && t.tb.limits.byName.len() >= MaxLimits {
		return Answer{}, overloaded("limit "+l.Name, "limits", MaxLimits, "remove one that is not used")
	}
	t.tb.limits.byName.put(l.Name, &l)
	t.event(Event{Type: "limit.put", Message: fmt.Sprintf("limit %s is %d per %s", l.Name, l.Count, l.Scope)})
	return Answer{Count: 1}, nil
}

// RemoveLimit drops a limit that no job that has not ended asks for.
func (t *Txn) RemoveLimit(name string) (Answer, *model.Error) {
	if !t.tb.limits.byName.has(name) {
		return Answer{}, model.NotFound("limit", name, "caravan limit ls shows the limits")
	}
	for number := range t.tb.jobs.active.all() {
		j, _ := t.tb.jobs.byNumber.get(number)
		for g := range j.Spec.Groups {
			for _, u := range j.Spec.Groups[g].Limits {
				if u.Name == name {
					return Answer{}, model.Conflict("limit "+name, "job "+j.ID+" asks for limit "+name, "wait until it has ended, or stop it")
				}
			}
		}
	}
	t.tb.limits.byName.remove(name)
	t.event(Event{Type: "limit.removed", Message: "limit " + name})
	return Answer{Count: 1}, nil
}

// Limit returns a limit by its name.
func (s *Snapshot) Limit(name string) (*model.Limit, bool) { return s.t.limits.byName.get(name) }

// Limits yields all limits by name.
func (s *Snapshot) Limits() iter.Seq[*model.Limit] { return values(s.t.limits.byName.all()) }

// LimitUsed returns what is held of a limit by the whole cluster.
func (s *Snapshot) LimitUsed(name string) int64 {
	n, _ := s.t.limits.used.get(name)
	return n
}

// LimitUse is what is held of a limit on one node, or on one device of it.
type LimitUse struct {
	Node, Device string
	Count        int64
}

// LimitUses yields what is held of a limit on each node, or with PerDevice on
// each device, where it is not nothing, by the names of nodes and devices.
func (s *Snapshot) LimitUses(name string, scope model.LimitScope) iter.Seq[LimitUse] {
	return func(yield func(LimitUse) bool) {
		prefix := name + "/"
		for key, n := range s.t.limits.used.from(prefix) {
			rest, ok := strings.CutPrefix(key, prefix)
			if !ok {
				return
			}
			node, device, perDevice := strings.Cut(rest, "/")
			if perDevice == (scope == model.PerDevice) && !yield(LimitUse{Node: node, Device: device, Count: n}) {
				return
			}
		}
	}
}
