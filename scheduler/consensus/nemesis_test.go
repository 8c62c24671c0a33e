package consensus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// history is what the clients of a run were told.
type history struct {
	mu sync.Mutex
	// acked, unknown and refused partition the ids that were proposed once each.
	acked, unknown, refused map[uint64]bool
	ackOrder                []uint64
	// staleReads are reads that missed a command acknowledged before they began.
	staleReads []string
	reads      int
}

func newHistory() *history {
	return &history{acked: map[uint64]bool{}, unknown: map[uint64]bool{}, refused: map[uint64]bool{}}
}

// record files the outcome of a proposal.
func (h *history) record(id uint64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil:
		h.acked[id] = true
		h.ackOrder = append(h.ackOrder, id)
	case errors.Is(err, ErrAmbiguous):
		h.unknown[id] = true
	default:
		h.refused[id] = true
	}
}

func (h *history) ackedSoFar() []uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ackOrder)
}

// check is the oracle: the first promise of the package that the final lists of
// the servers break, nil if they keep all.
func (h *history) check(lists map[string][]uint64) error {
	var reference []uint64
	first := true
	for server, list := range lists {
		if first {
			reference, first = list, false
		}
		if !slices.Equal(list, reference) {
			return fmt.Errorf("server %s holds another list than the others", server)
		}
	}
	count := make(map[uint64]int)
	for _, id := range reference {
		count[id]++
		if count[id] > 1 {
			return fmt.Errorf("command %d was applied twice", id)
		}
		if !h.acked[id] && !h.unknown[id] {
			return fmt.Errorf("command %d was applied, though it was refused or never proposed", id)
		}
	}
	for id := range h.acked {
		if count[id] == 0 {
			return fmt.Errorf("command %d was acknowledged and is lost", id)
		}
	}
	if len(h.staleReads) > 0 {
		return fmt.Errorf("%d stale reads, the first: %s", len(h.staleReads), h.staleReads[0])
	}
	return nil
}

// client proposes an id every 50 ms, and reads now and then, on any server that
// believes to lead, cut off or not.
func (c *cluster) client(ctx context.Context, h *history, next func() uint64) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
		m := c.nodes[rand.IntN(len(c.nodes))]
		if !m.IsLeader() {
			continue
		}
		opCtx, cancel := context.WithTimeout(context.Background(), time.Second)
		if rand.IntN(4) == 0 {
			before := h.ackedSoFar()
			seen, err := Read(opCtx, m.Node, m.machine.all)
			h.readDone(m.id, before, seen, err)
		} else {
			id := next()
			_, _, err := m.Propose(opCtx, command(id))
			h.record(id, err)
		}
		cancel()
	}
}

func (h *history) readDone(server string, before, seen []uint64, err error) {
	if err != nil {
		return
	}
	held := make(map[uint64]bool, len(seen))
	for _, id := range seen {
		held[id] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads++
	for _, id := range before {
		if !held[id] {
			h.staleReads = append(h.staleReads, fmt.Sprintf("%s missed %d", server, id))
			return
		}
	}
}

// nemesis cuts one server off for a while, again and again.
func (c *cluster) nemesis(ctx context.Context) (cuts int) {
	pause := func(low, high time.Duration) bool {
		select {
		case <-time.After(low + rand.N(high-low)):
			return true
		case <-ctx.Done():
			return false
		}
	}
	for pause(3*time.Second, 12*time.Second) {
		victim := c.nodes[rand.IntN(len(c.nodes))]
		for _, m := range c.nodes {
			if m.IsLeader() && rand.IntN(2) == 0 {
				victim = m
			}
		}
		c.isolate(victim)
		cuts++
		if !pause(time.Second, 16*time.Second) {
			break
		}
		c.heal()
	}
	c.heal()
	return cuts
}

// ordeal runs clients and the nemesis for a time, heals everything, and returns
// the verdict of the oracle.
func (c *cluster) ordeal(duration time.Duration) (*history, error) {
	h := newHistory()
	ctx, cancel := context.WithTimeout(context.Background(), duration)
	defer cancel()
	var mu sync.Mutex
	var last uint64
	next := func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		last++
		return last
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { c.client(ctx, h, next) })
	}
	cuts := c.nemesis(ctx)
	wg.Wait()
	// One more command after healing, so that everyone learns of the last commit.
	id := next()
	_, _, err := c.leader().Propose(context.Background(), command(id))
	h.record(id, err)
	<-time.After(30 * time.Second)
	lists := make(map[string][]uint64)
	for _, m := range c.nodes {
		lists[m.id] = m.machine.all()
		if n := m.machine.outOfOrder; n > 0 {
			return h, fmt.Errorf("%s was given %d entries out of order", m.id, n)
		}
	}
	c.t.Logf("%d cuts, term %d: %d acknowledged, %d unknown, %d refused, %d reads", cuts, c.nodes[0].Term(), len(h.acked), len(h.unknown), len(h.refused), h.reads)
	return h, h.check(lists)
}

// small makes snapshots and their installation happen within minutes.
func small(c *Config) {
	c.SnapshotInterval, c.SnapshotThreshold, c.TrailingLogs = 20*time.Second, 100, 16
}

func TestNothingAcknowledgedIsLostUnderPartitions(t *testing.T) {
	duration := 8 * time.Minute
	if testing.Short() {
		duration = 3 * time.Minute
	}
	for name, timing := range map[string]Timing{"default": DefaultTiming(), "lan": LANTiming()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3, func(_ int, cfg *Config, _ *listMachine) {
					small(cfg)
					cfg.Timing = timing
				})
				defer c.stop()
				h, err := c.ordeal(duration)
				if err != nil {
					t.Fatal(err)
				}
				restores := 0
				for _, m := range c.nodes {
					restores += m.machine.restores
				}
				if len(h.acked) == 0 || h.reads == 0 || restores == 0 {
					t.Fatalf("the run proves nothing: %d acks, %d reads, %d snapshots installed", len(h.acked), h.reads, restores)
				}
			})
		})
	}
}

// The oracle must see defects, or its silence means nothing.
func TestOracleSeesPlantedDefects(t *testing.T) {
	for name, plant := range map[string]func(i int, c *Config, m *listMachine){
		"one server's state machine drops a command": func(i int, _ *Config, m *listMachine) {
			if i == 1 {
				m.spoil = func(ids []uint64) []uint64 {
					if n := len(ids); n%50 == 0 { // again and again: a snapshot from another server would hide one
						return ids[:n-1]
					}
					return ids
				}
			}
		},
		"a state machine applies a command twice": func(_ int, _ *Config, m *listMachine) {
			m.spoil = func(ids []uint64) []uint64 {
				if len(ids) == 70 {
					return append(ids, ids[69])
				}
				return ids
			}
		},
		"restore forgets the last command": func(_ int, _ *Config, m *listMachine) {
			m.spoilRestore = func(ids []uint64) []uint64 { return ids[:len(ids)-1] }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3, func(i int, cfg *Config, m *listMachine) {
					small(cfg)
					plant(i, cfg, m)
				})
				defer c.stop()
				_, err := c.ordeal(4 * time.Minute)
				if err == nil {
					t.Fatal("the oracle saw nothing")
				}
				t.Logf("seen: %v", err)
			})
		})
	}
}

func TestOracleSeesAnAckThatWasNotCommitted(t *testing.T) {
	h := newHistory()
	h.record(1, nil)
	h.record(2, nil)
	if err := h.check(map[string][]uint64{"a": {1}, "b": {1}}); err == nil {
		t.Fatal("a lost command was not seen")
	}
}

// A leader that is cut off must not answer, neither before it steps down nor
// after.
func TestCutOffLeaderAnswersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		defer c.stop()
		old := c.leader()
		c.propose(old, 1)
		c.isolate(old)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, _, err := old.Propose(context.Background(), command(2)); !errors.Is(err, ErrAmbiguous) {
				t.Errorf("a write on the cut-off leader: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := Read(context.Background(), old.Node, old.machine.all); !errors.Is(err, ErrNotLeader) {
				t.Errorf("a read on the cut-off leader: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := old.ConfirmLeadership(context.Background()); !errors.Is(err, ErrNotLeader) {
				t.Errorf("a lease on the cut-off leader: %v", err)
			}
		})
		wg.Wait()
		now := c.leader()
		if now == old {
			t.Fatal("the cut-off leader still leads")
		}
		c.propose(now, 3)
		if _, _, err := old.Propose(context.Background(), command(4)); !errors.Is(err, ErrNotLeader) {
			t.Fatalf("a write after it stepped down: %v", err)
		}
		c.heal()
		if list := c.converged(); !slices.Equal(list, []uint64{1, 3}) {
			t.Fatalf("agreed on %v", list)
		}
	})
}

func TestLaggingFollowerIsGivenASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, func(_ int, cfg *Config, _ *listMachine) { small(cfg) })
		defer c.stop()
		l := c.leader()
		var away *member
		for _, m := range c.nodes {
			if m != l {
				away = m
			}
		}
		c.isolate(away)
		for id := range uint64(400) {
			c.propose(l, id)
		}
		<-time.After(2 * time.Minute)
		c.heal()
		list := c.converged()
		if len(list) != 400 || away.machine.restores == 0 {
			t.Fatalf("%d commands, %d snapshots installed", len(list), away.machine.restores)
		}
		c.propose(c.leader(), 1000)
		c.converged()
		if got, want := away.AppliedIndex(), c.leader().AppliedIndex(); got != want {
			t.Fatalf("the follower says it applied up to %d, the leader %d", got, want)
		}
	})
}
