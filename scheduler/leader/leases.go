package leader

import (
	"sync"
	"time"
)

// Leases says until when each node is believed to be alive. Deadlines are
// kept in this process alone and on the monotonic clock: a new leader gives
// every node a full term, since it cannot know what its predecessor granted.
type Leases struct {
	ttl, silent, lost time.Duration

	mu    sync.Mutex // guards nodes
	nodes map[string]*term
}

// term is one node's.
type term struct {
	renewed time.Time
	// silenced says that it is known that the lease has run out.
	silenced bool
}

// NewLeases returns an empty set. ttl is what agents are granted.
func NewLeases(ttl, killGrace time.Duration) *Leases {
	return &Leases{ttl: ttl, silent: silentAfter(ttl), lost: lostAfter(ttl, killGrace), nodes: make(map[string]*term)}
}

// silentAfter is when a node's lease has ended, counted from its last
// heartbeat, even on a clock that is 2 % slow. The lease is counted by the
// agent from an earlier moment, when it sent the heartbeat (Gray and Cheriton
// 1989).
func silentAfter(ttl time.Duration) time.Duration { return ttl + ttl/50 }

// lostAfter is when a node is held for lost, counted from its last heartbeat:
// its lease has ended, what it ran has been killed, even on a clock that is
// 2 % slow, and a second has passed for good measure.
func lostAfter(ttl, killGrace time.Duration) time.Duration {
	return ttl + killGrace + (ttl+killGrace)/50 + time.Second
}

// TTL is the lease that a heartbeat renews.
func (l *Leases) TTL() time.Duration { return l.ttl }

// Renew notes a heartbeat that arrived at now.
func (l *Leases) Renew(node string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes[node] = &term{renewed: now}
}

// Begin forgets everything and gives each of the nodes a full term.
func (l *Leases) Begin(nodes []string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.nodes)
	for _, n := range nodes {
		l.nodes[n] = &term{renewed: now}
	}
}

// Silenced notes that it is known that a node's lease has run out.
func (l *Leases) Silenced(node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, ok := l.nodes[node]; ok && time.Since(t.renewed) > l.silent {
		t.silenced = true
	}
}

// Forget drops a node.
func (l *Leases) Forget(node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.nodes, node)
}

// Silent returns the nodes whose lease has run out and that are not silenced,
// in no order.
func (l *Leases) Silent(now time.Time) []string {
	return l.where(func(t *term) bool { return !t.silenced && now.Sub(t.renewed) > l.silent })
}

// Expired returns the nodes that are to be held for lost, in no order.
func (l *Leases) Expired(now time.Time) []string {
	return l.where(func(t *term) bool { return now.Sub(t.renewed) > l.lost })
}

func (l *Leases) where(holds func(*term) bool) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for n, t := range l.nodes {
		if holds(t) {
			out = append(out, n)
		}
	}
	return out
}
