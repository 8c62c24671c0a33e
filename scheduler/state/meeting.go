package state

// Where gangs meet: ports FirstGangPort to FirstGangPort+GangPorts-1, below
// those that kernels give to outgoing connections (ip_local_port_range).
const (
	FirstGangPort = 20_000
	GangPorts     = 10_000
)

// meetingPort chooses the port on the node of the first member at which the
// members of the coming epoch find each other; 0 when none is left. No live
// gang that meets on that node has it, and the epoch before did not have it,
// so that what is left of a dead epoch cannot join.
func (p *placer) meetingPort() int32 {
	taken := map[int32]bool{p.status.Port: true}
	for i := range p.set.Placements {
		if p.set.Placements[i].Ordinal == 0 {
			p.gangPorts(p.set.Placements[i].Node, taken)
		}
	}
	// Gangs begin at places far apart, because two nodes may share an address.
	start := p.job.Number*7919 + uint64(p.set.Group)*613 + uint64(p.status.Epoch) //nolint:gosec // neither is negative
	for i := range uint64(GangPorts) {
		if port := FirstGangPort + int32((start+i)%GangPorts); !taken[port] { //nolint:gosec // below 30,000
			return port
		}
	}
	return 0
}

// gangPorts adds the ports at which live gangs meet on a node.
func (t *Txn) gangPorts(node string, ports map[int32]bool) {
	for a := range t.tb.allocations.liveOn(node) {
		if a.Ordinal != 0 {
			continue
		}
		j, ok := t.tb.jobs.get(a.Job)
		must(ok, "a live allocation has no job")
		if j.Spec.Groups[a.Group].Gang {
			ports[j.Groups[a.Group].Port] = true
		}
	}
}

// shareNode reports whether two placements are on one node.
func shareNode(placements []Placement) bool {
	seen := make(map[string]bool, len(placements))
	for i := range placements {
		if seen[placements[i].Node] {
			return true
		}
		seen[placements[i].Node] = true
	}
	return false
}
