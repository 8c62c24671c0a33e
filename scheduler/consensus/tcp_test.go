package consensus

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// awaitReal polls a real process until the condition holds.
func awaitReal(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("no %s within a minute", what)
		}
	}
}

// leaderOf waits for an established leader among the nodes.
func leaderOf(t *testing.T, nodes []*Node) (leader *Node) {
	t.Helper()
	awaitReal(t, "leader", func() bool {
		for _, n := range nodes {
			if n.IsLeader() {
				leader = n
			}
		}
		return leader != nil
	})
	return leader
}

// proposeSomewhere retries a command, as a client does, until it is acknowledged.
// It may be applied more than once.
func proposeSomewhere(t *testing.T, nodes []*Node, id uint64) {
	t.Helper()
	awaitReal(t, "acknowledgement", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, _, err := leaderOf(t, nodes).Propose(ctx, command(id))
		return err == nil
	})
}

// Three servers with disks of their own on loopback: one starts the cluster, two
// join and earn votes, the leader stops, the others go on, and the one that was
// stopped comes back and catches up.
func TestThreeServersOverTCP(t *testing.T) {
	var nodes []*Node
	machines := make(map[*Node]*listMachine)
	start := func(i int, addr, dir string) *Node {
		machine := &listMachine{}
		n, err := New(Config{
			ServerID: fmt.Sprintf("s%d", i), BindAddr: addr, DataDir: dir, Bootstrap: i == 0,
			StateMachine: machine, PromoteAfter: 50 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		machines[n] = machine
		return n
	}
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	addrs := make([]string, len(dirs))
	for i, dir := range dirs {
		n := start(i, "127.0.0.1:0", dir)
		addrs[i] = n.Addr()
		nodes = append(nodes, n)
		awaitReal(t, "place in the cluster", func() bool {
			return i == 0 || leaderOf(t, nodes).AddNonvoter(context.Background(), n.cfg.ServerID, n.Addr()) == nil
		})
		awaitReal(t, "vote", func() bool {
			return slices.ContainsFunc(leaderOf(t, nodes).Servers(), func(s Server) bool { return s.ID == n.cfg.ServerID && s.Voter })
		})
	}
	for id := range uint64(50) {
		proposeSomewhere(t, nodes, id)
	}

	old := leaderOf(t, nodes)
	at := slices.Index(nodes, old)
	shutdown(t, old)
	rest := slices.Delete(slices.Clone(nodes), at, at+1)
	for id := uint64(50); id < 100; id++ {
		proposeSomewhere(t, rest, id)
	}
	if leaderOf(t, rest) == old {
		t.Fatal("the stopped server leads")
	}

	back := start(at, addrs[at], dirs[at])
	nodes[at] = back
	proposeSomewhere(t, nodes, 100)
	awaitReal(t, "agreement", func() bool {
		list := machines[nodes[0]].all()
		for _, n := range nodes[1:] {
			if !slices.Equal(machines[n].all(), list) {
				return false
			}
		}
		return len(slices.Compact(slices.Sorted(slices.Values(list)))) == 101
	})
	for _, n := range nodes {
		shutdown(t, n)
	}
}
