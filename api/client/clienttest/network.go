package clienttest

import (
	"context"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	pb "caravan/api/caravanv1"
)

// Network connects clients and servers of one test in memory.
type Network struct {
	mu      sync.Mutex // guards servers
	servers map[string]*Server
}

// NewNetwork returns a network without servers.
func NewNetwork() *Network { return &Network{servers: map[string]*Server{}} }

// Server serves a cluster at one address. Several may serve the same cluster.
type Server struct {
	faults
	listener *bufconn.Listener
	grpc     *grpc.Server
	serving  sync.WaitGroup
}

// Serve starts a server. Its owner must Stop it.
func (n *Network) Serve(address string, c *Cluster) *Server {
	s := &Server{listener: bufconn.Listen(1 << 20)}
	s.grpc = grpc.NewServer(grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream))
	c.register(s.grpc)
	n.mu.Lock()
	n.servers[address] = s
	n.mu.Unlock()
	s.serving.Go(func() {
		// Serve returns when Stop is called; nothing to report.
		_ = s.grpc.Serve(s.listener)
	})
	return s
}

// Stop cuts every connection and refuses new ones.
func (s *Server) Stop() {
	s.grpc.Stop()
	s.serving.Wait()
}

// Dial is the option that makes a client use the network.
func (n *Network) Dial() grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		n.mu.Lock()
		s := n.servers[address]
		n.mu.Unlock()
		if s == nil {
			return nil, fmt.Errorf("dial %s: connection refused", address)
		}
		return s.listener.DialContext(ctx)
	})
}

// faults are what goes wrong at one server. Methods are named without their
// service, as in "SubmitJob".
type faults struct {
	mu    sync.Mutex // guards the rest
	list  []*fault
	calls map[string]int
}

type fault struct {
	method string
	times  int
	// err refuses the call before, or, with after set, once it took effect.
	err   error
	after bool
	// cut is how many messages of a stream get through before err.
	cut int
	// hang makes the call wait until the caller gives up.
	hang bool
}

// Fail refuses the next calls of a method.
func (f *faults) Fail(method string, times int, err error) {
	f.add(&fault{method: method, times: times, err: err})
}

// LoseAnswers lets the next calls of a method take effect and then fail.
func (f *faults) LoseAnswers(method string, times int) {
	f.add(&fault{method: method, times: times, after: true, err: Unavailable("the connection was lost")})
}

// Cut ends the next streams of a method after some messages.
func (f *faults) Cut(method string, times, messages int) {
	f.add(&fault{method: method, times: times, cut: messages, after: true, err: Unavailable("the connection was lost")})
}

// Hang leaves the next calls of a method without an answer.
func (f *faults) Hang(method string, times int) {
	f.add(&fault{method: method, times: times, hang: true})
}

// Calls returns how often a method was called.
func (f *faults) Calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// Unavailable is what a server says that cannot serve now.
func Unavailable(message string) error { return Refuse(codes.Unavailable, "unavailable", message) }

// Refuse makes the status that servers refuse a call with.
func Refuse(code codes.Code, kind, message string, fields ...*pb.FieldViolation) error {
	s, err := status.New(code, message).WithDetails(&pb.ErrorDetail{Kind: kind, Fields: fields})
	if err != nil {
		return err
	}
	return s.Err()
}

func (f *faults) add(x *fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, x)
}

// next counts a call and takes the fault that is due for it, if any.
func (f *faults) next(method string) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[method]++
	for _, x := range f.list {
		if x.method == method && x.times > 0 {
			x.times--
			return x
		}
	}
	return nil
}
