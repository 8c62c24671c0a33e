package consensus

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Watchdog says when a leader whose disk is slow hands leadership over. raft
// only replaces a leader that is silent; one that writes for seconds goes on
// sending heartbeats and keeps its place for ever, and the cluster with it at
// the speed of its disk.
//
// What is measured is this node's own appends to its log, which precede every
// commit and which only a change of leader can make faster.
type Watchdog struct {
	// Bound is the time an append may take. Default 250 ms.
	Bound time.Duration
	// Window is the time looked back upon: hand over when at least two appends,
	// and at least half of all, ended above Bound within it, or when one has been
	// running for four times Bound. Default 3 s.
	Window time.Duration
	// Cooldown is the least time between two attempts of one node, so that a
	// cluster of slow disks does not pass leadership round. Default 30 s.
	Cooldown time.Duration
	// Disabled turns the watchdog off.
	Disabled bool
}

// DefaultWatchdog moves leadership within about 10 s off a disk that stalls.
func DefaultWatchdog() Watchdog {
	return Watchdog{Bound: 250 * time.Millisecond, Window: 3 * time.Second, Cooldown: 30 * time.Second}
}

func (w Watchdog) validate() error {
	if w.Disabled || (w.Bound > 0 && w.Window > 0 && w.Cooldown > 0) {
		return nil
	}
	return errors.New("consensus config: Watchdog needs Bound, Window and Cooldown above 0, or Disabled")
}

// appendLoad is what the gauge saw within a window.
type appendLoad struct {
	// total and slow count the appends that ended, slow those above the bound.
	total, slow int
	// running is how long the append under way has taken so far.
	running time.Duration
}

// overloaded reports whether the disk is too slow to lead with.
func (w Watchdog) overloaded(l appendLoad) bool {
	return l.running > 4*w.Bound || (l.slow >= 2 && 2*l.slow >= l.total)
}

// healthiest returns the voter to hand over to: one that answered within fresh,
// and the last time within bound, the quickest of them.
func healthiest(now time.Time, servers []raft.Server, self raft.ServerID, acks map[raft.ServerID]ack, fresh, bound time.Duration) (raft.Server, bool) {
	var best raft.Server
	found := false
	for _, s := range servers {
		a, ok := acks[s.ID]
		if s.ID == self || s.Suffrage != raft.Voter || !ok || now.Sub(a.at) > fresh || a.roundTrip > bound {
			continue
		}
		if !found || a.roundTrip < acks[best.ID].roundTrip {
			best, found = s, true
		}
	}
	return best, found
}

// handOverIfSlow is called on the leader's duties goroutine.
func (n *Node) handOverIfSlow(now time.Time, servers []raft.Server, acks map[raft.ServerID]ack, leaderSince time.Time) {
	w := n.cfg.Watchdog
	if w.Disabled || n.transferring.Load() || now.Sub(leaderSince) < w.Window || now.Sub(n.lastHandOver) < w.Cooldown {
		return
	}
	load := n.gauge.load(now, w)
	if !w.overloaded(load) {
		return
	}
	target, ok := healthiest(now, servers, raft.ServerID(n.cfg.ServerID), acks, n.cfg.Timing.Heartbeat, w.Bound)
	if !ok {
		return
	}
	n.lastHandOver = now
	n.counters.handOvers.Add(1)
	n.cfg.Logger.Warn("this leader's disk is slow, handing leadership over",
		"to", target.ID, "slow-appends", load.slow, "appends", load.total, "append-running", load.running)
	handOver := func() {
		if err := n.transfer(target); err != nil {
			n.cfg.Logger.Error("could not hand leadership over", "to", target.ID, "error", err)
		}
	}
	if err := n.begin(handOver); err != nil {
		n.cfg.Logger.Info("not handing leadership over", "reason", err)
	}
}

// appendGauge times the appends to a log store.
type appendGauge struct {
	mu sync.Mutex
	// started is when the append under way began, zero if none is. raft appends
	// from one goroutine.
	started time.Time
	// recent is a ring of the last appends that ended.
	recent [64]finishedAppend
	next   int
}

type finishedAppend struct {
	at   time.Time
	took time.Duration
}

func (g *appendGauge) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.started = time.Now()
}

func (g *appendGauge) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.recent[g.next%len(g.recent)] = finishedAppend{at: now, took: now.Sub(g.started)}
	g.next++
	g.started = time.Time{}
}

func (g *appendGauge) load(now time.Time, w Watchdog) appendLoad {
	g.mu.Lock()
	defer g.mu.Unlock()
	var l appendLoad
	if !g.started.IsZero() {
		l.running = now.Sub(g.started)
	}
	for _, a := range g.recent {
		if a.at.IsZero() || now.Sub(a.at) > w.Window {
			continue
		}
		l.total++
		if a.took > w.Bound {
			l.slow++
		}
	}
	return l
}

// gaugedStore is a log store whose appends are timed.
type gaugedStore struct {
	raft.LogStore
	gauge *appendGauge
}

var _ raft.MonotonicLogStore = (*gaugedStore)(nil)

// StoreLogs implements raft.LogStore.
func (s *gaugedStore) StoreLogs(logs []*raft.Log) error {
	s.gauge.begin()
	defer s.gauge.end()
	if err := s.LogStore.StoreLogs(logs); err != nil {
		return fmt.Errorf("append to the log: %w", err)
	}
	return nil
}

// IsMonotonic passes on what the store below says.
func (s *gaugedStore) IsMonotonic() bool { return isMonotonic(s.LogStore) }
