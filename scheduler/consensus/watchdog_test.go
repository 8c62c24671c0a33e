package consensus

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

func TestWhatCountsAsASlowDisk(t *testing.T) {
	w := DefaultWatchdog()
	for _, tc := range []struct {
		name string
		load appendLoad
		want bool
	}{
		{"idle", appendLoad{}, false},
		{"quick", appendLoad{total: 60}, false},
		{"one stall", appendLoad{total: 60, slow: 1}, false},
		{"one append, and that one slow", appendLoad{total: 1, slow: 1}, false},
		{"a few of many", appendLoad{total: 10, slow: 4}, false},
		{"half of them", appendLoad{total: 10, slow: 5}, true},
		{"all of them", appendLoad{total: 3, slow: 3}, true},
		{"one runs for a while", appendLoad{running: 4 * w.Bound}, false},
		{"one runs and runs", appendLoad{running: 4*w.Bound + 1}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := w.overloaded(tc.load); got != tc.want {
				t.Fatalf("overloaded is %v", got)
			}
		})
	}
}

func TestGaugeLooksAtItsWindowOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := DefaultWatchdog()
		var g appendGauge
		run := func(d time.Duration) {
			g.begin()
			<-time.After(d)
			g.end()
		}
		run(time.Second)
		run(time.Second)
		if got, want := g.load(time.Now(), w), (appendLoad{total: 2, slow: 2}); got != want {
			t.Fatalf("load is %+v, want %+v", got, want)
		}
		<-time.After(w.Window)
		run(time.Millisecond)
		g.begin()
		<-time.After(20 * time.Millisecond)
		if got, want := g.load(time.Now(), w), (appendLoad{total: 1, running: 20 * time.Millisecond}); got != want {
			t.Fatalf("load is %+v, want %+v", got, want)
		}
	})
}

func TestHandOverGoesToTheQuickestHealthyVoter(t *testing.T) {
	now := time.Unix(1000, 0)
	servers := []raft.Server{{ID: "self"}, {ID: "a"}, {ID: "b"}, {ID: "guest", Suffrage: raft.Nonvoter}}
	at := func(ago, roundTrip time.Duration) ack { return ack{at: now.Add(-ago), roundTrip: roundTrip} }
	for _, tc := range []struct {
		name string
		acks map[raft.ServerID]ack
		want raft.ServerID
	}{
		{"nobody answered", nil, ""},
		{"only this server", map[raft.ServerID]ack{"self": at(0, 0)}, ""},
		{"the quickest", map[raft.ServerID]ack{"a": at(0, 9*time.Millisecond), "b": at(0, 3*time.Millisecond)}, "b"},
		{"not one that is silent", map[raft.ServerID]ack{"a": at(0, 9*time.Millisecond), "b": at(2*time.Second, 3*time.Millisecond)}, "a"},
		{"not one that is slow itself", map[raft.ServerID]ack{"a": at(0, time.Second)}, ""},
		{"not one without a vote", map[raft.ServerID]ack{"guest": at(0, time.Millisecond)}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := healthiest(now, servers, "self", tc.acks, time.Second, 250*time.Millisecond)
			if got.ID != tc.want || ok != (tc.want != "") {
				t.Fatalf("chose %q, %v", got.ID, ok)
			}
		})
	}
}

// keepBusy proposes on whoever leads until the context ends.
func (c *cluster) keepBusy(ctx context.Context) {
	for id := uint64(1); ctx.Err() == nil; id++ {
		for _, m := range c.nodes {
			if m.IsLeader() {
				opCtx, cancel := context.WithTimeout(ctx, time.Second)
				_, _, _ = m.Propose(opCtx, command(id))
				cancel()
			}
		}
		<-time.After(20 * time.Millisecond)
	}
}

func TestLeaderWithSlowDiskHandsOver(t *testing.T) {
	for _, tc := range []struct {
		name     string
		stall    time.Duration
		disabled bool
		moves    bool
	}{
		{"appends of 20 ms are fine", 20 * time.Millisecond, false, false},
		{"appends of 400 ms", 400 * time.Millisecond, false, true},
		{"appends of 5 s", 5 * time.Second, false, true},
		{"appends of 5 s without the watchdog", 5 * time.Second, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disks := make(map[string]*stallingStore)
				c := newCluster(t, 3, func(_ int, cfg *Config, _ *listMachine) {
					cfg.Watchdog = DefaultWatchdog()
					cfg.Watchdog.Disabled = tc.disabled
					disks[cfg.ServerID] = withStall(cfg)
				})
				defer c.stop()
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				busy := make(chan struct{})
				go func() {
					defer close(busy)
					c.keepBusy(ctx)
				}()
				old := c.leader()
				<-time.After(5 * time.Second)
				disks[old.id].stall.Store(int64(tc.stall))
				start := time.Now()
				moved := func() bool {
					for _, m := range c.nodes {
						if m != old && m.IsLeader() {
							return true
						}
					}
					return false
				}
				for !moved() && time.Since(start) < time.Minute {
					<-time.After(100 * time.Millisecond)
				}
				took := time.Since(start)
				if moved() != tc.moves {
					t.Fatalf("leadership moved is %v, after %v", moved(), took)
				}
				if tc.moves && took > 10*time.Second {
					t.Fatalf("it took %v, promised are 10 s", took)
				}
				t.Logf("moved is %v, after %v", tc.moves, took)
				disks[old.id].stall.Store(0)
				cancel()
				<-busy
			})
		})
	}
}

func TestSlowDisksEverywhereDoNotPassLeadershipRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, func(_ int, cfg *Config, _ *listMachine) {
			withStall(cfg).stall.Store(int64(300 * time.Millisecond))
		})
		defer c.stop()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		c.leader()
		c.keepBusy(ctx)
		var handOvers uint64
		for _, m := range c.nodes {
			handOvers += m.Stats().HandOvers
		}
		// Each node may try once per Cooldown of 30 s.
		if handOvers > 3*4 {
			t.Fatalf("%d hand-overs in two minutes", handOvers)
		}
		t.Logf("%d hand-overs", handOvers)
	})
}
