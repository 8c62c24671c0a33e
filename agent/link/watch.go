package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	pb "caravan/api/caravanv1"
)

// Causes why a watcher ends a stream of its own accord.
var (
	errLeft  = errors.New("another call left the server")
	errStale = errors.New("the server is behind what another has shown already")
)

// Watcher follows a node's allocations over as many streams as it takes. It is used for one
// registration of the node.
type Watcher struct {
	Servers *Servers
	Node    string
	// Update takes each update, one at a time.
	Update func(context.Context, *pb.AllocationUpdate)
	// FirstUpdateTimeout bounds the wait for a stream's full list.
	FirstUpdateTimeout time.Duration
	Retry              Backoff
	Logger             hclog.Logger

	seen uint64 // raft index of the newest update
}

// Run follows until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := w.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		w.Logger.Debug("watch ended, opening it again", "node", w.Node, "error", err)
		if !w.Retry.Wait(ctx) {
			return
		}
	}
}

// follow opens one stream and hands its updates on until it fails or its route is left.
func (w *Watcher) follow(ctx context.Context) error {
	route, err := w.Servers.Route()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(route.Left, func() { cancel(errLeft) })()
	first := time.AfterFunc(w.FirstUpdateTimeout, func() {
		cancel(fmt.Errorf("no list of allocations within %v", w.FirstUpdateTimeout))
		w.Servers.Leave(route)
	})
	defer first.Stop()
	stream, err := route.WatchAllocations(ctx, &pb.WatchAllocationsRequest{Node: w.Node})
	if err != nil {
		w.Servers.Failed(route, err)
		return fmt.Errorf("server %s: %w", route.Address, err)
	}
	for full := false; ; {
		update, err := stream.Recv()
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			w.Servers.Failed(route, err)
			return fmt.Errorf("server %s: %w", route.Address, err)
		}
		if !full && !update.Full {
			return fmt.Errorf("server %s: the first update is not a full list", route.Address)
		}
		// A follower that lags would show allocations that have ended and hide new ones.
		if update.Index != 0 && update.Index < w.seen {
			return fmt.Errorf("server %s: %w: index %d after %d", route.Address, errStale, update.Index, w.seen)
		}
		full, w.seen = true, max(w.seen, update.Index)
		first.Stop()
		w.Retry.Reset()
		w.Update(ctx, update)
	}
}
