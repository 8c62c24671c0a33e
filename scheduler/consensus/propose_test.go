package consensus

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// stallingStore is a log store whose appends take a while.
type stallingStore struct {
	raft.LogStore
	stall atomic.Int64 // nanoseconds
}

func (s *stallingStore) StoreLogs(logs []*raft.Log) error {
	if d := time.Duration(s.stall.Load()); d > 0 {
		<-time.After(d)
	}
	return s.LogStore.StoreLogs(logs)
}

// withStall puts a stallingStore below a node.
func withStall(c *Config) *stallingStore {
	s := &stallingStore{}
	c.wrapLogStore = func(inner raft.LogStore) raft.LogStore {
		s.LogStore = inner
		return s
	}
	return s
}

func TestConcurrentCommandsShareLogEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 1000
		c := newCluster(t, 3, func(_ int, cfg *Config, _ *listMachine) {
			cfg.MaxEntryCommands = 256
			withStall(cfg).stall.Store(int64(2 * time.Millisecond)) // a disk's sync
		})
		defer c.stop()
		l := c.leader()
		before := l.Stats()
		var wg sync.WaitGroup
		positions := make([]int, count)
		for id := range count {
			wg.Go(func() {
				answer, _, err := l.Propose(context.Background(), command(uint64(id)))
				if err != nil {
					t.Errorf("command %d: %v", id, err)
					return
				}
				positions[id] = answer.(int)
			})
		}
		wg.Wait()
		list := c.converged()
		for id, position := range positions {
			if position < 1 || list[position-1] != uint64(id) {
				t.Fatalf("command %d was given the answer of another one, %d", id, position)
			}
		}
		after := l.Stats()
		entries, commands := after.Entries-before.Entries, after.Commands-before.Commands
		if commands != count || entries > 10 {
			t.Fatalf("%d commands took %d entries", commands, entries)
		}
		t.Logf("%d commands in %d log entries", commands, entries)
	})
}

func TestCommandsOfOneCallerKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		defer c.stop()
		l := c.leader()
		for id := range uint64(200) {
			c.propose(l, id)
		}
		if list := c.converged(); !slices.IsSorted(list) {
			t.Fatalf("order is %v", list)
		}
	})
}

func TestEntryBoundsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var commands, sizes []int
		c := newCluster(t, 1, func(_ int, cfg *Config, _ *listMachine) {
			// 4 commands of 8 bytes fit; the fifth is carried into the next entry.
			cfg.MaxEntryBytes = envelopeOverhead + 4*(commandOverhead+8) + 3
			cfg.OnCommit = func(_ time.Duration, n, size int) {
				mu.Lock()
				defer mu.Unlock()
				commands, sizes = append(commands, n), append(sizes, size)
			}
			withStall(cfg).stall.Store(int64(time.Millisecond))
		})
		defer c.stop()
		l := c.leader()
		var wg sync.WaitGroup
		for id := range uint64(50) {
			wg.Go(func() { _, _, _ = l.Propose(context.Background(), command(id)) })
		}
		wg.Wait()
		synctest.Wait()
		if list := c.converged(); len(list) != 50 {
			t.Fatalf("%d of 50 commands applied", len(list))
		}
		mu.Lock()
		defer mu.Unlock()
		if slices.Max(commands) != 4 || slices.Max(sizes) > envelopeOverhead+4*(commandOverhead+8)+3 {
			t.Fatalf("entries of up to %d commands and %d bytes", slices.Max(commands), slices.Max(sizes))
		}
	})
}

func TestTooLargeCommandIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, nil)
		defer c.stop()
		l := c.leader()
		limit := l.cfg.MaxCommandBytes()
		if _, _, err := l.Propose(context.Background(), make([]byte, limit+1)); !errors.Is(err, ErrTooLarge) {
			t.Fatalf("a command of %d bytes: %v", limit+1, err)
		}
		if _, _, err := l.Propose(context.Background(), make([]byte, limit)); err != nil {
			t.Fatalf("a command of %d bytes: %v", limit, err)
		}
	})
}

func TestFullQueueRefusesAtOnce(t *testing.T) {
	for name, tweak := range map[string]func(*Config){
		"commands":      func(c *Config) { c.MaxQueuedCommands = 4 },
		"command bytes": func(c *Config) { c.MaxEntryBytes, c.MaxQueuedBytes = 32, 32 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var disk *stallingStore
				c := newCluster(t, 1, func(_ int, cfg *Config, _ *listMachine) {
					tweak(cfg)
					cfg.MaxEntryCommands = 1
					disk = withStall(cfg)
				})
				defer c.stop()
				l := c.leader()
				disk.stall.Store(int64(time.Minute))
				var wg sync.WaitGroup
				var refused, applied atomic.Int64
				for id := range uint64(40) {
					wg.Go(func() {
						start := time.Now()
						_, _, err := l.Propose(context.Background(), command(id))
						var full *OverloadedError
						switch {
						case err == nil:
							applied.Add(1)
						case errors.As(err, &full) && full.Queue == name && time.Since(start) == 0:
							refused.Add(1)
						default:
							// The entry that raft did not take in time is refused, too.
							if !errors.Is(err, ErrOverloaded) {
								t.Errorf("command %d: %v after %v", id, err, time.Since(start))
							}
						}
					})
				}
				synctest.Wait()
				disk.stall.Store(0)
				wg.Wait()
				if refused.Load() < 30 || applied.Load() == 0 {
					t.Fatalf("%d refused at once, %d applied", refused.Load(), applied.Load())
				}
				// Room is given back: the next command is taken again.
				c.propose(l, 99)
				if s := l.Stats(); s.QueuedBytes != 0 || s.QueuedCommands != 0 || s.Overloads < 30 {
					t.Fatalf("afterwards: %+v", s)
				}
			})
		})
	}
}

// A caller that gives up is told the truth: "certainly not" while the command
// waits, "unknown" once it is on its way.
func TestGivingUpOnACommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var disk *stallingStore
		c := newCluster(t, 1, func(_ int, cfg *Config, _ *listMachine) {
			cfg.MaxInflightEntries, cfg.MaxEntryCommands = 1, 1
			disk = withStall(cfg)
		})
		defer c.stop()
		l := c.leader()
		disk.stall.Store(int64(5 * time.Second))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { _, _, err := l.Propose(ctx, command(1)); first <- err }()
		synctest.Wait()
		go func() { _, _, err := l.Propose(ctx, command(2)); second <- err }()
		if err := <-first; !errors.Is(err, ErrAmbiguous) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the one on its way: %v", err)
		}
		if err := <-second; errors.Is(err, ErrAmbiguous) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the one that waited: %v", err)
		}
		disk.stall.Store(0)
		c.propose(l, 3)
		if list := c.converged(); !slices.Equal(list, []uint64{1, 3}) {
			t.Fatalf("applied %v", list)
		}
	})
}

func TestFollowerNamesTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		defer c.stop()
		l := c.leader()
		c.propose(l, 1)
		c.converged()
		for _, m := range c.nodes {
			if m == l {
				continue
			}
			var redirect *NotLeaderError
			if _, _, err := m.Propose(context.Background(), command(2)); !errors.As(err, &redirect) || redirect.LeaderID != l.id || redirect.LeaderAddr != l.id {
				t.Fatalf("propose on %s: %v", m.id, err)
			}
			if _, err := Read(context.Background(), m.Node, m.machine.all); !errors.As(err, &redirect) || redirect.LeaderID != l.id {
				t.Fatalf("read on %s: %v", m.id, err)
			}
		}
	})
}
