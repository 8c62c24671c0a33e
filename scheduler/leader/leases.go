package leader

import (
	"sync"
	"time"
)

// Leases says until when each node is believed to be alive. Deadlines are
// kept in this process alone and on the monotonic clock: a new leader gives
// every node a full term, since it cannot know what its predecessor granted.
type Leases struct {
	ttl, lost time.Duration

	mu       sync.Mutex // guards deadline
	deadline map[string]time.Time
}

// NewLeases returns an empty set. ttl is what agents are granted.
func NewLeases(ttl, killGrace time.Duration) *Leases {
	return &Leases{ttl: ttl, lost: lostAfter(ttl, killGrace), deadline: make(map[string]time.Time)}
}

// lostAfter is when a node is held for lost, counted from its last heartbeat:
// its lease has ended, what it ran has been killed, even on a clock that is
// 2 % slow, and a second has passed for good measure. The lease is counted by
// the agent from an earlier moment, when it sent the heartbeat (Gray and
// Cheriton 1989).
func lostAfter(ttl, killGrace time.Duration) time.Duration {
	return ttl + killGrace + (ttl+killGrace)/50 + time.Second
}

// TTL is the lease that a heartbeat renews.
func (l *Leases) TTL() time.Duration { return l.ttl }

// Renew notes a heartbeat that arrived at now.
func (l *Leases) Renew(node string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline[node] = now.Add(l.lost)
}

// Begin forgets everything and gives each of the nodes a full term.
func (l *Leases) Begin(nodes []string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.deadline)
	for _, n := range nodes {
		l.deadline[n] = now.Add(l.lost)
	}
}

// Forget drops a node.
func (l *Leases) Forget(node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.deadline, node)
}

// Expired returns the nodes whose deadline has passed, in no order.
func (l *Leases) Expired(now time.Time) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for n, t := range l.deadline {
		if now.After(t) {
			out = append(out, n)
		}
	}
	return out
}
