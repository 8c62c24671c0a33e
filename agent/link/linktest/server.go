// Package linktest is a cluster's servers in a few lines of memory, for tests of what agents
// do: it takes registrations, grants leases, lists allocations and books reports, and it can
// be told to misbehave as networks and servers do.
//
// The real rules are kept where agents depend on them: only registered nodes get leases, a
// repeated request id changes nothing, every change has a higher index, and a reported end
// takes the allocation off the list. Safe for concurrent use.
package linktest

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	pb "caravan/api/caravanv1"
)

// Fault decides about one call before it is served: an error is given back instead. method is
// the bare name, as in "Heartbeat".
type Fault func(ctx context.Context, method string, req any) error

// Server is the fake.
type Server struct {
	pb.UnimplementedAgentServiceServer

	// HeartbeatInterval and LeaseTTL are what nodes are told. Set before use.
	HeartbeatInterval, LeaseTTL time.Duration

	mu       sync.Mutex // guards what follows
	before   Fault
	after    Fault
	index    uint64
	lag      uint64
	nodes    map[string]*node
	seen     map[string]bool // request ids
	changed  chan struct{}   // closed at each change
	requests []*pb.ReportAllocationsRequest
}

type node struct {
	info       *pb.NodeInfo
	registered int
	heartbeats int
	sequence   uint64
	lost       bool
	listed     map[string]*pb.Assignment
	order      []string
	updates    []update
	updated    chan struct{} // closed when updates grow
	reports    map[string][]*pb.AllocationReport
}

type update struct {
	index      uint64
	assignment *pb.Assignment
}

// New returns a server without nodes: heartbeats every 5 s, leases of 15 s.
func New() *Server {
	return &Server{
		HeartbeatInterval: 5 * time.Second, LeaseTTL: 15 * time.Second,
		nodes: make(map[string]*node), seen: make(map[string]bool), changed: make(chan struct{}),
	}
}

// Serve serves on l until stop is called.
func (s *Server) Serve(l net.Listener) (stop func()) {
	g := grpc.NewServer()
	pb.RegisterAgentServiceServer(g, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(l) // ends by Stop
	}()
	return func() {
		g.Stop()
		<-done
	}
}

// InMemory serves without a network and returns how to dial. Any number of addresses named
// "passthrough:..." lead to it.
func (s *Server) InMemory() (options []grpc.DialOption, stop func()) {
	l := bufconn.Listen(1 << 20)
	stop = s.Serve(l)
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
	}, stop
}

// SetFault makes calls fail: before is asked ahead of serving, after when a call has been
// served and its answer could still be lost. nil means no fault.
func (s *Server) SetFault(before, after Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

// SetLag makes full lists claim an index that is older by so much, as a follower's would be.
func (s *Server) SetLag(indices uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag = indices
}

func (s *Server) fault(ctx context.Context, after bool, method string, req any) error {
	s.mu.Lock()
	f := s.before
	if after {
		f = s.after
	}
	s.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(ctx, method, req)
}

// change gives the state a new index and wakes who waits; s.mu is held.
func (s *Server) change() {
	s.index++
	s.wake()
}

// wake wakes who waits; s.mu is held.
func (s *Server) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Wait blocks until holds is true, looking after each change; false when ctx ended first.
func (s *Server) Wait(ctx context.Context, holds func() bool) bool {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if holds() {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// Assign places allocations on the node named in each.
func (s *Server) Assign(assignments ...*pb.Assignment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change()
	for _, a := range assignments {
		n := s.node(a.Allocation.Node)
		if _, ok := n.listed[a.Allocation.Id]; !ok {
			n.order = append(n.order, a.Allocation.Id)
		}
		n.list(s.index, a)
	}
}

// RequestStop asks for the end of an allocation.
func (s *Server) RequestStop(nodeName, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.node(nodeName)
	a, ok := n.listed[id]
	if !ok {
		return
	}
	a = proto.Clone(a).(*pb.Assignment)
	a.Allocation.StopRequested = true
	s.change()
	n.list(s.index, a)
}

// Unlist takes an allocation off the node's list, as if it had been lost.
func (s *Server) Unlist(nodeName, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change()
	delete(s.node(nodeName).listed, id)
}

// Lose declares a node lost: its allocations are off the list, and it must register again.
func (s *Server) Lose(nodeName string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change()
	n := s.node(nodeName)
	n.lost = true
	clear(n.listed)
}

// list puts an assignment on the list and tells who watches; the server's mu is held.
func (n *node) list(index uint64, a *pb.Assignment) {
	n.listed[a.Allocation.Id] = a
	n.updates = append(n.updates, update{index, a})
	close(n.updated)
	n.updated = make(chan struct{})
}

// node returns the books of a node, made at need; s.mu is held.
func (s *Server) node(name string) *node {
	n, ok := s.nodes[name]
	if !ok {
		n = &node{listed: make(map[string]*pb.Assignment), reports: make(map[string][]*pb.AllocationReport), updated: make(chan struct{})}
		s.nodes[name] = n
	}
	return n
}

// Registrations counts how often a node registered.
func (s *Server) Registrations(nodeName string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node(nodeName).registered
}

// Heartbeats counts a node's heartbeats that were answered.
func (s *Server) Heartbeats(nodeName string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node(nodeName).heartbeats
}

// Info returns what a node registered last, nil if it never did.
func (s *Server) Info(nodeName string) *pb.NodeInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node(nodeName).info
}

// Reports returns what was booked of an allocation, oldest first.
func (s *Server) Reports(nodeName, id string) []*pb.AllocationReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*pb.AllocationReport(nil), s.node(nodeName).reports[id]...)
}

// State returns the last booked state of an allocation, unspecified before the first report.
func (s *Server) State(nodeName, id string) pb.AllocationState {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.node(nodeName).reports[id]
	if len(r) == 0 {
		return pb.AllocationState_ALLOCATION_STATE_UNSPECIFIED
	}
	return r[len(r)-1].State
}

// Requests returns every report call that was served, repeated ones too.
func (s *Server) Requests() []*pb.ReportAllocationsRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*pb.ReportAllocationsRequest(nil), s.requests...)
}

// Unavailable is the error of a server that is not, or has no, leader.
func Unavailable() error { return status.Error(codes.Unavailable, "no leader") }
