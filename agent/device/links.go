package device

import pb "caravan/api/caravanv1"

// Scores of two devices of which no plugin tells how they are connected; see the Link of the plugins'
// contract.
const (
	otherProcessor = 10
	sameProcessor  = 20
)

// Links returns how close any two of the given devices are, the upper triangle row by row, as a node
// registers it; nil when nothing is known of any. Between devices of different plugins it is known as
// far as both tell their memory node.
func (m *Manager) Links(devices []*pb.Device) []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	told := make(map[[2]string]int32)
	for _, p := range m.plugins {
		for _, l := range p.inventory.GetLinks() {
			told[[2]string{l.A, l.B}], told[[2]string{l.B, l.A}] = l.Score, l.Score
		}
	}
	var out []int32
	known := false
	for i, a := range devices {
		for _, b := range devices[i+1:] {
			score, ok := told[[2]string{a.Id, b.Id}]
			if !ok {
				score = byMemoryNode(a, b)
			}
			known = known || score > 0
			out = append(out, score)
		}
	}
	if !known {
		return nil
	}
	return out
}

func byMemoryNode(a, b *pb.Device) int32 {
	x, okX := a.Attributes[numaAttribute]
	y, okY := b.Attributes[numaAttribute]
	switch {
	case !okX || !okY:
		return 0
	case x.GetMilli() == y.GetMilli():
		return sameProcessor
	}
	return otherProcessor
}

// numaAttribute is the memory node that a device is attached to, as plugins name it.
const numaAttribute = "numa_node"

// MemoryNodes returns the memory nodes that devices are attached to, as far as they tell, each once.
func (m *Manager) MemoryNodes(shares []*pb.DeviceShare) []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	var nodes []int
	seen := make(map[int]bool)
	for _, s := range shares {
		a := m.find(s.DeviceId).GetAttributes()[numaAttribute]
		if node := int(a.GetMilli() / 1000); a != nil && !seen[node] {
			seen[node] = true
			nodes = append(nodes, node)
		}
	}
	return nodes
}
