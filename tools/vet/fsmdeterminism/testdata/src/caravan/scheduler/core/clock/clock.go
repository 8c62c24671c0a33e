// Package clock shows what a stateless package may not do.
package clock

import (
	"context"
	"fmt"
	"hash/fnv"
	"hash/maphash" // want `hash/maphash must not be imported here`
	"log/slog"     // want `log/slog must not be imported here`
	"math/rand/v2" // want `math/rand/v2 must not be imported here`
	"net/http"     // want `net/http must not be imported here`
	"os"           // want `os must not be imported here`
	"sync"
	"sync/atomic"
	"time"
)

var (
	_ = http.StatusOK
	_ = rand.Int
	_ maphash.Hash
	_ = slog.Info
)

func reads() string {
	now := time.Now // want `time.Now must not be used here: time is an input`
	_ = now
	_ = time.Since(time.Time{}) // want `time.Since must not be used here`
	_ = time.NewTimer(0)        // want `time.NewTimer must not be used here`
	var t *time.Ticker          // want `time.Ticker must not be used here`
	_ = t
	_ = time.Unix(0, 0).In(time.Local) // want `time.Local must not be used here`
	fmt.Println("x")                   // want `fmt.Println must not be used here`
	println("x")                       // want `println must not be used here`
	return os.Getenv("HOME")
}

func waits(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second) // want `context.WithTimeout must not be used here`
	defer cancel()
	<-ctx.Done() // want `a stateless package has no channels`
}

func shares() {
	var mu sync.Mutex // want `sync.Mutex must not be used here`
	mu.Lock()
	var n atomic.Int64 // want `sync/atomic.Int64 must not be used here`
	n.Add(1)
	go reads()          // want `a pure package starts no goroutine`
	c := make(chan int) // want `a stateless package has no channels`
	c <- 1              // want `a stateless package has no channels`
	for range c {       // want `a stateless package has no channels`
	}
}

// What follows is left alone.

var pool = sync.Pool{New: func() any { return new([]int) }}

func allowed() string {
	s := pool.Get().(*[]int)
	defer pool.Put(s)
	h := fnv.New64a()
	return fmt.Sprint(time.UnixMilli(0).UTC(), 3*time.Second, h.Sum64())
}
