package simfleet

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// timers runs functions at their times, all in one goroutine. The functions must not block.
type timers struct {
	wake chan struct{}

	mu   sync.Mutex // guards heap
	heap timerHeap
}

type timer struct {
	at time.Time
	do func()
}

func newTimers() *timers { return &timers{wake: make(chan struct{}, 1)} }

// after arranges for do to be called once d has passed.
func (t *timers) after(d time.Duration, do func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := time.Now().Add(d)
	heap.Push(&t.heap, timer{at, do})
	if t.heap[0].at.Before(at) {
		return // an earlier one is waited for already
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// run calls what is due until ctx ends; what is not due by then never is.
func (t *timers) run(ctx context.Context) {
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-alarm.C:
		}
		for {
			do, wait := t.next()
			if do == nil {
				alarm.Reset(wait)
				break
			}
			do()
		}
	}
}

// idle is how long to sleep when there is no timer at all; a new one wakes the sleeper.
const idle = time.Hour

// next returns what is due, or how long nothing will be.
func (t *timers) next() (do func(), wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.heap) == 0 {
		return nil, idle
	}
	if wait := time.Until(t.heap[0].at); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&t.heap).(timer).do, 0
}

// timerHeap is a heap by time; see container/heap.
type timerHeap []timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push adds an element at the end.
func (h *timerHeap) Push(x any) { *h = append(*h, x.(timer)) }

// Pop removes the last element.
func (h *timerHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = timer{} // do not hold on to what the function holds
	*h = old[:len(old)-1]
	return last
}
