package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"google.golang.org/grpc"

	pb "caravan/api/caravanv1"
	"caravan/cmd/caravan/internal/taskref"
)

func newExecCmd(s *session) *cobra.Command {
	var noTTY bool
	cmd := &cobra.Command{
		Use:   "exec JOB [GROUP[INDEX]] -- COMMAND ARG...",
		Short: "Run a command beside a running task",
		Long: `Run a command in the environment and the cgroup of a running task. With a
terminal as input the command gets one too. The exit code is the command's.`,
		Example: `  caravan exec 17 -- sh
  caravan exec 17 encode/3 -- nvidia-smi`,
		Args: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			switch {
			case dash < 0 || dash == len(args):
				return &usageError{"no command to run", "caravan exec JOB [GROUP[INDEX]] -- COMMAND"}
			case dash == 0:
				return &usageError{"JOB is missing", "caravan exec JOB [GROUP[INDEX]] -- COMMAND"}
			case dash > 2:
				return usagef("too many arguments before --: %s", strings.Join(args[:dash], " "))
			}
			return nil
		},
		ValidArgsFunction: s.completeJobs(false, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			start := &pb.ExecStart{JobId: args[0], Command: args[dash:]}
			if dash == 2 {
				ref, err := taskref.Parse(args[1])
				if err != nil {
					return &usageError{err.Error(), "write encode, encode/3 or 'encode[3]'"}
				}
				start.Group, start.Index = ref.Group, ref.Index
			}
			return s.exec(cmd.Context(), start, !noTTY)
		},
	}
	cmd.Flags().BoolVarP(&noTTY, "no-tty", "T", false, "no terminal for the command, though the input is one")
	return cmd
}

// exec runs a command beside a task and returns its exit code.
func (s *session) exec(ctx context.Context, start *pb.ExecStart, wantTTY bool) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.Jobs.Exec(ctx)
	if err != nil {
		return err
	}
	input := &execInput{stream: stream}
	if f, tty := s.terminal(s.in); tty && wantTTY {
		restore, err := input.attach(ctx, f, start)
		if err != nil {
			return err
		}
		defer restore()
	}
	if err := input.send(&pb.ExecRequest{Message: &pb.ExecRequest_Start{Start: start}}); err != nil {
		return execError(stream, err)
	}
	// The goroutine ends with the input, or with the program: a read from a
	// terminal cannot be called off.
	go input.copy(s.in)
	return s.execOutput(stream)
}

// execOutput copies output until the exit code arrives.
func (s *session) execOutput(stream pb.JobService_ExecClient) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the server ended the session without an exit code")
		}
		if err != nil {
			return err
		}
		switch m := m.Message.(type) {
		case *pb.ExecResponse_Stdout:
			_, err = s.out.Write(m.Stdout)
		case *pb.ExecResponse_Stderr:
			_, err = s.err.Write(m.Stderr)
		case *pb.ExecResponse_ExitCode:
			if m.ExitCode == 0 {
				return nil
			}
			return exitCode(m.ExitCode)
		}
		if err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
}

// execError prefers what the server said over "EOF", which is all that sending
// to a stream it ended tells.
func execError(stream pb.JobService_ExecClient, err error) error {
	if errors.Is(err, io.EOF) {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
	return err
}

// execInput sends what the command gets to read. Its methods may be called
// from several goroutines.
type execInput struct {
	mu     sync.Mutex // guards sends; a stream takes one at a time
	stream grpc.BidiStreamingClient[pb.ExecRequest, pb.ExecResponse]
}

func (x *execInput) send(m *pb.ExecRequest) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.stream.Send(m)
}

// copy sends everything from in, then its end.
func (x *execInput) copy(in io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			if x.send(&pb.ExecRequest{Message: &pb.ExecRequest_Stdin{Stdin: append([]byte(nil), buf[:n]...)}}) != nil {
				return
			}
		}
		if err != nil {
			// If this cannot be sent the session is over anyway.
			_ = x.send(&pb.ExecRequest{Message: &pb.ExecRequest_StdinClosed{StdinClosed: true}})
			return
		}
	}
}

// attach puts the terminal into raw mode and passes on its size, now and when
// it changes until ctx ends. restore puts it back.
func (x *execInput) attach(ctx context.Context, f *os.File, start *pb.ExecStart) (restore func(), err error) {
	fd := int(f.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("set the terminal to raw mode: %w", err)
	}
	start.Tty, start.Size = true, sizeMessage(f)
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	ctx, cancel := context.WithCancel(ctx)
	var resizing sync.WaitGroup
	resizing.Go(func() {
		for {
			select {
			case <-resized:
				if x.send(&pb.ExecRequest{Message: &pb.ExecRequest_Resize{Resize: sizeMessage(f)}}) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		signal.Stop(resized)
		cancel()
		resizing.Wait()
		_ = term.Restore(fd, before) // nothing better to do than to go on
	}, nil
}

func sizeMessage(f *os.File) *pb.TerminalSize {
	d := terminalSize(f)
	return &pb.TerminalSize{Rows: int32(d.height), Columns: int32(d.width)}
}
