package consensus

import (
	"reflect"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
)

// spyTransport records whether the heartbeat handler reaches it.
type spyTransport struct {
	*raft.InmemTransport
	handlers int
}

func (s *spyTransport) SetHeartbeatHandler(func(raft.RPC)) { s.handlers++ }

func TestTransportKeepsPreVoteAndRefusesTheFastPath(t *testing.T) {
	_, wire := raft.NewInmemTransport("a")
	spy := &spyTransport{InmemTransport: wire}
	var wrapped raft.Transport = &peerTransport{Transport: spy, peers: newPeerTable()}
	wrapped.SetHeartbeatHandler(func(raft.RPC) {})
	if spy.handlers != 0 {
		t.Error("the heartbeat handler reached the transport")
	}
	if _, ok := wrapped.(raft.WithPreVote); !ok {
		t.Error("raft would turn pre-vote off")
	}
	if _, ok := wrapped.(raft.WithClose); !ok {
		t.Error("raft would not close the transport")
	}
}

func TestPeerTableKeepsTheNewestOfTheMembersOnly(t *testing.T) {
	p := newPeerTable()
	first, second := p.mark(), p.mark()
	p.record("a", ack{sent: second})
	p.record("a", ack{sent: first}) // arrives late
	p.record("b", ack{sent: first})
	got := p.snapshot([]raft.Server{{ID: "a"}})
	want := map[raft.ServerID]ack{"a": {sent: second}}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("table is %v, want %v", got, want)
	}
	if got := p.snapshot([]raft.Server{{ID: "a"}, {ID: "b"}}); len(got) != 1 {
		t.Fatalf("a removed server is still remembered: %v", got)
	}
}

func TestListenRefusesAnAddressNobodyCanDial(t *testing.T) {
	if s, err := listenTCP("0.0.0.0:0", ""); err == nil {
		_ = s.Close()
		t.Fatal("a wildcard address was advertised")
	}
	s, err := listenTCP("127.0.0.1:0", "server-1.example:4647")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if got := s.Addr().String(); got != "server-1.example:4647" {
		t.Fatalf("advertises %s", got)
	}
}

func TestServersAreSorted(t *testing.T) {
	c := newCluster(t, 3, nil)
	defer c.stop()
	ids := make([]string, 0, 3)
	for _, s := range c.nodes[2].Servers() {
		ids = append(ids, s.ID)
		if !s.Voter || s.Addr != s.ID {
			t.Errorf("server %+v", s)
		}
	}
	if !slices.Equal(ids, []string{"s1", "s2", "s3"}) {
		t.Fatalf("servers are %v", ids)
	}
}
