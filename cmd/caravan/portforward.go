package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/taskref"
)

func newPortForwardCmd(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "port-forward JOB[/GROUP[/INDEX]] [LOCAL:]REMOTE",
		Short: "Reach a port of a running task from here",
		Long: `Listen on a port of 127.0.0.1 and pass each connection on to a port of a running
task, through servers and agent, until Ctrl-C. LOCAL 0 takes any free port.`,
		Example: `  caravan port-forward 17 8888
  caravan port-forward 17/train/0 16006:6006`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: s.completeJobs(false, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			start, err := parseTarget(args[0])
			if err != nil {
				return err
			}
			local, remote, err := parsePorts(args[1])
			if err != nil {
				return err
			}
			start.Port = remote
			return s.portForward(cmd.Context(), start, local)
		},
	}
}

// parseTarget reads JOB[/GROUP[/INDEX]].
func parseTarget(arg string) (*pb.ExecStart, error) {
	job, task, found := strings.Cut(arg, "/")
	start := &pb.ExecStart{JobId: job}
	if !found {
		return start, nil
	}
	ref, err := taskref.Parse(task)
	if err != nil {
		return nil, &usageError{err.Error(), "write JOB, JOB/encode or JOB/encode/3"}
	}
	start.Group, start.Index = ref.Group, ref.Index
	return start, nil
}

// parsePorts reads [LOCAL:]REMOTE.
func parsePorts(arg string) (local string, remote int32, err error) {
	local, far, found := strings.Cut(arg, ":")
	if !found {
		far = local
	}
	_, errLocal := strconv.ParseUint(local, 10, 16)
	n, errRemote := strconv.ParseUint(far, 10, 16)
	if errLocal != nil || errRemote != nil || n == 0 {
		return "", 0, &usageError{fmt.Sprintf("%q is not [LOCAL:]REMOTE", arg), "write 8888, or 18888:8888"}
	}
	return local, int32(n), nil
}

func (s *session) portForward(ctx context.Context, start *pb.ExecStart, local string) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := s.untilInterrupt(ctx)
	defer cancel()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", local))
	if err != nil {
		return fmt.Errorf("%w; choose another LOCAL port, or 0 for any", err)
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	fmt.Fprintf(s.out, "forwarding %s to port %d of the task; Ctrl-C ends it\n", l.Addr(), start.Port)
	var open sync.WaitGroup
	defer open.Wait()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the way to end it
		}
		if err != nil {
			return err
		}
		open.Go(func() {
			if err := forward(ctx, c, start, conn); err != nil && ctx.Err() == nil {
				fmt.Fprintln(s.err, "a connection failed:", err)
			}
		})
	}
}

// forward passes one connection on.
func forward(ctx context.Context, c *client.Client, start *pb.ExecStart, conn net.Conn) error {
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.Jobs.Exec(ctx)
	if err != nil {
		return err
	}
	input := &execInput{stream: stream}
	if err := input.send(&pb.ExecRequest{Message: &pb.ExecRequest_Start{Start: start}}); err != nil {
		return execError(stream, err)
	}
	// Ends with the connection, which closing it makes sure of.
	go input.copy(conn)
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case len(m.GetStdout()) > 0:
			if _, err := conn.Write(m.GetStdout()); err != nil {
				return nil //nolint:nilerr // the program here has gone
			}
		}
		if _, ended := m.Message.(*pb.ExecResponse_ExitCode); ended {
			return nil
		}
	}
}
