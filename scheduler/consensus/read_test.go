package consensus

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

func TestMajorityAcked(t *testing.T) {
	voters := func(ids ...raft.ServerID) (out []raft.Server) {
		for _, id := range ids {
			out = append(out, raft.Server{ID: id})
		}
		return out
	}
	const term, mark = 7, 100
	fresh, stale := ack{term: term, sent: mark + 1}, ack{term: term, sent: mark}
	oldTerm := ack{term: term - 1, sent: mark + 1}
	for _, tc := range []struct {
		name    string
		servers []raft.Server
		acks    map[raft.ServerID]ack
		want    bool
	}{
		{"alone", voters("a"), nil, true},
		{"one of three", voters("a", "b", "c"), nil, false},
		{"two of three", voters("a", "b", "c"), map[raft.ServerID]ack{"c": fresh}, true},
		{"sent before the mark", voters("a", "b", "c"), map[raft.ServerID]ack{"b": stale, "c": stale}, false},
		{"accepted an earlier term", voters("a", "b", "c"), map[raft.ServerID]ack{"b": oldTerm, "c": oldTerm}, false},
		{"two of four is no majority", voters("a", "b", "c", "d"), map[raft.ServerID]ack{"b": fresh}, false},
		{"three of four", voters("a", "b", "c", "d"), map[raft.ServerID]ack{"b": fresh, "d": fresh}, true},
		{"a non-voter does not count", append(voters("a", "b", "c"), raft.Server{ID: "d", Suffrage: raft.Nonvoter}), map[raft.ServerID]ack{"d": fresh}, false},
		{"a stranger does not count", voters("a", "b", "c"), map[raft.ServerID]ack{"x": fresh}, false},
		{"self without a vote does not count", append(voters("b", "c"), raft.Server{ID: "a", Suffrage: raft.Nonvoter}), map[raft.ServerID]ack{"b": fresh}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := majorityAcked(tc.servers, "a", tc.acks, term, mark); got != tc.want {
				t.Fatalf("majority is %v", got)
			}
		})
	}
}

// lateTransport holds back answers, as sockets do while a process is paused.
type lateTransport struct {
	*raft.InmemTransport
	mu   sync.Mutex
	held chan struct{} // while not nil, answers wait for it to be closed
}

func (l *lateTransport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	err := l.InmemTransport.AppendEntries(id, target, args, resp)
	l.mu.Lock()
	held := l.held
	l.mu.Unlock()
	if held != nil {
		<-held
	}
	return err
}

// AppendEntriesPipeline is off, so that all answers can be held.
func (l *lateTransport) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

func (l *lateTransport) hold() (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := make(chan struct{})
	l.held = held
	return func() {
		l.mu.Lock()
		l.held = nil
		l.mu.Unlock()
		close(held)
	}
}

// raft counts an answer that arrives during its check even if it belongs to a
// message from before. The answers here are such: the followers gave them, then
// were cut off, and they are delivered only after the read began. raft's own
// check passes on them; the read must not.
func TestAnswersFromThePastProveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, transports := lateCluster(t, func(cfg *Config) { cfg.Watchdog.Disabled = true })
		defer c.stop()
		old := c.leader()
		c.propose(old, 1)
		c.converged()
		release := transports[old.id].hold()
		// Every heartbeat goroutine now has an answer in its hands.
		<-time.After(old.cfg.Timing.Heartbeat / 4)
		c.isolate(old)

		bare := make(chan error, 1)
		go func() { bare <- old.raft.VerifyLeader().Error() }()
		proved := make(chan error, 1)
		go func() {
			_, err := Read(context.Background(), old.Node, old.machine.all)
			proved <- err
		}()
		synctest.Wait()
		release()
		if err := <-bare; err != nil {
			t.Fatalf("raft's own check did not fall for it (%v): this test proves nothing", err)
		}
		if err := <-proved; !errors.Is(err, ErrNotLeader) {
			t.Fatalf("a read was confirmed by answers from the past: %v", err)
		}
	})
}

// lateCluster is a cluster whose answers can be held back per server.
func lateCluster(t *testing.T, tweak func(*Config)) (*cluster, map[string]*lateTransport) {
	transports := make(map[string]*lateTransport)
	return newCluster(t, 3, func(_ int, cfg *Config, _ *listMachine) {
		late := &lateTransport{InmemTransport: cfg.Transport.(*raft.InmemTransport)}
		cfg.Transport, transports[cfg.ServerID] = late, late
		tweak(cfg)
	}), transports
}

func TestConcurrentReadsShareTheirProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, transports := lateCluster(t, func(*Config) {})
		defer c.stop()
		l := c.leader()
		c.propose(l, 1)
		before := l.Stats()
		release := transports[l.id].hold()
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if seen, err := Read(context.Background(), l.Node, l.machine.all); err != nil || len(seen) != 1 {
					t.Errorf("read %v, %v", seen, err)
				}
			})
		}
		synctest.Wait()
		release()
		wg.Wait()
		after := l.Stats()
		// Those that came before the first round began, and all others.
		if reads, rounds := after.Reads-before.Reads, after.ReadRounds-before.ReadRounds; reads != 1000 || rounds > 2 {
			t.Fatalf("%d reads took %d rounds", reads, rounds)
		}
	})
}

func TestPendingReadsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, transports := lateCluster(t, func(cfg *Config) { cfg.MaxPendingReads = 5 })
		defer c.stop()
		l := c.leader()
		c.propose(l, 1)
		release := transports[l.id].hold()
		results := make(chan error, 20)
		for range 20 {
			go func() {
				_, err := l.ConfirmLeadership(context.Background())
				results <- err
			}()
			synctest.Wait()
		}
		release()
		refused := 0
		for range 20 {
			switch err := <-results; {
			case errors.Is(err, ErrOverloaded):
				refused++
			case err != nil:
				t.Errorf("a read that had room: %v", err)
			}
		}
		// One round is under way, five wait for the next.
		if refused != 20-1-5 {
			t.Fatalf("%d of 20 refused", refused)
		}
	})
}

// A read on a leader that was just elected waits until the state holds what
// earlier leaders acknowledged.
func TestReadAfterElectionSeesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		defer c.stop()
		for id := range uint64(20) {
			var l *member
			c.until("a write", func() bool {
				l = c.leader()
				_, _, err := l.Propose(context.Background(), command(id))
				return err == nil
			})
			if err := l.TransferLeadership(context.Background(), ""); err != nil {
				t.Fatal(err)
			}
			var elected *member
			c.until("an election", func() bool {
				for _, m := range c.nodes {
					if m.raft.State() == raft.Leader {
						elected = m
					}
				}
				return elected != nil
			})
			seen, err := Read(context.Background(), elected.Node, elected.machine.all)
			if err != nil {
				continue // it may have been elected only in raft's eyes so far
			}
			if len(seen) != int(id)+1 {
				t.Fatalf("after %d commands the new leader read %v", id+1, seen)
			}
		}
	})
}

func TestReadGivesUpWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		defer c.stop()
		l := c.leader()
		ctx, cancel := context.WithCancelCause(context.Background())
		gone := errors.New("the client hung up")
		cancel(gone)
		if _, err := Read(ctx, l.Node, l.machine.all); err != nil && !errors.Is(err, gone) {
			t.Fatalf("error is %v", err)
		}
	})
}
