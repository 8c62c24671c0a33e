// Package state may publish to other goroutines, but decides nothing by it.
package state

import "sync"

type feed struct {
	mu   sync.RWMutex
	wake chan struct{}
}

func (f *feed) notify() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func pick(a, b chan int) int {
	select { // want `select picks among 2 ready channels at random`
	case x := <-a:
		return x
	case x := <-b:
		return x
	}
}

func spawn() {
	var wg sync.WaitGroup // want `sync.WaitGroup must not be used here`
	go func() {}()        // want `a pure package starts no goroutine`
	wg.Wait()
}
