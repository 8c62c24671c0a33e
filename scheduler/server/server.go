package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/blob"
	"caravan/scheduler/consensus"
	"caravan/scheduler/core"
	"caravan/scheduler/core/blackhole"
	"caravan/scheduler/family"
	"caravan/scheduler/feed"
	"caravan/scheduler/fsm"
	"caravan/scheduler/leader"
	"caravan/scheduler/metrics"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
	"caravan/scheduler/truth"
)

// Config is what New needs. Zero values mean the default named at each field;
// fields marked required have none.
type Config struct {
	// ID names this server in the cluster, for all time. Required.
	ID string
	// Listener serves gRPC and HTTP/JSON. Required; New takes it over.
	Listener net.Listener
	// AdvertiseAPI is the host:port other servers and agents reach the
	// listener at. Default: the listener's address.
	AdvertiseAPI string
	// Raft configures replication. StateMachine, ServerID and Logger are set here.
	Raft consensus.Config
	// Join lists API addresses of servers to ask to be let in, when this
	// server is not a member yet.
	Join []string
	// BlackHole says when a place is held for one that makes jobs fail; default off.
	BlackHole blackhole.Policy
	// Lease is how long an agent may go on without an answer to a heartbeat.
	// Default 15 s: long enough for an election and a few lost packets.
	Lease time.Duration
	// KillGrace is how long past its lease a node's tasks may take to die
	// before the node is held for lost. Default 10 s.
	KillGrace time.Duration
	// Heartbeat is how often agents renew the lease. Default: a third of
	// Lease, so that two may get lost.
	Heartbeat time.Duration
	// PriceWeight is what money is worth in time when a variant is chosen: seconds
	// that an hour of work may take longer to save a unit of currency, 0 to
	// core.MaxPriceWeight. Default 0: the fastest variant that fits.
	PriceWeight int64
	// Catalogue of instance families, with an operator's prices. Default: the
	// built-in one.
	Catalogue *family.Catalogue
	// BlobDir keeps the working directories that are sent along with jobs.
	// Absolute. Default: none, and such jobs are refused.
	BlobDir string
	// Version is reported to clients.
	Version string
	// Logger receives this server's messages. Default: none.
	Logger hclog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if !model.ValidName(c.ID) {
		return c, fmt.Errorf("server id %q: use 1 to 48 lower-case letters, digits and '-', beginning with a letter", c.ID)
	}
	if c.PriceWeight < 0 || c.PriceWeight > core.MaxPriceWeight {
		return c, fmt.Errorf("price weight %d: use 0 to %d seconds for a unit of currency", c.PriceWeight, core.MaxPriceWeight)
	}
	if c.Listener == nil {
		return c, errors.New("server: Listener is required")
	}
	if c.AdvertiseAPI == "" {
		c.AdvertiseAPI = c.Listener.Addr().String()
	}
	if c.Catalogue == nil {
		var err error
		if c.Catalogue, err = family.Load(); err != nil {
			return c, err
		}
	}
	if c.Lease == 0 {
		c.Lease = 15 * time.Second
	}
	if c.KillGrace == 0 {
		c.KillGrace = 10 * time.Second
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = c.Lease / 3
	}
	if c.Lease < 100*time.Millisecond || c.KillGrace < 0 || c.Heartbeat <= 0 || c.Heartbeat >= c.Lease {
		return c, fmt.Errorf("server: lease %v, heartbeat %v, kill grace %v: want 100ms <= lease, 0 < heartbeat < lease, grace >= 0",
			c.Lease, c.Heartbeat, c.KillGrace)
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	return c, nil
}

// Server is one member of the control plane.
type Server struct {
	cfg     Config
	fsm     *fsm.FSM
	node    *consensus.Node
	feed    *feed.Feed
	leader  *leader.Leader
	leases  *leader.Leases
	truths  *truth.Evaluator
	metrics *metrics.Metrics
	conns   *connections
	split   *splitter
	grpc    *grpc.Server
	http    *http.Server
	// closing ends when the server begins to shut down.
	closing context.Context
	close   context.CancelFunc
	// blobs is nil where there is no directory for them.
	blobs *blob.Store
}

// New opens the data directory and the raft transport. It serves nothing
// before Run. On error the listener is closed.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, feed: feed.New(), conns: newConnections(), leases: leader.NewLeases(cfg.Lease, cfg.KillGrace)}
	if s.truths, err = truth.New(); err != nil {
		return nil, errors.Join(err, cfg.Listener.Close())
	}
	s.closing, s.close = context.WithCancel(context.Background())
	s.fsm = fsm.New(fsm.Config{OnCommit: s.publish})
	cfg.Raft.ServerID, cfg.Raft.StateMachine, cfg.Raft.Logger = cfg.ID, replica{s.fsm}, cfg.Logger.Named("raft")
	if err := s.openBlobs(); err != nil {
		return nil, errors.Join(err, cfg.Listener.Close())
	}
	if s.node, err = consensus.New(cfg.Raft); err != nil {
		_ = cfg.Listener.Close()
		return nil, err
	}
	s.metrics = metrics.New(s.gauges)
	s.leader = leader.New(leader.Config{
		Proposer: s, Node: s.node, State: s.fsm.Snapshot, Feed: s.feed, Leases: s.leases, Logger: cfg.Logger.Named("leader"), OnCycle: s.metrics.Cycle,
		Evaluate: s.truths.Fill, PriceWeight: cfg.PriceWeight,
		BlackHole: cfg.BlackHole,
	})
	s.split = newSplitter(cfg.Listener)
	if err := s.buildAPI(); err != nil {
		return nil, errors.Join(err, s.node.Shutdown(context.Background()), s.split.Close())
	}
	return s, nil
}

// buildAPI wires the services and the HTTP gateway.
func (s *Server) buildAPI() error {
	fw := &forwarder{srv: s, conns: s.conns}
	s.grpc = grpc.NewServer(
		grpc.UnaryInterceptor(fw.unary),
		grpc.StreamInterceptor(s.stream),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	pb.RegisterJobServiceServer(s.grpc, &jobs{Server: s})
	pb.RegisterNodeServiceServer(s.grpc, &nodes{Server: s})
	pb.RegisterCatalogueServiceServer(s.grpc, &catalogue{Server: s})
	pb.RegisterQueueServiceServer(s.grpc, &queues{Server: s})
	pb.RegisterLimitServiceServer(s.grpc, &limits{Server: s})
	pb.RegisterEventServiceServer(s.grpc, &events{Server: s})
	pb.RegisterOperatorServiceServer(s.grpc, &operator{Server: s})
	pb.RegisterAgentServiceServer(s.grpc, &agents{Server: s})
	pb.RegisterBlobServiceServer(s.grpc, &blobs{Server: s})
	h, err := s.gateway(context.Background())
	if err != nil {
		return err
	}
	s.http = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	return nil
}

// Run serves until ctx ends or something fails, and then shuts everything down.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(s.split.run)
	g.Go(func() error { return unlessClosed(s.grpc.Serve(s.split.grpc)) })
	g.Go(func() error { return unlessClosed(s.http.Serve(s.split.http)) })
	g.Go(func() error { return s.node.Run(ctx) })
	g.Go(func() error { return s.leader.Run(ctx) })
	g.Go(func() error { return s.announce(ctx) })
	g.Go(func() error {
		<-ctx.Done()
		s.shutdown()
		return nil
	})
	err := g.Wait()
	s.conns.close()
	return err
}

// unlessClosed passes an error on, but not that of a listener we closed.
func unlessClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// shutdownGrace bounds how long open calls may take to end.
const shutdownGrace = 2 * time.Second

func (s *Server) shutdown() {
	s.close()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	_ = s.http.Shutdown(ctx)
	defer context.AfterFunc(ctx, s.grpc.Stop)()
	s.grpc.GracefulStop() // closes the listener
	_ = s.split.Close()
}

// Addr returns the address that clients reach this server at.
func (s *Server) Addr() string { return s.cfg.AdvertiseAPI }

// State returns the newest applied state.
func (s *Server) State() *state.Snapshot { return s.fsm.Snapshot() }

// gauges reads what a scrape shows of the state.
func (s *Server) gauges() metrics.Gauges {
	snap := s.fsm.Snapshot()
	stats := s.node.Stats()
	g := metrics.Gauges{Leader: s.node.IsLeader(), AppliedIndex: snap.Index(), ProposedEntries: stats.Entries, ProposedBytes: stats.Bytes, Jobs: map[string]int64{"pending": 0, "running": 0}}
	for q := range snap.Queues() {
		if q.Parent == "" { // a root's usage covers the queues below it
			u := snap.QueueUsage(q.Name)
			g.Jobs["pending"] += u.JobsPending
			g.Jobs["running"] += u.JobsRunning
			g.TasksRunning += u.TasksRunning
		}
	}
	for n := range snap.Nodes() {
		if n.State == model.NodeReady {
			g.NodesReady++
		} else {
			g.NodesLost++
		}
	}
	return g
}

// publish runs on the goroutine that applies the log.
func (s *Server) publish(c state.Commit) {
	if c.Restored {
		s.feed.PublishAll()
		return
	}
	topics := make([]feed.Topic, 0, len(c.Jobs)+len(c.Nodes)+len(c.Allocations))
	for _, id := range c.Jobs {
		topics = append(topics, feed.Job(id))
	}
	last := ""
	for _, a := range c.Allocations {
		if a.Node != last {
			topics = append(topics, feed.Node(a.Node))
			last = a.Node
		}
	}
	for _, n := range c.Nodes {
		topics = append(topics, feed.Node(n))
	}
	s.feed.Publish(topics...)
}
