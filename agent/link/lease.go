package link

import (
	"sync"
	"time"

	"caravan/agent/lease"
)

// Lease is the node's right to start and to publish work. Safe for concurrent use.
type Lease struct {
	clock  lease.Clock
	notify func(held bool)

	mu    sync.Mutex // guards what follows; held across notify, so that changes arrive in order
	until time.Duration
	held  bool
	timer *time.Timer
	done  bool
}

// NewLease returns a lease that is not held. notify is called at each change, one call at a
// time; it must return at once and must not call the lease.
func NewLease(clock lease.Clock, notify func(held bool)) *Lease {
	return &Lease{clock: clock, notify: notify}
}

// Granted extends the lease to ttl after sent, when the heartbeat left. A grant that is over
// by the time its answer arrives changes nothing.
func (l *Lease) Granted(sent, ttl time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = max(l.until, sent+ttl)
	l.judge()
}

// Held reports whether the lease is valid now.
func (l *Lease) Held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.done && l.clock.Now() < l.until
}

// End gives the lease up; it is never held again.
func (l *Lease) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = true
	l.judge()
}

// judge tells of a change and arranges to be called again when the lease ends. Timers may
// run on a clock that stops during suspend, so their firing proves nothing: the lease's own
// clock is read again.
func (l *Lease) judge() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	left := l.until - l.clock.Now()
	held := left > 0 && !l.done
	if held {
		l.timer = time.AfterFunc(left, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.judge()
		})
	}
	if held != l.held {
		l.held = held
		l.notify(held)
	}
}
