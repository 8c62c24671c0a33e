// Package memnet joins raft nodes of one process, for tests in fake time and
// for simulation. Links can be cut and mended.
package memnet

import (
	"sync"

	"github.com/hashicorp/raft"

	"caravan/scheduler/consensus"
)

// Network is a full mesh of servers. It is safe for concurrent use.
type Network struct {
	mu    sync.Mutex // guards what follows
	wires map[string]*raft.InmemTransport
	cut   map[string]bool
}

// New returns a network without servers.
func New() *Network {
	return &Network{wires: make(map[string]*raft.InmemTransport), cut: make(map[string]bool)}
}

// Join adds a server, whose id is also its address, and returns its transport.
func (n *Network) Join(id string) consensus.Transport {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, wire := raft.NewInmemTransport(raft.ServerAddress(id))
	n.wires[id] = wire
	n.link(id)
	return wire
}

// Cut takes a server off the network, in both directions.
func (n *Network) Cut(id string) { n.set(id, true) }

// Mend puts it back.
func (n *Network) Mend(id string) { n.set(id, false) }

func (n *Network) set(id string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[id] = cut
	n.link(id)
}

// link makes the links of a server what they should be.
func (n *Network) link(id string) {
	me := n.wires[id]
	for name, other := range n.wires {
		switch {
		case name == id:
		case n.cut[id] || n.cut[name]:
			me.Disconnect(other.LocalAddr())
			other.Disconnect(me.LocalAddr())
		default:
			me.Connect(other.LocalAddr(), other)
			other.Connect(me.LocalAddr(), me)
		}
	}
}
