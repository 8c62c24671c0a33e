package steps_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"caravan/agent/steps"
	pb "caravan/api/caravanv1"
)

// agent answers with what it was asked for, and then with the signal that it gets.
type agent struct {
	pb.UnimplementedTaskServiceServer
	name string
}

func (a *agent) ExecTask(s grpc.BidiStreamingServer[pb.ExecRequest, pb.ExecResponse]) error {
	m, err := s.Recv()
	if err != nil {
		return err
	}
	start := m.GetStart()
	text := a.name + " " + start.AllocationId + " " + strings.Join(start.Command, " ") + " job=" + start.JobId
	if err := s.Send(&pb.ExecResponse{Message: &pb.ExecResponse_Stdout{Stdout: []byte(text)}}); err != nil {
		return err
	}
	for {
		if m, err = s.Recv(); err != nil {
			return err
		}
		if n := m.GetSignal(); n != 0 {
			return s.Send(&pb.ExecResponse{Message: &pb.ExecResponse_ExitCode{ExitCode: 128 + n}})
		}
	}
}

func serve(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	pb.RegisterTaskServiceServer(srv, &agent{name: name})
	go srv.Serve(l)
	t.Cleanup(srv.Stop)
	return l.Addr().String()
}

func dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// gang is an assignment of the first of two members.
func gang(second string) *pb.Assignment {
	return &pb.Assignment{
		Allocation: &pb.Allocation{Id: "j-1.main.0.1"},
		Gang: &pb.Gang{Nodes: []*pb.GangNode{
			{Name: "a", AllocationId: "j-1.main.0.1"}, {Name: "b", Address: second, AllocationId: "j-1.main.1.1"},
		}},
	}
}

func open(t *testing.T, as *pb.Assignment) (h *steps.Host, dir string) {
	t.Helper()
	h, err := steps.New(steps.Config{Self: serve(t, "self"), Dial: dial, Logger: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Shut)
	// Longer than a socket's name may be.
	dir = filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := h.Open(as, dir); err != nil {
		t.Fatal(err)
	}
	return h, dir
}

func call(t *testing.T, dir string, start *pb.ExecStart) grpc.BidiStreamingClient[pb.ExecRequest, pb.ExecResponse] {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			d, err := os.Open(dir)
			if err != nil {
				return nil, err
			}
			defer d.Close()
			return (&net.Dialer{}).DialContext(ctx, "unix", steps.ViaDescriptor(d, steps.SocketName))
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s, err := pb.NewTaskServiceClient(conn).ExecTask(t.Context())
	if err == nil {
		err = s.Send(&pb.ExecRequest{Message: &pb.ExecRequest_Start{Start: start}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestACallReachesTheNodeAndItsOwnAllocationOnly(t *testing.T) {
	_, dir := open(t, gang(serve(t, "other")))
	for index, want := range map[int64]string{0: "self j-1.main.0.1 id job=", 1: "other j-1.main.1.1 id job="} {
		// What the caller says of allocations and jobs counts for nothing.
		s := call(t, dir, &pb.ExecStart{Index: &index, Command: []string{"id"}, AllocationId: "k-2.main.0.1", JobId: "k-2"})
		if m, err := s.Recv(); err != nil || string(m.GetStdout()) != want {
			t.Errorf("node %d: %q, %v", index, m.GetStdout(), err)
		}
	}
	for _, index := range []int64{-1, 2} {
		s := call(t, dir, &pb.ExecStart{Index: &index, Command: []string{"id"}})
		if _, err := s.Recv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("node %d: %v", index, err)
		}
	}
}

func TestPortsAndSignalsAreNotForCallers(t *testing.T) {
	_, dir := open(t, gang(serve(t, "other")))
	for _, start := range []*pb.ExecStart{{Port: 22}, {Signal: 9}} {
		if _, err := call(t, dir, start).Recv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", start, err)
		}
	}
}

func TestASignalReachesTheStepsThatRun(t *testing.T) {
	h, dir := open(t, gang(serve(t, "other")))
	index := int64(1)
	s := call(t, dir, &pb.ExecStart{Index: &index, Command: []string{"id"}})
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	if n := h.Signal("j-1.main.0.1", syscall.SIGUSR1); n != 1 {
		t.Errorf("it reached %d tasks", n)
	}
	if m, err := s.Recv(); err != nil || m.GetExitCode() != 128+10 {
		t.Errorf("%v, %v", m, err)
	}
	if n := h.Signal("k-2.main.0.1", syscall.SIGUSR1); n != 0 {
		t.Errorf("without a door it reached %d tasks", n)
	}
}

func TestTheDoorOfAnEarlierAgentIsReplacedAndALinkNotFollowed(t *testing.T) {
	h, dir := open(t, gang(serve(t, "other")))
	h.Close("j-1.main.0.1")
	precious := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, steps.SocketName)
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, socket); err != nil {
		t.Fatal(err)
	}
	if err := h.Open(gang("x"), dir); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(precious); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file behind the link: %v, %v", st, err)
	}
	index := int64(0)
	if _, err := call(t, dir, &pb.ExecStart{Index: &index, Command: []string{"id"}}).Recv(); err != nil {
		t.Error(err)
	}
}
