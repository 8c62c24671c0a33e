package client

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
)

// pause returns how long to wait after a number of attempts, at least 1.
func (r Retry) pause(attempts int) time.Duration {
	bound := r.First
	for range attempts - 1 {
		if bound *= 2; bound >= r.Max {
			bound = r.Max
			break
		}
	}
	return bound/2 + rand.N(bound/2+1)
}

// resuming is a stream of messages that survives the loss of its server.
type resuming[T any] struct {
	failover *failover
	// open starts the stream anew, asking for what was not seen yet.
	open func(context.Context) (grpc.ServerStreamingClient[T], error)
	// take passes a message on unless it was seen before, which fresh tells;
	// done ends the sequence because the message is the last or the caller
	// wants no more.
	take func(*T) (fresh, done bool)
	// complete says whether an end sent by the server is the real one; it may
	// also be a server that shuts down.
	complete func() bool
}

// steady is how long a stream must live to count as recovered though it had
// nothing new to say.
const steady = 30 * time.Second

// run feeds messages to take until the end, an error that will not mend, or
// Retry.Attempts failures in a row without anything new in between.
func (r *resuming[T]) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failures := 0
	for {
		s, opened := r.failover.use(), time.Now()
		progressed, done, err := r.once(ctx)
		if done {
			return nil
		}
		if progressed || time.Since(opened) > steady {
			failures = 0
		}
		failures++
		e, mine := errors.AsType[*Error](err)
		if !mine || !e.Temporary() || failures >= r.failover.cfg.Retry.Attempts {
			return err
		}
		if err := r.failover.pause(ctx, failures, s, e); err != nil {
			return err
		}
	}
}

// once runs one stream to its end.
func (r *resuming[T]) once(ctx context.Context) (progressed, done bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := r.open(ctx)
	if err != nil {
		return false, false, err
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if r.complete() {
				return progressed, true, nil
			}
			return progressed, false, &Error{Kind: KindUnavailable, Message: "the server ended the stream early"}
		}
		if err != nil {
			return progressed, false, err
		}
		fresh, done := r.take(m)
		progressed = progressed || fresh
		if done {
			return progressed, true, nil
		}
	}
}
