package link

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff spaces retries: pauses double from Min to Max, each drawn evenly from its upper
// half, so that agents that failed together do not return together. Not safe for
// concurrent use.
type Backoff struct {
	Min, Max time.Duration
	next     time.Duration
}

// Next returns the pause before the next attempt.
func (b *Backoff) Next() time.Duration {
	if b.next < b.Min {
		b.next = b.Min
	}
	d := min(b.next, b.Max)
	b.next = min(2*d, b.Max)
	return d/2 + rand.N(d/2+1)
}

// Reset begins again at Min, after a success.
func (b *Backoff) Reset() { b.next = 0 }

// Wait pauses for Next; it reports false when ctx ended first.
func (b *Backoff) Wait(ctx context.Context) bool { return pause(ctx, b.Next()) }

// pause reports false when ctx ended before d had passed.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
