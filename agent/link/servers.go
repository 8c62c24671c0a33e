package link

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	pb "caravan/api/caravanv1"
)

// MaxServers bounds the list of addresses.
const MaxServers = 32

// MaxUpdateBytes bounds a list of allocations: some 4,000 of them whose jobs have the longest
// index ranges there may be.
const MaxUpdateBytes = 64 << 20

// Servers is the list of servers with the connection in use. Any server may answer any
// call, because followers pass calls on to the leader; one that cannot is left for the next
// in the list. Safe for concurrent use.
type Servers struct {
	addresses []string
	options   []grpc.DialOption

	mu     sync.Mutex // guards what follows
	conns  map[string]*grpc.ClientConn
	at     int
	left   context.Context // of the route in use
	leave  context.CancelFunc
	closed bool
}

// Route is the way to one server, good until it is left.
type Route struct {
	pb.AgentServiceClient
	// Blobs serves the working directories of jobs.
	Blobs pb.BlobServiceClient
	// Address of the server, for logs.
	Address string
	// Left ends once somebody left the route: streams on it are to be re-opened.
	Left context.Context
}

// NewServers returns the list, beginning at a random server so that agents spread. Without
// options connections are plain text. Connections are made at first use; Close releases them.
func NewServers(addresses []string, options ...grpc.DialOption) (*Servers, error) {
	if len(addresses) == 0 || len(addresses) > MaxServers {
		return nil, fmt.Errorf("server list has %d addresses: give 1 to %d as host:port", len(addresses), MaxServers)
	}
	for _, a := range addresses {
		if a == "" {
			return nil, errors.New("server list has an empty address: give each as host:port")
		}
	}
	if len(options) == 0 {
		options = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	}
	reconnect := grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
		MinConnectTimeout: 2 * time.Second,
	}
	defaults := []grpc.DialOption{
		grpc.WithConnectParams(reconnect),
		// A dead connection looks like a silent one. The heartbeats' answers keep a live one from
		// ever being asked, so servers do not count these pings as abuse.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxUpdateBytes)),
	}
	s := &Servers{
		addresses: addresses,
		options:   append(defaults, options...),
		conns:     make(map[string]*grpc.ClientConn),
		at:        rand.IntN(len(addresses)),
	}
	s.left, s.leave = context.WithCancel(context.Background())
	return s, nil
}

// Route returns the way to the server in use.
func (s *Servers) Route() (Route, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Route{}, errors.New("the list of servers is closed")
	}
	address := s.addresses[s.at]
	conn, ok := s.conns[address]
	if !ok {
		var err error
		if conn, err = grpc.NewClient(address, s.options...); err != nil {
			return Route{}, fmt.Errorf("server address %q: %w (give it as host:port)", address, err)
		}
		s.conns[address] = conn
	}
	return Route{AgentServiceClient: pb.NewAgentServiceClient(conn), Blobs: pb.NewBlobServiceClient(conn), Address: address, Left: s.left}, nil
}

// Leave moves on to the next server, unless the route was left already: when many calls
// fail at once, the list advances by one.
func (s *Servers) Leave(r Route) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || r.Left != s.left {
		return
	}
	s.at = (s.at + 1) % len(s.addresses)
	s.leave()
	s.left, s.leave = context.WithCancel(context.Background())
}

// Failed leaves the route if err means that this server cannot answer now.
func (s *Servers) Failed(r Route, err error) {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		s.Leave(r)
	default:
	}
}

// Call makes one call by the route in use, bounded by timeout, and leaves the route when the
// server cannot answer. Errors name the server and keep the gRPC status.
func Call[T any](ctx context.Context, s *Servers, timeout time.Duration, do func(context.Context, Route) (T, error)) (T, error) {
	var none T
	route, err := s.Route()
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := do(ctx, route)
	if err != nil {
		s.Failed(route, err)
		return none, fmt.Errorf("server %s: %w", route.Address, err)
	}
	return resp, nil
}

// Close closes all connections; routes fail from then on.
func (s *Servers) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.leave()
	var errs []error
	for _, c := range s.conns {
		errs = append(errs, c.Close())
	}
	clear(s.conns)
	return errors.Join(errs...)
}
