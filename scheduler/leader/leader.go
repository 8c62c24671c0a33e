package leader

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/consensus"
	"caravan/scheduler/core"
	"caravan/scheduler/core/blackhole"
	"caravan/scheduler/feed"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// Proposer replicates a command and returns the state machine's answer, after
// it has been applied here.
type Proposer interface {
	Propose(ctx context.Context, c *pb.Command) (state.Answer, error)
}

// Leadership tells who leads. Subscribe's channel holds the newest value only;
// the function ends the subscription.
type Leadership interface {
	Subscribe() (<-chan consensus.Leadership, func())
}

// Config is what New needs. All fields without a default are required.
type Config struct {
	Proposer Proposer
	Node     Leadership
	// State returns the newest applied state.
	State  func() *state.Snapshot
	Feed   *feed.Feed
	Leases *Leases
	Logger hclog.Logger

	// OnCycle, if set, is told of every cycle that had work: how long it took,
	// and how many placements were taken and were stale.
	OnCycle func(took time.Duration, placed, stale int64)

	// Evaluate returns nodes with what the expressions of jobs say of them. It is
	// called from several goroutines. Default: nothing is said, and expressions
	// hold nowhere.
	Evaluate func(nodes []*model.Node, jobs []*model.Job) []*model.Node
	// PriceWeight is as of core.Input. Default: 0.
	PriceWeight int64
	// BlackHole says when a place is held for one that makes jobs fail. Default: off, the zero value.
	BlackHole blackhole.Policy

	// Limits bound one cycle. Default: core's.
	Limits core.Limits
	// MinGap is the shortest time between the ends of two cycles, so that a
	// burst of submissions is served by few of them. Default 5 ms.
	MinGap time.Duration
	// FullPass is how often a cycle runs though nothing has changed. Default 1 s.
	FullPass time.Duration
	// LeaseCheck is how often leases are looked at. Default 250 ms.
	LeaseCheck time.Duration
	// SweepEvery is how often old records are looked for. Default 1 min.
	SweepEvery time.Duration
	// KeepRequests is how long request ids are remembered. Default 25 h: a day
	// and time for a clock that is off.
	KeepRequests time.Duration
	// KeepJobs is how long ended jobs are kept. Default 7 days.
	KeepJobs time.Duration
	// KeepHealth is how long the history of a device is kept after its last line. Default 90
	// days: what is due for a repair is found out within a quarter.
	KeepHealth time.Duration
}

func (c Config) withDefaults() Config {
	fill := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	if c.Evaluate == nil {
		c.Evaluate = func(nodes []*model.Node, _ []*model.Job) []*model.Node { return nodes }
	}
	fill(&c.MinGap, 5*time.Millisecond)
	fill(&c.FullPass, time.Second)
	fill(&c.LeaseCheck, 250*time.Millisecond)
	fill(&c.SweepEvery, time.Minute)
	fill(&c.KeepRequests, 25*time.Hour)
	fill(&c.KeepJobs, 7*24*time.Hour)
	fill(&c.KeepHealth, 90*24*time.Hour)
	return c
}

// Leader runs the leader's loops.
type Leader struct {
	cfg Config
	// mix is the demand as the cycles know it, for those who ask why.
	mix atomic.Pointer[core.Mix]
}

// New returns a leader that does nothing before Run.
func New(cfg Config) *Leader { return &Leader{cfg: cfg.withDefaults()} }

// Run works whenever this server leads, until ctx ends.
func (l *Leader) Run(ctx context.Context) error {
	changes, unsubscribe := l.cfg.Node.Subscribe()
	defer unsubscribe()
	var term uint64
	stop := func() {}
	defer func() { stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-changes:
			if !now.Leader {
				stop()
				stop, term = func() {}, 0
				continue
			}
			if now.Term == term {
				continue
			}
			stop()
			term = now.Term
			stop = l.lead(ctx, term)
		}
	}
}

// lead starts the loops of one term and returns what ends and joins them.
func (l *Leader) lead(ctx context.Context, term uint64) (stop func()) {
	l.cfg.Logger.Info("leading", "term", term)
	ctx, cancel := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	l.cfg.Leases.Begin(readyNodes(l.cfg.State()), time.Now())
	g.Go(func() error { l.cycles(ctx); return nil })
	g.Go(func() error { l.watchLeases(ctx); return nil })
	g.Go(func() error { l.sweeps(ctx); return nil })
	g.Go(func() error { l.watchEnds(ctx); return nil })
	return func() {
		cancel()
		_ = g.Wait()
		l.cfg.Logger.Info("no longer leading", "term", term)
	}
}

// every calls f each period until ctx ends.
func every(ctx context.Context, period time.Duration, f func()) {
	t := time.NewTicker(period)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			f()
		case <-ctx.Done():
			return
		}
	}
}
