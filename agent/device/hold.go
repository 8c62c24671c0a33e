package device

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/agent/device/health"
	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
	"caravan/plugins/sdk/pluginv1"
)

// Errors of a reservation.
var (
	errNoDevice = errors.New("this host has no such device any more (see the node's devices)")
	errDown     = errors.New("its plugin does not run (see the agent's log)")
)

// Reserve gives an allocation of a tenant its devices, if it has any, and returns what comes with them.
// Repeated, it gives the same answer. On an error nothing is held; it is a *driver.Fault where the
// devices or the host are to blame.
func (m *Manager) Reserve(ctx context.Context, allocation, tenant string, shares []*pb.DeviceShare) (driver.Grant, error) {
	var grant driver.Grant
	parts, err := m.byPlugin(allocation, shares)
	if err != nil {
		return grant, err
	}
	m.Adopt(allocation, tenant, shares)
	var told []*pluginv1.Limit
	for _, p := range m.plugins {
		if len(parts[p]) == 0 {
			continue
		}
		edits, err := p.reserve(ctx, &pluginv1.ReserveRequest{AllocationId: allocation, Tenant: tenant, Shares: parts[p]})
		if err == nil {
			told = append(told, edits.GetLimits()...)
			m.given(allocation, p, edits)
			err = addEdits(&grant, edits)
		}
		if err != nil {
			m.Release(allocation)
			err = fmt.Errorf("devices of plugin %s: %w", p.Name, err)
			if errors.Is(err, errDown) || pluginsFault(status.Code(errors.Unwrap(err))) {
				err = &driver.Fault{Reason: driver.ReasonDeviceFault, Detail: err.Error()}
			}
			return driver.Grant{}, err
		}
	}
	grant.Limits = m.limits(shares, told)
	return grant, nil
}

// pluginsFault reports whether a plugin's answer means that the device, or the plugin, is not as it
// should be, rather than that the share could not be given.
func pluginsFault(c codes.Code) bool {
	return c == codes.NotFound || c == codes.Unavailable || c == codes.DeadlineExceeded
}

// byPlugin sorts shares by who owns their devices. What is out of service is not given.
func (m *Manager) byPlugin(allocation string, shares []*pb.DeviceShare) (map[*plugin][]*pluginv1.Share, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, again := m.held[allocation]
	if r := m.record(host); !again && !r.Health.InService() {
		return nil, &driver.Fault{Reason: driver.ReasonHostFault, Detail: "the host is " + r.Health.Describe()}
	}
	parts := make(map[*plugin][]*pluginv1.Share)
	for _, s := range shares {
		p := m.owner(s.DeviceId)
		if p == nil {
			return nil, &driver.Fault{Reason: driver.ReasonDeviceFault, Detail: fmt.Sprintf("device %s: %v", s.DeviceId, errNoDevice)}
		}
		if r := m.record(s.DeviceId); !again && !r.Health.InService() {
			return nil, &driver.Fault{Reason: driver.ReasonDeviceFault, Detail: "device " + s.DeviceId + " is " + r.Health.Describe()}
		}
		parts[p] = append(parts[p], &pluginv1.Share{DeviceId: s.DeviceId, Thousandths: s.Thousandths, MemoryMib: s.MemoryMib})
	}
	return parts, nil
}

// owner is the plugin that has a device, nil for none; m.mu is held.
func (m *Manager) owner(device string) *plugin {
	for _, p := range m.plugins {
		if p.find(device) != nil {
			return p
		}
	}
	return nil
}

// find returns a device as its plugin describes it, nil for none; m.mu is held.
func (m *Manager) find(device string) *pluginv1.Device {
	if p := m.owner(device); p != nil {
		return p.find(device)
	}
	return nil
}

// Adopt notes what an allocation holds, if anything, as after a restart of the agent: the plugins
// are told as soon as they can be.
func (m *Manager) Adopt(allocation, tenant string, shares []*pb.DeviceShare) {
	m.mu.Lock()
	h, again := m.held[allocation]
	if !again {
		h = &holding{since: now()}
		m.held[allocation] = h
	}
	h.tenant, h.shares = tenant, shares
	for _, s := range shares {
		m.charge(allocation, s.DeviceId)
	}
	for _, id := range append(h.devices(), host) {
		r := m.record(id)
		m.apply(id, r, health.Used{Busy: true, At: now()})
		if r.Health.Evicts() {
			m.evict(id, r.Health.Describe()) // the agent before was about to
		}
	}
	m.mu.Unlock()
	m.tell()
}

// Release takes back what an allocation holds, if it holds anything. It may take as long as a call
// of each plugin.
func (m *Manager) Release(allocation string) {
	m.mu.Lock()
	h, held := m.held[allocation]
	if !held {
		m.mu.Unlock()
		return
	}
	delete(m.held, allocation)
	m.settle(allocation, h.shares)
	m.mu.Unlock()
	// The plugins first: a device that is free may be reset at once, and a plugin resets nothing
	// that it believes to be held.
	if len(h.shares) > 0 {
		for _, p := range m.plugins {
			p.release(allocation)
		}
	}
	m.mu.Lock()
	for _, id := range append(h.devices(), host) {
		m.apply(id, m.record(id), health.Used{Busy: m.isHeld(id), At: now()})
	}
	m.mu.Unlock()
	m.tell()
}

// isHeld reports whether any allocation holds a device, or runs on the host; m.mu is held.
func (m *Manager) isHeld(id string) bool {
	if id == host {
		return len(m.held) > 0
	}
	for _, h := range m.held {
		if h.has(id) {
			return true
		}
	}
	return false
}

// holdings are the reservations that a plugin has to know, in the order of allocations; m.mu is not
// held.
func (m *Manager) holdings(p *plugin) []*pluginv1.ReserveRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*pluginv1.ReserveRequest
	for _, allocation := range slices.Sorted(maps.Keys(m.held)) {
		h := m.held[allocation]
		req := &pluginv1.ReserveRequest{AllocationId: allocation, Tenant: h.tenant}
		for _, s := range h.shares {
			if m.owner(s.DeviceId) == p {
				req.Shares = append(req.Shares, &pluginv1.Share{DeviceId: s.DeviceId, Thousandths: s.Thousandths, MemoryMib: s.MemoryMib})
			}
		}
		if len(req.Shares) > 0 {
			all = append(all, req)
		}
	}
	return all
}
