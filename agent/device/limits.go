package device

import (
	"slices"
	"strconv"

	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
	"caravan/plugins/sdk/pluginv1"
)

// limits are what bounds an allocation's shares: what the plugin says of them and, of what it does not
// name, that a share which is all of a device is kept by the hardware, since there is no more to be
// had, and a part of one is reserved and no more.
func (m *Manager) limits(shares []*pb.DeviceShare, told []*pluginv1.Limit) []driver.Limit {
	var all []driver.Limit
	for _, l := range told {
		all = append(all, driver.Limit{
			Name: l.Name, Value: l.Value, Device: l.DeviceId, Enforced: l.Enforcement == pluginv1.Enforcement_ENFORCEMENT_ENFORCED,
		})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range shares {
		d := m.find(s.DeviceId)
		if d == nil {
			continue
		}
		for name, value := range map[string]int64{"memory_mib": s.MemoryMib, "compute_thousandths": int64(s.Thousandths)} {
			named := slices.ContainsFunc(all, func(l driver.Limit) bool { return l.Device == s.DeviceId && l.Name == name })
			if value > 0 && !named {
				all = append(all, driver.Limit{
					Name: name, Value: strconv.FormatInt(value, 10), Device: s.DeviceId, Enforced: s.Thousandths == d.Thousandths,
				})
			}
		}
	}
	slices.SortFunc(all, driver.CompareLimits)
	return all
}
