package runner

import (
	"net"
	"slices"

	pb "caravan/api/caravanv1"
)

// interfaceTowards names the network interface that leads to the other nodes of a gang: the
// one with the address that the routing table chooses for a packet to the nearest of them,
// or, for a gang on one node, to this node itself. It is "" where that cannot be known.
func interfaceTowards(g *pb.Gang) string {
	if g == nil || len(g.Nodes) == 0 {
		return ""
	}
	peer := g.Nodes[0]
	if g.NodeRank == 0 && len(g.Nodes) > 1 {
		peer = g.Nodes[1]
	}
	// No packet is sent: connecting a datagram socket only asks the routing table.
	probe, err := net.Dial("udp", net.JoinHostPort(peer.Host, "9"))
	if err != nil {
		return ""
	}
	defer probe.Close()
	return interfaceOf(probe.LocalAddr().(*net.UDPAddr).IP)
}

// interfaceOf names the interface that has an address, "" for none.
func interfaceOf(ip net.IP) string {
	all, err := net.Interfaces()
	if err != nil {
		return ""
	}
	for _, i := range all {
		addresses, err := i.Addrs()
		if err == nil && slices.ContainsFunc(addresses, func(a net.Addr) bool {
			n, ok := a.(*net.IPNet)
			return ok && n.IP.Equal(ip)
		}) {
			return i.Name
		}
	}
	return ""
}
