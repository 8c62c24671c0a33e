package client

import (
	"context"
	"io"
	"path"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// failover is the grpc.ClientConnInterface beneath the service clients. It
// sends every call to the current server and moves on to the next one when
// that fails for a temporary reason.
type failover struct {
	cfg     Config
	servers []*server

	mu      sync.Mutex // guards current
	current int
}

type server struct {
	address string
	conn    *grpc.ClientConn
}

// newFailover makes one lazy connection per address.
func newFailover(cfg Config) (*failover, error) {
	creds := cfg.Credentials
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	opts := append([]grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithUserAgent("caravan-sdk"),
		// Servers must permit pings this frequent, also without calls.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: cfg.Retry.First, Multiplier: 2, Jitter: 0.2, MaxDelay: cfg.Retry.Max},
			MinConnectTimeout: 3 * time.Second,
		}),
	}, cfg.DialOptions...)
	f := &failover{cfg: cfg}
	for _, a := range cfg.Addresses {
		conn, err := grpc.NewClient("passthrough:///"+a, opts...)
		if err != nil {
			return nil, &Error{Kind: KindInvalid, Subject: a, Message: "server address " + a + ": " + err.Error(), cause: err}
		}
		f.servers = append(f.servers, &server{address: a, conn: conn})
	}
	return f, nil
}

// use returns the server that calls go to.
func (f *failover) use() *server {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.servers[f.current]
}

// leave moves on from a server that failed, unless another call already did.
func (f *failover) leave(s *server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.servers[f.current] == s {
		f.current = (f.current + 1) % len(f.servers)
	}
	// gRPC's own pause must not outlast ours.
	f.servers[f.current].conn.ResetConnectBackoff()
}

// Invoke makes a unary call, repeating it while that is safe and may help.
func (f *failover) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	req, hasID := withRequestID(args)
	repeatable := hasID || reads(method)
	for attempt := 1; ; attempt++ {
		s := f.use()
		err := f.attempt(ctx, s, method, req, reply, opts)
		if err == nil {
			return nil
		}
		if gaveUp := callerGaveUp(ctx, err); gaveUp != nil {
			return gaveUp
		}
		e := fromStatus(err, s.address)
		if !e.Temporary() {
			return e
		}
		f.leave(s)
		if !repeatable || attempt >= f.cfg.Retry.Attempts {
			return e
		}
		if err := f.pause(ctx, attempt, s, e); err != nil {
			return err
		}
	}
}

// attempt makes one call, bounded in time.
func (f *failover) attempt(ctx context.Context, s *server, method string, req, reply any, opts []grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.AttemptTimeout)
	defer cancel()
	return s.conn.Invoke(ctx, method, req, reply, opts...)
}

// pause reports the failure and waits before the attempt after the given one.
// If the caller's patience ends meanwhile, the failure is the better answer
// than a bare "deadline exceeded".
func (f *failover) pause(ctx context.Context, attempt int, s *server, e *Error) error {
	if f.cfg.OnRetry != nil {
		f.cfg.OnRetry(s.address, e)
	}
	t := time.NewTimer(f.cfg.Retry.pause(attempt))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		if ctx.Err() == context.DeadlineExceeded {
			return e
		}
		return context.Cause(ctx)
	}
}

// NewStream opens a stream at the current server. Errors, here and while
// receiving, come back as *Error and make later calls use the next server.
func (f *failover) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s := f.use()
	cs, err := s.conn.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, f.streamError(ctx, s, err)
	}
	return &stream{ClientStream: cs, failover: f, server: s}, nil
}

func (f *failover) streamError(ctx context.Context, s *server, err error) error {
	if gaveUp := callerGaveUp(ctx, err); gaveUp != nil {
		return gaveUp
	}
	e := fromStatus(err, s.address)
	if e.Temporary() {
		f.leave(s)
	}
	return e
}

// stream translates the errors of a stream.
type stream struct {
	grpc.ClientStream
	failover *failover
	server   *server
}

// RecvMsg receives the next message; io.EOF means that the server is done.
func (s *stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil || err == io.EOF {
		return err
	}
	return s.failover.streamError(s.Context(), s.server, err)
}

// reads reports whether a method changes nothing, by the contract's verbs.
func reads(method string) bool {
	name := path.Base(method)
	for _, verb := range []string{"Get", "List", "Explain", "DryRun"} {
		if strings.HasPrefix(name, verb) {
			return true
		}
	}
	return false
}
