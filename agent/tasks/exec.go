package tasks

import (
	"context"
	"errors"
	"io"
	"math"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// drainTime is how long output is waited for after the command's end. Something it left in
// the background may hold the streams open for ever.
const drainTime = 2 * time.Second

// ExecTask runs a command beside a running task. The first message names it; input and
// terminal sizes follow; the last message back is the exit code. The command is killed when
// the caller goes away.
func (s *Server) ExecTask(stream grpc.BidiStreamingServer[pb.ExecRequest, pb.ExecResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if start == nil || choices(start) != 1 {
		return invalid("start", "the first message must name a command, a port or a signal", "send ExecStart with allocation_id, and one of command, port and signal")
	}
	a, err := s.find(start.AllocationId)
	if err != nil {
		return err
	}
	if a.Task == nil {
		return notRunning(start.AllocationId)
	}
	if start.Port != 0 {
		return s.forward(stream, start)
	}
	if start.Signal != 0 {
		return s.signal(stream, start, a.Task)
	}
	session, err := a.Task.Exec(stream.Context(), driver.ExecRequest{
		Argv: start.Command, Terminal: start.Tty, Size: terminalSize(start.Size), Env: environment(start.Env), Dir: start.Workdir,
	})
	switch {
	case errors.Is(err, driver.ErrNotRunning):
		return notRunning(start.AllocationId)
	case errors.Is(err, driver.ErrUnsupported):
		return wire.ErrorToStatus(model.Conflict(start.AllocationId, err.Error(), "use a job whose driver runs real processes"))
	case err != nil:
		return invalid(start.AllocationId, err.Error(), "check that the command exists where the task runs")
	}
	s.cfg.Logger.Info("command beside a task", "allocation", start.AllocationId, "command", start.Command[0], "terminal", start.Tty)
	e := &execution{session: session, stream: stream}
	return wire.ErrorToStatus(e.run(stream.Context()))
}

// execution is one command beside a task.
type execution struct {
	session driver.Session

	mu     sync.Mutex // gRPC streams take one message at a time
	stream grpc.BidiStreamingServer[pb.ExecRequest, pb.ExecResponse]
}

func (e *execution) run(ctx context.Context) error {
	// Ends when the handler returns, for that ends Recv; closing the session ends a write.
	go e.input()
	var pumps sync.WaitGroup
	pumps.Go(func() {
		e.output(e.session.Stdout(), func(p []byte) *pb.ExecResponse {
			return &pb.ExecResponse{Message: &pb.ExecResponse_Stdout{Stdout: p}}
		})
	})
	pumps.Go(func() {
		e.output(e.session.Stderr(), func(p []byte) *pb.ExecResponse {
			return &pb.ExecResponse{Message: &pb.ExecResponse_Stderr{Stderr: p}}
		})
	})
	code, err := e.session.Wait(ctx)
	if err == nil {
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			pumps.Wait()
		}()
		waitFor(ctx, drained, drainTime)
	}
	closeErr := e.session.Close()
	pumps.Wait()
	if err := errors.Join(err, closeErr); err != nil {
		return err
	}
	return e.send(&pb.ExecResponse{Message: &pb.ExecResponse_ExitCode{ExitCode: int32(code)}})
}

func (e *execution) send(m *pb.ExecResponse) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stream.Send(m)
}

// output copies a stream of the command to the caller until either ends. A caller that is
// gone shows in the context, which ends the command.
func (e *execution) output(r io.Reader, wrap func([]byte) *pb.ExecResponse) {
	buf := make([]byte, chunkBytes)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if e.send(wrap(append([]byte(nil), buf[:n]...))) != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// input copies what the caller types to the command.
func (e *execution) input() {
	stdin := e.session.Stdin()
	defer func() {
		if stdin != nil {
			stdin.Close()
		}
	}()
	for {
		m, err := e.stream.Recv()
		if err != nil {
			return
		}
		switch m := m.Message.(type) {
		case *pb.ExecRequest_Stdin:
			if stdin == nil {
				continue
			}
			// A command that does not read its input any more may still take signals.
			if _, err := stdin.Write(m.Stdin); err != nil {
				stdin.Close()
				stdin = nil
			}
		case *pb.ExecRequest_StdinClosed:
			if m.StdinClosed && stdin != nil {
				stdin.Close()
				stdin = nil
			}
		case *pb.ExecRequest_Signal:
			_ = e.session.Signal(syscall.Signal(m.Signal)) // a command that has ended takes none
		case *pb.ExecRequest_Resize:
			_ = e.session.Resize(terminalSize(m.Resize)) // without a terminal there is none to change
		}
	}
}

// terminalSize converts a size; what does not fit a terminal becomes 0, "unknown".
func terminalSize(s *pb.TerminalSize) driver.TerminalSize {
	fit := func(n int32) uint16 {
		if n < 0 || n > math.MaxUint16 {
			return 0
		}
		return uint16(n)
	}
	return driver.TerminalSize{Rows: fit(s.GetRows()), Cols: fit(s.GetColumns())}
}

func waitFor(ctx context.Context, done <-chan struct{}, limit time.Duration) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	}
}
