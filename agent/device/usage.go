package device

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
	"caravan/plugins/sdk/client"
	"caravan/plugins/sdk/pluginv1"
)

// Names of values that allocations are charged by; see the contract of plugins.
const (
	powerValue  = "power_milliwatts"
	energyValue = "energy_millijoules" // a counter; better than power where there is one
	memoryValue = "memory_used_bytes"
)

// sample is what was measured of a device last.
type sample struct {
	values map[string]int64
	at     time.Time
}

// charge is what an allocation used of one device so far.
type charge struct {
	since    time.Time // when it got the device
	energyMJ int64
	memory   int64            // bytes, now
	peak     int64            // bytes
	own      map[string]int64 // what its processes use now; nil where the plugin tells of none
}

// measure follows a plugin's samples until ctx ends. A plugin that measures nothing, or cannot now, is
// no error: whether it is ill is seen by its health.
func (p *plugin) measure(ctx context.Context, c *client.Client) error {
	m := p.manager
	for {
		err := c.Stats(ctx, m.cfg.StatsInterval, func(s *pluginv1.StatsSample) error {
			m.sampled(s, time.Now())
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case status.Code(err) == codes.Unimplemented:
			<-ctx.Done()
			return ctx.Err()
		}
		m.cfg.Logger.Warn("cannot measure devices, trying again", "plugin", p.Name, "error", err)
		t := time.NewTimer(m.cfg.StatsInterval)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}

// sampled charges what was measured to those who hold the devices.
//
// A device is measured as a whole, so its energy is charged by the shares of it; that between two
// samples is that of the later one's power. Memory is that of the allocation's processes where the
// plugin tells processes apart, else it is charged by the share too.
func (m *Manager) sampled(s *pluginv1.StatsSample, at time.Time) {
	m.charged(s, m.identify(s.Processes), at)
	m.tell()
}

func (m *Manager) charged(s *pluginv1.StatsSample, processes []process, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	told, used, strangers := m.uses(processes)
	m.squat(s.Devices, strangers)
	for _, d := range s.Devices {
		last, again := m.samples[d.DeviceId]
		m.samples[d.DeviceId] = sample{values: d.Values, at: at}
		known := m.find(d.DeviceId)
		if known == nil {
			continue
		}
		for allocation, h := range m.held {
			for _, share := range h.shares {
				if share.DeviceId != d.DeviceId {
					continue
				}
				c := m.charge(allocation, d.DeviceId)
				part := func(n int64) int64 { return n * int64(share.Thousandths) / int64(known.Thousandths) }
				c.memory, c.own = part(d.Values[memoryValue]), nil
				if told[d.DeviceId] {
					c.own = used[owned{allocation, d.DeviceId}]
					c.memory = c.own[memoryValue]
				}
				c.peak = max(c.peak, c.memory)
				if again {
					c.energyMJ += part(energy(last, d.Values, at, c.since))
				}
			}
		}
	}
}

// energy returns the millijoules of a device between its last sample and now, not before since.
func energy(last sample, values map[string]int64, at, since time.Time) int64 {
	whole := at.Sub(last.at).Milliseconds()
	mine := min(whole, at.Sub(since).Milliseconds())
	if whole <= 0 || mine <= 0 {
		return 0
	}
	if before, counts := last.values[energyValue]; counts {
		if now := values[energyValue]; now >= before { // less after a reset of the driver
			return (now - before) * mine / whole
		}
		return 0
	}
	return values[powerValue] * mine / 1000
}

// charge returns the account of an allocation for a device; m.mu is held.
func (m *Manager) charge(allocation, device string) *charge {
	key := [2]string{allocation, device}
	c := m.charges[key]
	if c == nil {
		c = &charge{since: time.Now()}
		m.charges[key] = c
	}
	return c
}

// Usage returns what an allocation is charged for the devices that it holds, in the order of its shares.
func (m *Manager) Usage(allocation string) []driver.DeviceUsage {
	m.mu.Lock()
	defer m.mu.Unlock()
	held := m.held[allocation]
	if held == nil {
		return nil // an earlier agent's, or one that has just given its devices back
	}
	var all []driver.DeviceUsage
	for _, share := range held.shares {
		c := m.charge(allocation, share.DeviceId)
		u := driver.DeviceUsage{Device: share.DeviceId, Thousandths: share.Thousandths, EnergyMJ: c.energyMJ, PeakMemoryBytes: c.peak}
		if s, measured := m.samples[share.DeviceId]; measured {
			u.SampledMs = s.at.UnixMilli()
			u.Values = m.shareOf(share, s.values, c)
		}
		all = append(all, u)
	}
	return all
}

// shareOf returns the values of a device with memory and power as the share has them; m.mu is held.
func (m *Manager) shareOf(share *pb.DeviceShare, values map[string]int64, c *charge) map[string]int64 {
	known := m.find(share.DeviceId)
	out := make(map[string]int64, len(values))
	for name, n := range values {
		switch name {
		case memoryValue:
			n = c.memory
		case powerValue:
			if known != nil {
				n = n * int64(share.Thousandths) / int64(known.Thousandths)
			}
		case energyValue:
			continue // of the device since it was made ready
		default:
			if mine, ok := c.own[name]; ok {
				n = mine
			}
		}
		out[name] = n
	}
	return out
}

// settle closes the accounts of an allocation; m.mu is held.
func (m *Manager) settle(allocation string, shares []*pb.DeviceShare) {
	for _, s := range shares {
		delete(m.charges, [2]string{allocation, s.DeviceId})
	}
}
