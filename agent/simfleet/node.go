package simfleet

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"caravan/agent/link"
	pb "caravan/api/caravanv1"
)

// Times of a node.
const (
	retryMin, retryMax = 100 * time.Millisecond, 5 * time.Second
	firstUpdateTimeout = 30 * time.Second
	// reportInterval is the least time between two report calls of a node.
	reportInterval = 50 * time.Millisecond
)

// node is one simulated machine. Its calls are made by the fleet's workers, at most one of
// each kind at a time.
type node struct {
	fleet  *Fleet
	info   *pb.NodeInfo
	outbox *link.Outbox

	// The following belong to the registration and heartbeat calls, which follow each other.
	known     bool // registered at least once
	retry     link.Backoff
	sequence  uint64
	interval  time.Duration
	stopWatch context.CancelFunc
	watchDone chan struct{}

	reportRetry link.Backoff // belongs to the report calls

	mu        sync.Mutex // guards what follows
	tasks     map[string]*task
	ended     []string // ids in tasks whose end is acknowledged, oldest first
	reporting bool     // a report call waits, is under way, or has its timer
}

func newNode(f *Fleet, info *pb.NodeInfo) *node {
	retry := link.Backoff{Min: retryMin, Max: retryMax}
	return &node{
		fleet: f, info: info, outbox: link.NewOutbox(info.Name), retry: retry, reportRetry: retry,
		tasks: make(map[string]*task),
	}
}

// later makes a call after a while.
func (n *node) later(d time.Duration, call func(context.Context)) {
	n.fleet.timers.after(d, func() { n.fleet.work <- call })
}

// register is the call that begins everything, and begins it anew when the servers have
// forgotten the node.
func (n *node) register(ctx context.Context) {
	n.endWatch()
	resp, err := link.Call(ctx, n.fleet.servers, n.fleet.cfg.CallTimeout, func(ctx context.Context, r link.Route) (*pb.RegisterNodeResponse, error) {
		return r.RegisterNode(ctx, &pb.RegisterNodeRequest{RequestId: link.NewRequestID(), Info: n.info})
	})
	if err != nil {
		if ctx.Err() == nil {
			n.fleet.cfg.Logger.Debug("simulated node cannot register", "node", n.info.Name, "error", err)
			n.later(n.retry.Next(), n.register)
		}
		return
	}
	n.retry.Reset()
	n.interval = link.DefaultHeartbeatInterval
	if resp.HeartbeatIntervalMs > 0 {
		n.interval = time.Duration(resp.HeartbeatIntervalMs) * time.Millisecond
	}
	n.beginWatch(ctx)
	// Thousands of nodes register in one burst; their heartbeats are spread over the interval.
	n.later(rand.N(n.interval), n.heartbeat)
	if !n.known {
		n.known = true
		n.fleet.countRegistered()
	}
}

// heartbeat renews the lease. A simulated node does not heed the lease: what it pretends to
// run twice harms nobody.
func (n *node) heartbeat(ctx context.Context) {
	n.sequence++
	resp, err := link.Call(ctx, n.fleet.servers, n.fleet.cfg.CallTimeout, func(ctx context.Context, r link.Route) (*pb.HeartbeatResponse, error) {
		return r.Heartbeat(ctx, &pb.HeartbeatRequest{Node: n.info.Name, BootId: n.info.BootId, Sequence: n.sequence})
	})
	switch {
	case ctx.Err() != nil:
	case err != nil:
		n.later(min(n.retry.Next(), n.interval), n.heartbeat)
	case resp.RegisterAgain:
		n.register(ctx)
	default:
		n.retry.Reset()
		n.later(n.interval, n.heartbeat)
	}
}

// beginWatch follows the node's allocations until endWatch.
func (n *node) beginWatch(ctx context.Context) {
	ctx, n.stopWatch = context.WithCancel(ctx)
	done := make(chan struct{})
	n.watchDone = done
	w := &link.Watcher{
		Servers: n.fleet.servers, Node: n.info.Name, Update: n.update, Logger: n.fleet.cfg.Logger,
		FirstUpdateTimeout: firstUpdateTimeout, Retry: link.Backoff{Min: retryMin, Max: retryMax},
	}
	n.fleet.watches.Go(func() {
		defer close(done)
		w.Run(ctx)
	})
}

func (n *node) endWatch() {
	if n.stopWatch != nil {
		n.stopWatch()
		<-n.watchDone
	}
}

// report sends what the outbox holds, one request a call.
func (n *node) report(ctx context.Context) {
	req := n.outbox.Next()
	if req == nil {
		n.reported(0)
		return
	}
	_, err := link.Call(ctx, n.fleet.servers, n.fleet.cfg.CallTimeout, func(ctx context.Context, r link.Route) (*pb.ReportAllocationsResponse, error) {
		return r.ReportAllocations(ctx, req)
	})
	if ctx.Err() != nil {
		return
	}
	settled, again := n.outbox.Settle(req, err)
	if again {
		n.later(n.reportRetry.Next(), n.report)
		return
	}
	if err != nil {
		n.fleet.cfg.Logger.Error("the servers refuse reports", "node", n.info.Name, "reports", len(req.Reports), "given up", len(settled), "error", err)
	}
	n.reportRetry.Reset()
	n.acknowledged(settled)
	n.reported(reportInterval)
}

// reported ends a report call; the next one follows after a pause, if there is anything.
func (n *node) reported(wait time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.outbox.Empty() {
		n.reporting = false
		return
	}
	n.later(wait, n.report)
}

// send queues a report; n.mu is held.
func (n *node) send(r *pb.AllocationReport) {
	n.outbox.Add(r)
	if !n.reporting {
		n.reporting = true
		n.fleet.work <- n.report
	}
}
