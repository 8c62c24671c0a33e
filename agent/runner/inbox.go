package runner

import "sync"

// inbox brings work to the runner's one goroutine, in order. Putting never blocks: what is
// put is bounded by the allocations, a few items for each.
type inbox struct {
	wake chan struct{}

	mu    sync.Mutex // guards queue
	queue []func()
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

// put adds a piece of work.
func (b *inbox) put(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, f)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns all work that waits.
func (b *inbox) take() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	b.queue = nil
	return q
}
