package fleet

// Domain is a set of nodes that are near each other.
type Domain struct {
	// Name is zone/rack or zone.
	Name string
	// Nodes are positions in the fleet, ascending.
	Nodes []int32
}

// Racks returns the racks, in the order of their first node. Nodes that name
// no rack are in none. The list is made once per cycle, when first asked for.
func (f *Fleet) Racks() []Domain {
	if f.racks == nil {
		f.racks = f.domains(func(n *Node) string {
			if n.Node.Rack == "" {
				return ""
			}
			return n.Node.Zone + "/" + n.Node.Rack
		})
	}
	return f.racks
}

// Zones returns the zones, in the order of their first node. Nodes that name
// no zone are in none.
func (f *Fleet) Zones() []Domain {
	if f.zones == nil {
		f.zones = f.domains(func(n *Node) string { return n.Node.Zone })
	}
	return f.zones
}

func (f *Fleet) domains(name func(*Node) string) []Domain {
	out := []Domain{}
	at := make(map[string]int)
	for i := range f.nodes {
		key := name(&f.nodes[i])
		if key == "" {
			continue
		}
		k, ok := at[key]
		if !ok {
			k = len(out)
			at[key] = k
			out = append(out, Domain{Name: key})
		}
		out[k].Nodes = append(out[k].Nodes, int32(i))
	}
	return out
}
