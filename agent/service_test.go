package agent_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "caravan/api/caravanv1"
)

// client is a server's side of the agent's own service.
func (h *host) client(address string) pb.TaskServiceClient {
	h.t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	return pb.NewTaskServiceClient(conn)
}

// logs reads until the end, or until the wanted text was seen.
func (h *host) logs(c pb.TaskServiceClient, req *pb.ReadTaskLogsRequest, until string) (map[string]string, error) {
	h.t.Helper()
	stream, err := c.ReadTaskLogs(h.ctx, req)
	if err != nil {
		h.t.Fatal(err)
	}
	got := make(map[string]string)
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		if int(chunk.Offset) != len(got[chunk.Stream]) && req.TailLines == 0 {
			h.t.Errorf("%s: %d bytes were sent and the next offset is %d", chunk.Stream, len(got[chunk.Stream]), chunk.Offset)
		}
		got[chunk.Stream] += string(chunk.Data)
		if until != "" && strings.Contains(got["stdout"], until) {
			h.open(h.path("gate"))
			until = ""
		}
	}
}

func TestLogsAreReadDuringAndAfterTheTask(t *testing.T) {
	h := newHost(t)
	address, _ := h.start()
	c := h.client(address)
	gate := h.path("gate")
	a := task(1, `echo one; echo two; echo bad >&2; while ! [ -e "`+gate+`" ]; do sleep 0.02; done; echo three`)
	h.servers.Assign(a)
	h.await(id(a), running)
	// The gate opens once "two" has come through, so following proves that it did not wait for the end.
	got, err := h.logs(c, &pb.ReadTaskLogsRequest{AllocationId: id(a), Follow: true}, "two")
	if err != nil || got["stdout"] != "one\ntwo\nthree\n" || got["stderr"] != "bad\n" {
		t.Errorf("followed %q, %v", got, err)
	}
	h.await(id(a), succeeded)
	for _, x := range []struct {
		req  *pb.ReadTaskLogsRequest
		want string
	}{
		{&pb.ReadTaskLogsRequest{}, "one\ntwo\nthree\n|bad\n"},
		{&pb.ReadTaskLogsRequest{Stream: "stderr"}, "|bad\n"},
		{&pb.ReadTaskLogsRequest{Stream: "stdout", TailLines: 2}, "two\nthree\n|"},
		{&pb.ReadTaskLogsRequest{Follow: true, TailLines: 1}, "three\n|bad\n"},
	} {
		x.req.AllocationId = id(a)
		got, err := h.logs(c, x.req, "")
		if err != nil || got["stdout"]+"|"+got["stderr"] != x.want {
			t.Errorf("%v gives %q, %v; want %q", x.req, got, err, x.want)
		}
	}
}

func TestFollowingATaskThatNeverStartsEndsWithIt(t *testing.T) {
	h := newHost(t)
	address, _ := h.start()
	a := task(1, "", func(a *pb.Assignment) { a.Variant.Driver = "no-such-driver" })
	h.servers.Assign(a)
	h.await(id(a), failed)
	got, err := h.logs(h.client(address), &pb.ReadTaskLogsRequest{AllocationId: id(a), Follow: true}, "")
	if err != nil || len(got) != 0 {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestLogsOfNothingAndOfElsewhereAreRefused(t *testing.T) {
	h := newHost(t)
	address, _ := h.start()
	c := h.client(address)
	for name, want := range map[string]codes.Code{
		"job-1.main.9.1": codes.NotFound, "": codes.NotFound, ".": codes.NotFound, "..": codes.NotFound,
		"../allocs": codes.NotFound, "a/b": codes.NotFound, "a\x00b": codes.NotFound,
	} {
		if _, err := h.logs(c, &pb.ReadTaskLogsRequest{AllocationId: name}, ""); status.Code(err) != want {
			t.Errorf("allocation %q: %v", name, err)
		}
	}
	if _, err := h.logs(c, &pb.ReadTaskLogsRequest{AllocationId: "a", Stream: "../x"}, ""); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a wrong stream: %v", err)
	}
}

// execute runs a command beside a task with some input and returns what came back.
func (h *host) execute(c pb.TaskServiceClient, start *pb.ExecStart, input string) (stdout, stderr string, code int32, err error) {
	h.t.Helper()
	stream, err := c.ExecTask(h.ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	messages := []*pb.ExecRequest{{Message: &pb.ExecRequest_Start{Start: start}}}
	if input != "" {
		messages = append(messages, &pb.ExecRequest{Message: &pb.ExecRequest_Stdin{Stdin: []byte(input)}})
	}
	messages = append(messages, &pb.ExecRequest{Message: &pb.ExecRequest_StdinClosed{StdinClosed: true}})
	for _, m := range messages {
		if err := stream.Send(m); err != nil && !errors.Is(err, io.EOF) { // the answer says why
			h.t.Fatal(err)
		}
	}
	code = -1
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stdout, stderr, code, nil
		}
		if err != nil {
			return stdout, stderr, code, err
		}
		stdout += string(m.GetStdout())
		stderr += string(m.GetStderr())
		if x, ok := m.Message.(*pb.ExecResponse_ExitCode); ok {
			code = x.ExitCode
		}
	}
}

func TestCommandsRunBesideATask(t *testing.T) {
	h := newHost(t)
	address, _ := h.start()
	c := h.client(address)
	gate := h.path("gate")
	a := h.holding(1, gate)
	h.servers.Assign(a)
	h.await(id(a), running)

	start := &pb.ExecStart{AllocationId: id(a), Command: []string{"sh", "-c", `cat; echo "$CARAVAN_INDEX"; echo oops >&2; exit 9`}}
	if out, errs, code, err := h.execute(c, start, "typed\n"); out != "typed\n1\n" || errs != "oops\n" || code != 9 || err != nil {
		t.Errorf("pipes: %q, %q, %d, %v", out, errs, code, err)
	}
	start = &pb.ExecStart{
		AllocationId: id(a), Command: []string{"sh", "-c", "test -t 0 && test -t 1 && stty size"}, Tty: true,
		Size: &pb.TerminalSize{Rows: 24, Columns: 91},
	}
	if out, _, code, err := h.execute(c, start, ""); !strings.Contains(out, "24 91") || code != 0 || err != nil {
		t.Errorf("terminal: %q, %d, %v", out, code, err)
	}
	for want, start := range map[codes.Code]*pb.ExecStart{
		codes.InvalidArgument: {AllocationId: id(a)},
		codes.NotFound:        {AllocationId: "job-1.main.99.1", Command: []string{"true"}},
	} {
		if _, _, _, err := h.execute(c, start, ""); status.Code(err) != want {
			t.Errorf("%v: %v", start, err)
		}
	}
	h.open(gate)
	h.await(id(a), failed)
	start = &pb.ExecStart{AllocationId: id(a), Command: []string{"true"}}
	if _, _, _, err := h.execute(c, start, ""); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("beside an ended task: %v", err)
	}
}

func TestACommandEndsWithItsCaller(t *testing.T) {
	h := newHost(t)
	address, _ := h.start()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	gate, pid := h.path("gate"), h.path("pid")
	a := h.holding(1, gate)
	h.servers.Assign(a)
	h.await(id(a), running)
	stream, err := pb.NewTaskServiceClient(conn).ExecTask(h.ctx)
	if err != nil {
		t.Fatal(err)
	}
	command := []string{"sh", "-c", `echo $$ > "` + pid + `.new"; mv "` + pid + `.new" "` + pid + `"; while :; do sleep 0.02; done`}
	if err := stream.Send(&pb.ExecRequest{Message: &pb.ExecRequest_Start{Start: &pb.ExecStart{AllocationId: id(a), Command: command}}}); err != nil {
		t.Fatal(err)
	}
	process := strings.TrimSpace(h.awaitFile(pid))
	conn.Close() // the caller is gone
	h.awaitGone(process)
	h.open(gate)
	h.await(id(a), failed)
}
