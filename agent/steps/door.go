package steps

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "caravan/api/caravanv1"
)

// door serves one allocation.
type door struct {
	pb.UnimplementedTaskServiceServer
	host       *Host
	assignment *pb.Assignment
	server     *grpc.Server

	mu       sync.Mutex // guards sessions
	sessions map[*session]struct{}
}

// session is one task of a step: a call that is passed on.
type session struct {
	mu  sync.Mutex // a stream takes one message at a time
	far grpc.BidiStreamingClient[pb.ExecRequest, pb.ExecResponse]
}

func (s *session) send(m *pb.ExecRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.far.Send(m)
}

// ExecTask runs a command on a node of the job: that with the position in the start's index.
func (d *door) ExecTask(near grpc.BidiStreamingServer[pb.ExecRequest, pb.ExecResponse]) error {
	first, err := near.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if start == nil || len(start.Command) == 0 {
		return status.Error(codes.InvalidArgument, "the first message must name a command")
	}
	address, allocation, err := d.target(start.GetIndex())
	if err != nil {
		return err
	}
	conn, err := d.host.conn(address)
	if err != nil {
		return err
	}
	far, err := pb.NewTaskServiceClient(conn).ExecTask(near.Context())
	if err != nil {
		return err
	}
	s := &session{far: far}
	d.enter(s)
	defer d.leave(s)
	start.AllocationId, start.JobId, start.Index = allocation, "", nil
	start.Port, start.Signal, start.SignalSteps = 0, 0, false
	if err := s.send(first); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	go forward(near, s) // ends with the call
	for {
		m, err := far.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := near.Send(m); err != nil {
			return err
		}
	}
}

// forward passes on what the caller sends until it ends.
func forward(near grpc.BidiStreamingServer[pb.ExecRequest, pb.ExecResponse], s *session) {
	for {
		m, err := near.Recv()
		if err != nil || s.send(m) != nil {
			return
		}
	}
}

// target finds a node of the job by its position.
func (d *door) target(node int64) (address, allocation string, err error) {
	nodes := d.assignment.GetGang().GetNodes()
	if len(nodes) == 0 && node == 0 {
		return d.host.cfg.Self, d.assignment.Allocation.Id, nil
	}
	if node < 0 || node >= int64(len(nodes)) {
		return "", "", status.Error(codes.InvalidArgument, fmt.Sprintf("the job has no node %d", node))
	}
	n := nodes[node]
	if n.AllocationId == d.assignment.Allocation.Id {
		return d.host.cfg.Self, n.AllocationId, nil
	}
	return n.Address, n.AllocationId, nil
}

func (d *door) enter(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions[s] = struct{}{}
}

func (d *door) leave(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sessions, s)
}

func (d *door) signal(sig syscall.Signal) int {
	d.mu.Lock()
	var all []*session
	for s := range d.sessions {
		all = append(all, s)
	}
	d.mu.Unlock()
	reached := 0
	for _, s := range all {
		if s.send(&pb.ExecRequest{Message: &pb.ExecRequest_Signal{Signal: int32(sig)}}) == nil {
			reached++
		}
	}
	return reached
}
