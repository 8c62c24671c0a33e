package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"caravan/agent/lease"
	pb "caravan/api/caravanv1"
)

// Handler is what a session serves. Its methods are called from the session's goroutines.
type Handler interface {
	// Update takes a list of allocations; one call at a time, in order. It may block until
	// ctx ends, which holds back the stream.
	Update(ctx context.Context, u *pb.AllocationUpdate)
	// Lease tells that the lease is held now, or no longer. It must return at once.
	Lease(held bool)
	// Acknowledged tells that the servers know these reports; given up ones are among them.
	Acknowledged(reports []*pb.AllocationReport)
	// Registered tells that the node is (again) part of the cluster.
	Registered()
}

// Config describes a node's session.
type Config struct {
	Servers *Servers
	// Info returns what is registered; it is asked at every registration.
	Info func() *pb.NodeInfo
	// Changed gives a value when Info may have something new to say, which is then registered
	// without disturbing anything else; nil means never.
	Changed <-chan struct{}
	Handler Handler
	Clock   lease.Clock // nil means lease.BootClock
	// Note is told of each grant before it counts, to put it where shims find it; nil does
	// nothing.
	Note   func(lease.Term)
	Logger hclog.Logger

	// CallTimeout bounds each call, so that a silent server is left early enough for others
	// to renew the lease; 0 means 2 s.
	CallTimeout time.Duration
	// FirstUpdateTimeout bounds the wait for a stream's full list; 0 means 10 s.
	FirstUpdateTimeout time.Duration
	// RetryMin and RetryMax bound the pauses after failures; 0 means 100 ms and 5 s. With
	// them, 10,000 agents return within about 5 s of a new leader, evenly spread.
	RetryMin, RetryMax time.Duration
	// ReportInterval is the least time between two report calls; 0 means 5 ms, which a user
	// who waits for a short task does not notice. The first report after a pause goes at once,
	// and what comes while a call is under way goes together in the next.
	ReportInterval time.Duration
}

// Defaults when a server leaves its times out of the answer to a registration.
const (
	DefaultHeartbeatInterval = 5 * time.Second
	DefaultLeaseTTL          = 15 * time.Second
	// minHeartbeatInterval keeps a wrong answer from becoming a flood.
	minHeartbeatInterval = 50 * time.Millisecond
)

// Session keeps one node in touch with the servers.
type Session struct {
	cfg      Config
	node     string
	bootID   string
	lease    *Lease
	outbox   *Outbox
	sequence uint64 // of heartbeats; used by the control loop alone
	interval time.Duration
	// killGrace is how long after the lease's end what must not run twice may live.
	killGrace time.Duration
	// registered is what the servers were told last, and untold that they have not taken what has
	// changed since; used by the control loop alone.
	registered *pb.NodeInfo
	untold     bool
}

// New returns a session; Run starts it.
func New(cfg Config) (*Session, error) {
	if cfg.Servers == nil || cfg.Info == nil || cfg.Handler == nil || cfg.Logger == nil {
		return nil, errors.New("link: Servers, Info, Handler and Logger must be set")
	}
	if cfg.Clock == nil {
		cfg.Clock = lease.BootClock{}
	}
	setDefault(&cfg.CallTimeout, 2*time.Second)
	setDefault(&cfg.FirstUpdateTimeout, 10*time.Second)
	setDefault(&cfg.RetryMin, 100*time.Millisecond)
	setDefault(&cfg.RetryMax, 5*time.Second)
	setDefault(&cfg.ReportInterval, 5*time.Millisecond)
	info := cfg.Info()
	s := &Session{cfg: cfg, node: info.Name, bootID: info.BootId, outbox: NewOutbox(info.Name)}
	s.lease = NewLease(cfg.Clock, cfg.Handler.Lease)
	return s, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Report queues a report; it never blocks and never loses one, see Outbox.
func (s *Session) Report(r *pb.AllocationReport) { s.outbox.Add(r) }

// LeaseHeld reports whether the node may start work now.
func (s *Session) LeaseHeld() bool { return s.lease.Held() }

// Run keeps the node in touch until ctx ends. It returns early, with an error, only when the
// servers refuse the node's very first registration for a reason that waiting does not mend.
func (s *Session) Run(ctx context.Context) error {
	defer s.lease.End()
	if err := s.register(ctx, true); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.control(ctx) })
	g.Go(func() error { return s.deliver(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// control renews the lease, and registers again when told to; the watch runs beside it, anew
// with each registration.
func (s *Session) control(ctx context.Context) error {
	for {
		watch, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.watcher().Run(watch)
		}()
		again := s.heartbeats(ctx)
		stop()
		<-done
		if !again {
			return ctx.Err()
		}
		s.cfg.Logger.Warn("the servers do not hold this node for ready, registering again", "node", s.node)
		if err := s.register(ctx, false); err != nil {
			return err
		}
	}
}

// register repeats the registration until a server takes it.
func (s *Session) register(ctx context.Context, first bool) error {
	retry := s.backoff()
	for {
		err := s.tell(ctx, s.cfg.Info())
		switch {
		case err == nil:
			s.cfg.Handler.Registered()
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case first && refused(err):
			return fmt.Errorf("register node %s: %w", s.node, err)
		}
		s.cfg.Logger.Warn("cannot register, trying again", "node", s.node, "error", err)
		if !retry.Wait(ctx) {
			return ctx.Err()
		}
	}
}

// heartbeats renews the lease until ctx ends (false) or the node must register again (true).
func (s *Session) heartbeats(ctx context.Context) (again bool) {
	retry := s.backoff()
	for {
		s.sequence++
		sent := s.cfg.Clock.Now()
		resp, err := Call(ctx, s.cfg.Servers, s.cfg.CallTimeout, func(ctx context.Context, r Route) (*pb.HeartbeatResponse, error) {
			return r.Heartbeat(ctx, &pb.HeartbeatRequest{Node: s.node, BootId: s.bootID, Sequence: s.sequence})
		})
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil:
			s.cfg.Logger.Debug("heartbeat failed", "node", s.node, "error", err)
			// Never slower than the rhythm: the lease is running out.
			if !pause(ctx, min(retry.Next(), s.interval)) {
				return false
			}
		case resp.RegisterAgain:
			return true
		default:
			retry.Reset()
			s.granted(sent, orDefault(resp.LeaseTtlMs, DefaultLeaseTTL))
			if !s.rest(ctx, s.interval-(s.cfg.Clock.Now()-sent)) {
				return false
			}
		}
	}
}

// granted takes a grant in, which counts from when it was asked for.
func (s *Session) granted(sent, ttl time.Duration) {
	if s.cfg.Note != nil {
		s.cfg.Note(lease.Term{Until: sent + ttl, Grace: s.killGrace})
	}
	s.lease.Granted(sent, ttl)
}

// rest waits for the next heartbeat and tells what changes meanwhile. It reports false when ctx
// ended.
func (s *Session) rest(ctx context.Context, d time.Duration) bool {
	next := time.NewTimer(d)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-s.cfg.Changed:
			s.announce(ctx)
		case <-next.C:
			if s.untold {
				s.announce(ctx)
			}
			return ctx.Err() == nil
		}
	}
}

// announce tells the servers what has changed of the node. It is tried once: heartbeats must not
// wait for it, and it is tried again with the next.
func (s *Session) announce(ctx context.Context) {
	info := s.cfg.Info()
	if s.untold = !proto.Equal(info, s.registered); !s.untold {
		return
	}
	if err := s.tell(ctx, info); err != nil && ctx.Err() == nil {
		s.cfg.Logger.Warn("cannot tell what has changed of the node, trying again", "node", s.node, "error", err)
	}
}

// tell registers what the node is now.
func (s *Session) tell(ctx context.Context, info *pb.NodeInfo) error {
	// A repeated request id would get the first answer again, after which the node may have been
	// lost; registering twice does no harm, so each attempt has its own id.
	resp, err := Call(ctx, s.cfg.Servers, s.cfg.CallTimeout, func(ctx context.Context, r Route) (*pb.RegisterNodeResponse, error) {
		return r.RegisterNode(ctx, &pb.RegisterNodeRequest{RequestId: NewRequestID(), Info: info})
	})
	if err != nil {
		return err
	}
	s.interval = max(minHeartbeatInterval, orDefault(resp.HeartbeatIntervalMs, DefaultHeartbeatInterval))
	s.killGrace = time.Duration(resp.KillGraceMs) * time.Millisecond
	s.registered, s.untold = info, false
	return nil
}

// deliver sends what the outbox holds until ctx ends.
func (s *Session) deliver(ctx context.Context) error {
	retry := s.backoff()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.outbox.Ready():
		}
		for req := s.outbox.Next(); req != nil; req = s.outbox.Next() {
			_, err := Call(ctx, s.cfg.Servers, s.cfg.CallTimeout, func(ctx context.Context, r Route) (*pb.ReportAllocationsResponse, error) {
				return r.ReportAllocations(ctx, req)
			})
			if ctx.Err() != nil && err != nil {
				return ctx.Err()
			}
			wait := s.settle(req, err, &retry)
			if !pause(ctx, wait) {
				return ctx.Err()
			}
		}
	}
}

// settle deals with a report call's outcome and returns the pause before the next.
func (s *Session) settle(req *pb.ReportAllocationsRequest, err error, retry *Backoff) time.Duration {
	settled, again := s.outbox.Settle(req, err)
	if again {
		s.cfg.Logger.Debug("report failed, will be repeated", "node", s.node, "reports", len(req.Reports), "error", err)
		return retry.Next()
	}
	if err != nil {
		s.cfg.Logger.Error("the servers refuse reports", "node", s.node, "reports", len(req.Reports), "given up", len(settled), "error", err)
	}
	retry.Reset()
	if len(settled) > 0 {
		s.cfg.Handler.Acknowledged(settled)
	}
	return s.cfg.ReportInterval
}

// watcher returns a fresh watcher: the indices seen before a registration do not bind it, in
// case the servers' history is another one now.
func (s *Session) watcher() *Watcher {
	return &Watcher{
		Servers: s.cfg.Servers, Node: s.node, Update: s.cfg.Handler.Update, Logger: s.cfg.Logger,
		FirstUpdateTimeout: s.cfg.FirstUpdateTimeout, Retry: s.backoff(),
	}
}

func (s *Session) backoff() Backoff { return Backoff{Min: s.cfg.RetryMin, Max: s.cfg.RetryMax} }

// refused reports whether an error will be the same however often the call is repeated.
func refused(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return true
	default:
		return false
	}
}

func orDefault(ms int64, value time.Duration) time.Duration {
	if ms <= 0 {
		return value
	}
	return time.Duration(ms) * time.Millisecond
}
