package device

import (
	"slices"
	"strconv"

	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
	"caravan/plugins/sdk/pluginv1"
)

// byHardware is what keeps the limits of a share that is all of a device.
const byHardware = "hardware"

// encoder is what plugins call the video engines.
const encoder = "encoder"

// engines reports whether a share asks for some of a device's video engines.
func engines(shares []*pb.DeviceShare, device string) bool {
	return slices.ContainsFunc(shares, func(s *pb.DeviceShare) bool {
		return s.DeviceId == device && s.EncoderSessions+s.EncodeMilli+s.DecodeMilli > 0
	})
}

// limits are what bounds an allocation's shares: what the plugins say of them and, of what they do not
// name, that a share which is all of a device is kept by the hardware, since there is no more to be
// had, and a part of one is reserved and no more.
func (m *Manager) limits(shares []*pb.DeviceShare, told []*pluginv1.Limit) []driver.Limit {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []driver.Limit
	for _, s := range shares {
		known := m.find(s.DeviceId)
		for _, bound := range []struct {
			resource, name string
			value          int64
		}{
			{"compute", "compute_thousandths", int64(s.Thousandths)},
			{"memory", "memory_mib", s.MemoryMib},
			{encoder, "encoder_sessions", int64(s.EncoderSessions)},
			{encoder, "encode_milli", int64(s.EncodeMilli)},
			{encoder, "decode_milli", int64(s.DecodeMilli)},
		} {
			l := driver.Limit{Name: bound.name, Value: strconv.FormatInt(bound.value, 10), Device: s.DeviceId}
			if said := toldOf(told, s.DeviceId, bound.resource); said != nil {
				l.Enforced, l.By = said.Enforced, said.By
			} else if known != nil && s.Thousandths == known.Thousandths {
				l.Enforced, l.By = true, byHardware
			}
			if bound.value > 0 {
				all = append(all, l)
			}
		}
	}
	for _, l := range told {
		if l.Resource != "compute" && l.Resource != "memory" && (l.Resource != encoder || !engines(shares, l.DeviceId)) {
			all = append(all, driver.Limit{Name: l.Resource, Device: l.DeviceId, Enforced: l.Enforced, By: l.By})
		}
	}
	slices.SortFunc(all, driver.CompareLimits)
	return all
}

// toldOf returns what a plugin says of a resource of a device, nil for nothing.
func toldOf(told []*pluginv1.Limit, device, resource string) *pluginv1.Limit {
	for _, l := range told {
		if l.DeviceId == device && l.Resource == resource {
			return l
		}
	}
	return nil
}
