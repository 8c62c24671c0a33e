package device

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"caravan/agent/device/health"
	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
	"caravan/plugins/sdk/pluginv1"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// Devices returns what the host has now, in the order of ids, as the node registers it. A device
// that is gone stays, out of service, until it is back or an operator's return gives it up.
func (m *Manager) Devices() []*pb.Device {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.devices()
}

// devices is Devices; m.mu is held.
func (m *Manager) devices() []*pb.Device {
	var all []*pb.Device
	taken := make(map[string]string)
	for _, p := range m.plugins {
		for _, d := range p.known() {
			if by, double := taken[d.Id]; double {
				m.cfg.Logger.Error("two plugins name one device, the first has it", "device", d.Id, "first", by, "second", p.Name)
				continue
			}
			taken[d.Id] = p.Name
			all = append(all, m.advertised(d, p))
		}
	}
	slices.SortFunc(all, func(a, b *pb.Device) int { return cmp.Compare(a.Id, b.Id) })
	return all
}

// advertised is a device as the servers see it; m.mu is held.
func (m *Manager) advertised(d *pluginv1.Device, p *plugin) *pb.Device {
	out := &pb.Device{
		Id: d.Id, Kind: d.Kind, Vendor: d.Vendor, Model: d.Model, MemoryMib: d.MemoryMib, Thousandths: d.Thousandths,
		Attributes: make(map[string]*pb.AttributeValue, len(d.Attributes)+3), Healthy: true,
	}
	for name, a := range d.Attributes {
		out.Attributes[name] = attribute(a)
	}
	if _, told := out.Attributes[sharingAttribute]; !told && d.Kind == "gpu" {
		out.Attributes[sharingAttribute] = text(sharing(d))
	}
	h := &m.record(d.Id).Health
	if d.Region != nil {
		m.advertiseRegion(out, d, h)
	}
	if squatters := m.squatters[d.Id]; len(squatters) > 0 {
		out.Attributes["squatters"] = text(squatterWords(squatters))
	}
	out.Attributes["health"] = text(max(h.State, model.Healthy).String())
	out.Healthy = h.InService()
	if !out.Healthy {
		out.HealthReason = h.Describe()
		if h.Testing {
			out.HealthReason = "being tested: " + h.Reason
		}
	}
	out.Identity, out.Health = d.Identity, told(h)
	if why := p.outOfService(); why != "" {
		out.Healthy, out.HealthReason = false, why
	}
	return out
}

// sharingAttribute is how jobs ask for a way of sharing a GPU.
const sharingAttribute = "sharing"

// sharing is how a device is shared of which its plugin does not say how: whoever has a part of it takes
// turns with the others.
func sharing(d *pluginv1.Device) string {
	if d.ShareThousandths < d.Thousandths {
		return "time_slice"
	}
	return "exclusive"
}

// told is a record as the servers are told it.
func told(h *health.Record) *pb.Health {
	return wire.HealthToProto(model.Health{State: max(h.State, model.Healthy), Since: h.Since, Order: h.Order, History: h.History}, "")
}

// Host returns the health of the host itself, nil while it never was ill. A reason means that
// nothing can be placed on it.
func (m *Manager) Host() *pb.Health {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.host()
}

// host is Host; m.mu is held.
func (m *Manager) host() *pb.Health {
	h := &m.record(host).Health
	if !h.Ill() {
		return nil
	}
	out := told(h)
	if !h.InService() {
		out.Reason = h.Describe()
	}
	return out
}

// regionWord is a region's state for people and conditions.
func regionWord(s pluginv1.RegionState) string {
	if s == pluginv1.RegionState_REGION_STATE_IN_USE {
		return "ready" // who uses it is the servers' to know, and no reason to register again
	}
	return strings.ToLower(strings.TrimPrefix(s.String(), "REGION_STATE_"))
}

func text(t string) *pb.AttributeValue {
	return &pb.AttributeValue{Value: &pb.AttributeValue_Text{Text: t}}
}

func attribute(a *pluginv1.Attribute) *pb.AttributeValue {
	if m, ok := a.GetValue().(*pluginv1.Attribute_Milli); ok {
		return &pb.AttributeValue{Value: &pb.AttributeValue_Milli{Milli: m.Milli}}
	}
	return text(a.GetText())
}

// tell keeps what has changed, and calls Changed if Devices or Host has something new to say.
func (m *Manager) tell() {
	m.mu.Lock()
	devices, host := m.devices(), m.host()
	same := slices.EqualFunc(devices, m.told, func(a, b *pb.Device) bool { return proto.Equal(a, b) }) && proto.Equal(host, m.toldHost)
	m.told, m.toldHost = devices, host
	m.mu.Unlock()
	m.save()
	if !same {
		m.cfg.Changed()
	}
}

// addEdits adds what comes with devices to a grant. A variable that two plugins set differently
// cannot be given.
func addEdits(g *driver.Grant, e *pluginv1.Edits) error {
	if g.Env == nil {
		g.Env = make(map[string]string)
	}
	for _, kv := range e.GetEnv() {
		key, value, _ := strings.Cut(kv, "=")
		if other, double := g.Env[key]; double && other != value {
			return fmt.Errorf("the variable %s would be %q and %q", key, other, value)
		}
		g.Env[key] = value
	}
	if bounds := limits(e.GetLimits()); bounds != "" {
		g.Env[limitsEnv] = strings.TrimPrefix(g.Env[limitsEnv]+" "+bounds, " ")
	}
	for _, n := range e.GetDeviceNodes() {
		g.Nodes = append(g.Nodes, driver.DeviceNode{Path: n.Path, Type: n.Type, Major: n.Major, Minor: n.Minor, Permissions: n.Permissions})
	}
	for _, m := range e.GetMounts() {
		g.Mounts = append(g.Mounts, driver.Mount{HostPath: m.HostPath, TaskPath: m.ContainerPath, Options: m.Options})
	}
	return nil
}

// limitsEnv tells a task which bounds of its shared devices hold.
const limitsEnv = "CARAVAN_DEVICE_LIMITS"

// limits are words DEVICE:RESOURCE=HOW, where HOW is what enforces the limit or "accounted".
func limits(all []*pluginv1.Limit) string {
	var words []string
	for _, l := range all {
		how := "accounted"
		if l.Enforced {
			how = l.By
		}
		words = append(words, l.DeviceId+":"+l.Resource+"="+how)
	}
	return strings.Join(words, " ")
}

// Reasons are what the plugins say of devices that one would expect and that are not there, by
// plugin.
func (m *Manager) Reasons() map[string][]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string][]string)
	for _, p := range m.plugins {
		if r := p.inventory.GetReasons(); len(r) > 0 {
			all[p.Name] = slices.Clone(r)
		}
	}
	return maps.Clone(all)
}
