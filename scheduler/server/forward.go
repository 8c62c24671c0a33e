package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"caravan/scheduler/consensus"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// hopHeader marks a call that another server has forwarded. A forwarded call
// is never forwarded again: two servers that disagree about the leader must
// not play ping-pong.
const hopHeader = "caravan-forwarded"

// leaderWait bounds how long a call waits for an election to end before it
// is refused as unavailable.
const leaderWait = 5 * time.Second

// leaderPoll is how often a waiting call looks for a leader.
const leaderPoll = 25 * time.Millisecond

// forwarder answers unary calls here when this server leads and passes them to
// the leader otherwise.
type forwarder struct {
	srv   *Server
	conns *connections
}

// unary is a grpc.UnaryServerInterceptor.
func (f *forwarder) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	deadline := time.Now().Add(leaderWait)
	for {
		answer, err := f.once(ctx, req, info.FullMethod, handler)
		if !notLeading(err) || wasForwarded(ctx) || time.Now().After(deadline) {
			return answer, wire.ErrorToStatus(err)
		}
		select {
		case <-time.After(leaderPoll):
		case <-ctx.Done():
			return nil, wire.ErrorToStatus(&model.Error{Kind: model.KindUnavailable, Message: "no leader in time", Hint: "try again"})
		}
	}
}

// once tries here or at the leader. A not-leader error is safe to retry:
// nothing was proposed.
func (f *forwarder) once(ctx context.Context, req any, method string, handler grpc.UnaryHandler) (any, error) {
	if f.srv.node.IsLeader() || wasForwarded(ctx) {
		answer, err := handler(ctx, req)
		return answer, translate(err)
	}
	addr, ok := f.srv.leaderAPI()
	if !ok {
		return nil, &model.Error{Kind: model.KindNotLeader, Message: "the servers have no leader at the moment", Hint: "an election takes a few seconds; try again"}
	}
	conn, err := f.conns.to(addr)
	if err != nil {
		return nil, err
	}
	answer, err := newAnswer(method)
	if err != nil {
		return nil, err
	}
	ctx = metadata.AppendToOutgoingContext(ctx, hopHeader, f.srv.cfg.ID)
	if err := conn.Invoke(ctx, method, req, answer); err != nil {
		return nil, wire.ErrorFromStatus(err)
	}
	return answer, nil
}

// translate turns consensus's errors into what a client understands.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, consensus.ErrNotLeader):
		return &model.Error{Kind: model.KindNotLeader, Message: "this server does not lead", Hint: "try again"}
	case errors.Is(err, consensus.ErrOverloaded):
		return &model.Error{Kind: model.KindOverloaded, Message: err.Error(), Hint: "slow down and try again"}
	case errors.Is(err, consensus.ErrAmbiguous):
		return &model.Error{Kind: model.KindAmbiguous, Message: "it is not known whether the request was carried out: " + err.Error(), Hint: "repeat it with the same request id"}
	case errors.Is(err, consensus.ErrTooLarge):
		return &model.Error{Kind: model.KindInvalid, Message: err.Error(), Hint: "make the request smaller"}
	case errors.Is(err, consensus.ErrShutdown), errors.Is(err, consensus.ErrHalted):
		return &model.Error{Kind: model.KindUnavailable, Message: err.Error(), Hint: "ask another server"}
	}
	return err
}

func notLeading(err error) bool {
	var e *model.Error
	return errors.As(err, &e) && e.Kind == model.KindNotLeader
}

func wasForwarded(ctx context.Context) bool {
	md, _ := metadata.FromIncomingContext(ctx)
	return len(md.Get(hopHeader)) > 0
}

// newAnswer makes an empty answer of a method's type from the registered
// descriptors, so that forwarding needs no list of methods.
func newAnswer(method string) (proto.Message, error) {
	name := protoreflect.FullName(methodName(method))
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return nil, &model.Error{Kind: model.KindInternal, Subject: method, Message: "unknown method " + method}
	}
	out := d.(protoreflect.MethodDescriptor).Output().FullName()
	t, err := protoregistry.GlobalTypes.FindMessageByName(out)
	if err != nil {
		return nil, &model.Error{Kind: model.KindInternal, Subject: method, Message: "unknown message " + string(out)}
	}
	return t.New().Interface(), nil
}

// methodName turns /pkg.Service/Method into pkg.Service.Method.
func methodName(full string) string {
	b := []byte(full)
	for i, c := range b {
		if c == '/' {
			b[i] = '.'
		}
	}
	return string(b[min(1, len(b)):])
}

// connections keeps one client connection per address. Addresses come from the
// replicated state (servers, nodes), which bounds their number.
type connections struct {
	mu    sync.Mutex // guards conns
	conns map[string]*grpc.ClientConn
}

func newConnections() *connections { return &connections{conns: make(map[string]*grpc.ClientConn)} }

// to returns the connection to an address, dialling lazily.
func (c *connections) to(addr string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn, ok := c.conns[addr]; ok {
		return conn, nil
	}
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}))
	if err != nil {
		return nil, err
	}
	c.conns[addr] = conn
	return conn, nil
}

// close ends every connection.
func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	clear(c.conns)
}
