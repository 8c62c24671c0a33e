package tasks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"caravan/agent/logs"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/wire"
)

// chunkBytes is the most log bytes in one message.
const chunkBytes = 32 << 10

// ReadTaskLogs sends what an allocation has logged: without follow first all of stdout, then
// all of stderr; with follow both as they come, until the task has ended.
func (s *Server) ReadTaskLogs(req *pb.ReadTaskLogsRequest, out grpc.ServerStreamingServer[pb.LogChunk]) error {
	streams, err := streamsOf(req)
	if err != nil {
		return err
	}
	a, err := s.find(req.AllocationId)
	if err != nil {
		return err
	}
	l := &logSender{server: s, req: req, alloc: a, out: out}
	if a.Note != "" {
		return l.send(streams[0], 0, []byte(a.Note+"\n"))
	}
	if !req.Follow {
		for _, stream := range streams {
			if _, err := l.copy(out.Context(), stream, l.options(false)); err != nil {
				return wire.ErrorToStatus(err)
			}
		}
		return nil
	}
	g, ctx := errgroup.WithContext(out.Context())
	for _, stream := range streams {
		g.Go(func() error { return l.follow(ctx, stream) })
	}
	return wire.ErrorToStatus(g.Wait())
}

// streamsOf checks the request and returns the streams it asks for.
func streamsOf(req *pb.ReadTaskLogsRequest) ([]string, error) {
	if req.TailLines < 0 {
		return nil, invalid("tail_lines", fmt.Sprintf("tail_lines is %d", req.TailLines), "give 0 for everything, or the number of lines")
	}
	switch req.Stream {
	case "":
		return []string{logs.Stdout, logs.Stderr}, nil
	case logs.Stdout, logs.Stderr:
		return []string{req.Stream}, nil
	default:
		return nil, invalid("stream", fmt.Sprintf("there is no stream %q", req.Stream), "use stdout or stderr, or leave it out for both")
	}
}

// logSender is one call of ReadTaskLogs.
type logSender struct {
	server *Server
	req    *pb.ReadTaskLogsRequest
	alloc  Allocation

	mu  sync.Mutex // gRPC streams take one message at a time
	out grpc.ServerStreamingServer[pb.LogChunk]
}

func (l *logSender) send(stream string, offset int64, data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Send(&pb.LogChunk{AllocationId: l.req.AllocationId, Stream: stream, Data: data, Offset: offset})
}

func (l *logSender) options(follow bool) logs.ReadOptions {
	return logs.ReadOptions{Tail: int(l.req.TailLines), Follow: follow, Poll: l.server.cfg.Poll}
}

// copy sends a stream to its end and returns the offset it came to. A stream that never
// began is empty.
func (l *logSender) copy(ctx context.Context, stream string, opts logs.ReadOptions) (int64, error) {
	r, err := logs.Open(l.alloc.LogDir, stream, opts)
	if errors.Is(err, logs.ErrNoStream) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer r.Close()
	buf := make([]byte, chunkBytes)
	for {
		n, err := r.Read(ctx, buf)
		if errors.Is(err, io.EOF) || errors.Is(err, logs.ErrNoStream) {
			return r.Offset(), nil
		}
		if err != nil {
			return r.Offset(), err
		}
		// The message is sent before Send returns, but interceptors may keep it: each has its bytes.
		if err := l.send(stream, r.Offset()-int64(n), append([]byte(nil), buf[:n]...)); err != nil {
			return r.Offset(), err
		}
	}
}

// follow sends a stream as it grows. Should the task end without closing the stream (it never
// began one, or its shim was killed), what is there is sent and that is all.
func (l *logSender) follow(ctx context.Context, stream string) error {
	following, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-l.alloc.Ended:
			stop()
		case <-following.Done():
		}
	}()
	offset, err := l.copy(following, stream, l.options(true))
	if err == nil || following.Err() == nil || ctx.Err() != nil {
		return err
	}
	opts := logs.ReadOptions{Offset: offset}
	if offset == 0 {
		opts.Tail = int(l.req.TailLines) // nothing was read yet
	}
	_, err = l.copy(ctx, stream, opts)
	return err
}
