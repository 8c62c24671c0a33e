package consensus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listMachine is a state machine that any mistake of consensus shows up in: it
// keeps the ids it was given, in order, and answers with their position.
type listMachine struct {
	mu  sync.Mutex
	ids []uint64
	// last is the (Index, Position) of the last entry, to see order and gaps.
	lastIndex    uint64
	lastPosition int
	outOfOrder   int
	restores     int
	// spoil, if set, is a planted defect.
	spoil func(ids []uint64) []uint64
	// spoilRestore plants one into Restore.
	spoilRestore func(ids []uint64) []uint64
}

func (m *listMachine) ApplyBatch(entries []Entry) []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	answers := make([]any, len(entries))
	for i, e := range entries {
		if e.Index < m.lastIndex || (e.Index == m.lastIndex && e.Position != m.lastPosition+1) || (e.Index > m.lastIndex && e.Position != 0) {
			m.outOfOrder++
		}
		m.lastIndex, m.lastPosition = e.Index, e.Position
		m.ids = append(m.ids, binary.BigEndian.Uint64(e.Data))
		if m.spoil != nil {
			m.ids = m.spoil(m.ids)
		}
		answers[i] = len(m.ids)
	}
	return answers
}

func (m *listMachine) all() []uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.ids)
}

func (m *listMachine) Snapshot() (Snapshot, error) { return listSnapshot(m.all()), nil }

func (m *listMachine) Restore(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(data)%8 != 0 {
		return errors.New("snapshot is cut")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids = nil
	for ; len(data) > 0; data = data[8:] {
		m.ids = append(m.ids, binary.BigEndian.Uint64(data))
	}
	if m.spoilRestore != nil {
		m.ids = m.spoilRestore(m.ids)
	}
	m.lastIndex, m.restores = 0, m.restores+1
	return nil
}

type listSnapshot []uint64

func (s listSnapshot) Persist(w io.Writer) error {
	var b bytes.Buffer
	for _, id := range s {
		b.Write(command(id))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (s listSnapshot) Release() {}

func command(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

// cluster is a set of nodes in one process, joined by raft's in-memory
// transport.
type cluster struct {
	t     *testing.T
	nodes []*member
}

type member struct {
	*Node
	id      string
	machine *listMachine
	wire    *raft.InmemTransport
	cut     bool
}

// newCluster starts count voters that form a cluster. tweak may change a node's
// configuration.
func newCluster(t *testing.T, count int, tweak func(i int, c *Config, m *listMachine)) *cluster {
	t.Helper()
	c := &cluster{t: t}
	var initial []Server
	for i := range count {
		id := fmt.Sprintf("s%d", i+1)
		initial = append(initial, Server{ID: id, Addr: id, Voter: true})
	}
	for i := range count {
		c.start(initial[i].ID, func(cfg *Config, m *listMachine) {
			cfg.Bootstrap, cfg.InitialServers = true, initial
			if tweak != nil {
				tweak(i, cfg, m)
			}
		})
	}
	return c
}

// start adds a node to the process, connected to all others.
func (c *cluster) start(id string, tweak func(*Config, *listMachine)) *member {
	c.t.Helper()
	_, wire := raft.NewInmemTransport(raft.ServerAddress(id))
	m := &member{id: id, machine: &listMachine{}, wire: wire}
	cfg := Config{ServerID: id, Transport: wire, StateMachine: m.machine, MaxEntryCommands: 64}
	tweak(&cfg, m.machine)
	for _, other := range c.nodes {
		other.wire.Connect(wire.LocalAddr(), wire)
		wire.Connect(other.wire.LocalAddr(), other.wire)
	}
	n, err := New(cfg)
	if err != nil {
		c.t.Fatalf("start %s: %v", id, err)
	}
	m.Node = n
	c.nodes = append(c.nodes, m)
	return m
}

// stop shuts all nodes down.
func (c *cluster) stop() {
	c.heal()
	for _, m := range c.nodes {
		if err := m.Shutdown(context.Background()); err != nil {
			c.t.Errorf("shut down %s: %v", m.id, err)
		}
	}
}

// isolate cuts all links of a node, in both directions.
func (c *cluster) isolate(m *member) {
	m.cut = true
	for _, other := range c.nodes {
		if other != m {
			other.wire.Disconnect(m.wire.LocalAddr())
		}
	}
	m.wire.DisconnectAll()
}

// heal restores all links.
func (c *cluster) heal() {
	for _, m := range c.nodes {
		m.cut = false
		for _, other := range c.nodes {
			if other != m {
				m.wire.Connect(other.wire.LocalAddr(), other.wire)
			}
		}
	}
}

// leader waits for an established leader among the nodes that are not cut off.
func (c *cluster) leader() *member {
	c.t.Helper()
	var found *member
	c.until("a leader", func() bool {
		for _, m := range c.nodes {
			if !m.cut && m.IsLeader() {
				found = m
			}
		}
		return found != nil
	})
	return found
}

// until polls in fake time.
func (c *cluster) until(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			c.t.Fatalf("no %s within a minute", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// propose puts an id through a node and fails the test if that is refused.
func (c *cluster) propose(m *member, id uint64) (answer any, index uint64) {
	c.t.Helper()
	answer, index, err := m.Propose(context.Background(), command(id))
	if err != nil {
		c.t.Fatalf("propose %d on %s: %v", id, m.id, err)
	}
	return answer, index
}

// converged waits until all nodes hold the same list and returns it.
func (c *cluster) converged() []uint64 {
	c.t.Helper()
	var first []uint64
	c.until("agreement", func() bool {
		first = c.nodes[0].machine.all()
		for _, m := range c.nodes {
			if !slices.Equal(m.machine.all(), first) {
				return false
			}
		}
		return true
	})
	return first
}

func TestThreeServersAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		defer c.stop()
		l := c.leader()
		for id := range uint64(20) {
			answer, index := c.propose(l, id)
			if answer != int(id)+1 || index == 0 {
				t.Fatalf("command %d: answer %v at index %d", id, answer, index)
			}
		}
		if got := c.converged(); len(got) != 20 {
			t.Fatalf("agreed on %v", got)
		}
		seen, err := Read(context.Background(), l.Node, l.machine.all)
		if err != nil || len(seen) != 20 {
			t.Fatalf("read %v, %v", seen, err)
		}
	})
}
