package device

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
	"caravan/plugins/sdk/pluginv1"
)

// Devices returns what the host has now, in the order of ids, as the node registers it. A device
// that is gone and held stays, out of service, until it is released.
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
	h := m.record(d.Id).health
	if d.Region != nil {
		m.advertiseRegion(out, d, h)
	}
	out.Attributes["health"] = text(h.State.String())
	out.Healthy = h.State.InService()
	if !out.Healthy {
		out.HealthReason = h.Describe()
	}
	if why := p.outOfService(); why != "" {
		out.Healthy, out.HealthReason = false, why
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

// tell calls Changed if Devices has something new to say.
func (m *Manager) tell() {
	m.mu.Lock()
	now := m.devices()
	same := slices.EqualFunc(now, m.told, func(a, b *pb.Device) bool { return proto.Equal(a, b) })
	m.told = now
	m.mu.Unlock()
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
	for _, n := range e.GetDeviceNodes() {
		g.Nodes = append(g.Nodes, driver.DeviceNode{Path: n.Path, Type: n.Type, Major: n.Major, Minor: n.Minor, Permissions: n.Permissions})
	}
	for _, m := range e.GetMounts() {
		g.Mounts = append(g.Mounts, driver.Mount{HostPath: m.HostPath, TaskPath: m.ContainerPath, Options: m.Options})
	}
	return nil
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
