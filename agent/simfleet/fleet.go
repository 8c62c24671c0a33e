package simfleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"caravan/agent/link"
	"caravan/agent/runner"
	"caravan/agent/tasks"
	pb "caravan/api/caravanv1"
)

// MaxNodes bounds a fleet. A node costs about 50 KiB here and as much in a server.
const MaxNodes = 100_000

// Config describes a fleet. The zero value of a field means its default.
type Config struct {
	// Nodes are the machines, each with a name of its own. What makes a node simulated, its
	// boot id and its address are filled in by the fleet. Required.
	Nodes []*pb.NodeInfo
	// Servers are the addresses of the servers' API, host:port, in any order. Required.
	Servers []string
	// Listen is where the nodes' logs, of which there are none, are asked for; default
	// 127.0.0.1:0.
	Listen string
	// Workers is how many calls are under way at once; default 64. More let a server put
	// more of them into one commit; each costs a goroutine.
	Workers int
	// CallTimeout bounds each call; default 5 s, for with thousands of nodes a server may
	// have a queue before it.
	CallTimeout time.Duration
	// DialOptions are used to reach the servers, ServerOptions for the fleet's own service;
	// default plain text.
	DialOptions   []grpc.DialOption
	ServerOptions []grpc.ServerOption
	// Ready is called once, when all nodes are registered; default nothing.
	Ready func()
	// Logger takes the fleet's messages; default none.
	Logger hclog.Logger
}

// Fleet is many simulated nodes.
type Fleet struct {
	cfg        Config
	servers    *link.Servers
	timers     *timers
	work       chan func(context.Context)
	nodes      []*node
	watches    sync.WaitGroup
	ctx        context.Context // of Run
	registered atomic.Int64    // nodes that registered at least once
}

// callsPerNode is how many calls of a node can wait at once: registration or heartbeat, and
// a report.
const callsPerNode = 2

// New checks the configuration; it touches nothing.
func New(cfg Config) (*Fleet, error) {
	if len(cfg.Nodes) == 0 || len(cfg.Nodes) > MaxNodes {
		return nil, fmt.Errorf("simulated fleet: %d nodes, must be 1 to %d", len(cfg.Nodes), MaxNodes)
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Workers <= 0 {
		cfg.Workers = 64
	}
	if cfg.CallTimeout <= 0 {
		cfg.CallTimeout = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	servers, err := link.NewServers(cfg.Servers, cfg.DialOptions...)
	if err != nil {
		return nil, err
	}
	f := &Fleet{cfg: cfg, servers: servers, timers: newTimers(), work: make(chan func(context.Context), callsPerNode*len(cfg.Nodes))}
	names := make(map[string]bool, len(cfg.Nodes))
	boot := link.NewRequestID()
	for _, info := range cfg.Nodes {
		if info.Name == "" || names[info.Name] {
			return nil, fmt.Errorf("simulated fleet: node name %q is empty or given twice", info.Name)
		}
		names[info.Name] = true
		info = proto.Clone(info).(*pb.NodeInfo)
		info.Simulated, info.BootId = true, "sim-"+boot
		f.nodes = append(f.nodes, newNode(f, info))
	}
	return f, nil
}

// Run pretends until ctx ends, then returns nil. It returns early with an error only when
// the fleet's own service cannot be offered. All goroutines have ended when it returns. Run
// may be called once.
func (f *Fleet) Run(ctx context.Context) error {
	listener, err := net.Listen("tcp", f.cfg.Listen)
	if err != nil {
		return fmt.Errorf("simulated fleet: listen on %s: %w", f.cfg.Listen, err)
	}
	service, err := tasks.New(tasks.Config{Source: f, Logger: f.cfg.Logger})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := grpc.NewServer(f.cfg.ServerOptions...)
	pb.RegisterTaskServiceServer(server, service)
	for _, n := range f.nodes {
		n.info.Address = listener.Addr().String()
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.ctx = ctx
	var parts sync.WaitGroup
	parts.Go(func() { f.timers.run(ctx) })
	for range f.cfg.Workers {
		parts.Go(func() { f.doWork(ctx) })
	}
	for _, n := range f.nodes {
		f.work <- n.register
	}
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	err = server.Serve(listener)
	ended := ctx.Err() != nil
	cancel()
	parts.Wait()
	f.watches.Wait() // only workers start watches, and they have ended
	if closeErr := f.servers.Close(); ended {
		return closeErr
	}
	return fmt.Errorf("simulated fleet: serve logs: %w", err)
}

// doWork makes calls, one after the other.
func (f *Fleet) doWork(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case do := <-f.work:
			do(ctx)
		}
	}
}

// Usage answers that nothing is used: nothing real runs here.
func (f *Fleet) Usage(string) (*pb.TaskUsage, bool) { return nil, false }

// Find implements tasks.Source: whatever is asked for by a possible name, nothing ran.
func (f *Fleet) Find(id string) (tasks.Allocation, bool) {
	if !runner.ValidID(id) {
		return tasks.Allocation{}, false
	}
	return tasks.Allocation{Note: tasks.SimulatedNote}, true
}

// countRegistered counts a node's first registration.
func (f *Fleet) countRegistered() {
	if f.registered.Add(1) != int64(len(f.nodes)) {
		return
	}
	f.cfg.Logger.Info("simulated fleet is registered", "nodes", len(f.nodes))
	if f.cfg.Ready != nil {
		f.cfg.Ready()
	}
}
