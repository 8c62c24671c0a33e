package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/consensus"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// start runs a server on loopback with its log in memory.
func start(t *testing.T, id string, join ...string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{
		ID: id, Listener: l, Join: join, Lease: 2 * time.Second, KillGrace: time.Second, BlobDir: t.TempDir(),
		Raft: consensus.Config{BindAddr: "127.0.0.1:0", Bootstrap: len(join) == 0, Timing: consensus.LANTiming(), PromoteAfter: 100 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("server %s: %v", id, err)
		}
	})
	return s
}

func dial(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func helloSpec(name string, count int64) *pb.JobSpec {
	return &pb.JobSpec{Name: name, Groups: []*pb.TaskGroup{{
		Name: "main", Indices: []*pb.IndexRange{{First: 0, Last: count - 1, Step: 1}},
		Variants: []*pb.Variant{{Name: "cpu", Command: []string{"/bin/true"}}},
	}}}
}

func node(name string) *pb.NodeInfo {
	return &pb.NodeInfo{Name: name, Address: "127.0.0.1:1", CpuMilli: 8000, MemoryMib: 8192, DiskMib: 1 << 20, BootId: "boot"}
}

// playAgent registers a node, takes every assignment as done, and reports it.
func playAgent(ctx context.Context, conn *grpc.ClientConn, name string) error {
	c := pb.NewAgentServiceClient(conn)
	if _, err := c.RegisterNode(ctx, &pb.RegisterNodeRequest{RequestId: "register-" + name, Info: node(name)}); err != nil {
		return err
	}
	w, err := c.WatchAllocations(ctx, &pb.WatchAllocationsRequest{Node: name})
	if err != nil {
		return err
	}
	for {
		u, err := w.Recv()
		if err != nil {
			return err
		}
		for _, a := range u.Assignments {
			_, err := c.ReportAllocations(ctx, &pb.ReportAllocationsRequest{
				RequestId: "done-" + a.Allocation.Id, Node: name, Reports: []*pb.AllocationReport{{
					AllocationId: a.Allocation.Id, State: pb.AllocationState_ALLOCATION_STATE_SUCCEEDED,
					StartedMs: 1, EndedMs: 2, Exit: &pb.Exit{Reason: model.ReasonExited},
				}},
			})
			if err != nil {
				return err
			}
		}
	}
}

// awaitJob follows a job until it has ended.
func awaitJob(t *testing.T, conn *grpc.ClientConn, id string) *pb.Job {
	t.Helper()
	w, err := pb.NewJobServiceClient(conn).WatchJob(within(t, 20*time.Second), &pb.WatchJobRequest{JobId: id})
	if err != nil {
		t.Fatal(err)
	}
	var last *pb.Job
	for {
		j, err := w.Recv()
		if errors.Is(err, io.EOF) {
			return last
		}
		if err != nil {
			t.Fatalf("watching %s: %v", id, err)
		}
		last = j
	}
}

func submit(t *testing.T, conn *grpc.ClientConn, requestID string, spec *pb.JobSpec) string {
	t.Helper()
	r, err := pb.NewJobServiceClient(conn).SubmitJob(within(t, 10*time.Second), &pb.SubmitJobRequest{RequestId: requestID, Spec: spec, Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	return r.JobId
}

func TestAJobIsPlacedRunAndEnded(t *testing.T) {
	conn := dial(t, start(t, "s1").Addr())
	ctx := within(t, 30*time.Second)
	go func() { _ = playAgent(ctx, conn, "a1") }()
	j := awaitJob(t, conn, submit(t, conn, "r1", helloSpec("hello", 20)))
	if j.State != pb.JobState_JOB_STATE_SUCCEEDED || j.Groups[0].Succeeded != 20 {
		t.Fatalf("job ended as %v with %d of 20 tasks", j.State, j.Groups[0].Succeeded)
	}
	if got := j.Spec.Groups[0].Variants[0].Resources; got.CpuMilli != defaultCPUMilli || got.MemoryMib != defaultMemoryMiB {
		t.Errorf("a task that asks for nothing got %v", got)
	}
}

func TestARepeatedSubmissionIsTheSameJob(t *testing.T) {
	conn := dial(t, start(t, "s1").Addr())
	first := submit(t, conn, "same", helloSpec("hello", 1))
	if again := submit(t, conn, "same", helloSpec("hello", 1)); again != first {
		t.Errorf("the repeated request made %s beside %s", again, first)
	}
	if other := submit(t, conn, "other", helloSpec("hello", 1)); other == first {
		t.Errorf("a new request id got the old job %s", other)
	}
}

func TestRefusalsCarryKindSubjectAndHint(t *testing.T) {
	conn := dial(t, start(t, "s1").Addr())
	jobs := pb.NewJobServiceClient(conn)
	bad := helloSpec("Bad Name", 1)
	bad.Groups[0].Variants[0].Resources = &pb.Resources{CpuMilli: -1}
	for _, c := range []struct {
		rule string
		call func(context.Context) error
		kind model.Kind
		want string
	}{
		{"every fault of a job at once", func(ctx context.Context) error {
			_, err := jobs.SubmitJob(ctx, &pb.SubmitJobRequest{RequestId: "a", Spec: bad})
			return err
		}, model.KindInvalid, "cpu_milli"},
		{"a mutation needs a request id", func(ctx context.Context) error {
			_, err := jobs.SubmitJob(ctx, &pb.SubmitJobRequest{Spec: helloSpec("ok", 1)})
			return err
		}, model.KindInvalid, "request_id"},
		{"an unknown job", func(ctx context.Context) error {
			_, err := jobs.GetJob(ctx, &pb.GetJobRequest{JobId: "nope-9"})
			return err
		}, model.KindNotFound, "nope-9"},
		{"an unknown queue", func(ctx context.Context) error {
			spec := helloSpec("ok", 1)
			spec.Queue = "nowhere"
			_, err := jobs.SubmitJob(ctx, &pb.SubmitJobRequest{RequestId: "b", Spec: spec})
			return err
		}, model.KindNotFound, "nowhere"},
		{"an expression that asks for what there is not", func(ctx context.Context) error {
			spec := helloSpec("ok", 1)
			spec.Groups[0].Constraints = []*pb.Constraint{{Attribute: "node.colour == 1", Operator: pb.Operator_OPERATOR_WHERE}}
			_, err := jobs.SubmitJob(ctx, &pb.SubmitJobRequest{RequestId: "w", Spec: spec})
			return err
		}, model.KindInvalid, "groups[0].constraints[0]"},
		{"a rule over what no node lies in", func(ctx context.Context) error {
			spec := helloSpec("ok", 1)
			spec.Groups[0].Spread = []*pb.Spread{{Over: 9}}
			_, err := jobs.DryRunJob(ctx, &pb.DryRunJobRequest{Spec: spec})
			return err
		}, model.KindInvalid, "spread[0].over"},
	} {
		err := wire.ErrorFromStatus(c.call(within(t, 10*time.Second)))
		if err == nil || err.Kind != c.kind || !strings.Contains(err.Error()+err.Subject, c.want) {
			t.Errorf("%s: got %+v, want kind %s about %q", c.rule, err, c.kind, c.want)
		}
	}
	err := wire.ErrorFromStatus(func() error {
		_, err := jobs.SubmitJob(within(t, 10*time.Second), &pb.SubmitJobRequest{RequestId: "c", Spec: bad})
		return err
	}())
	if len(err.Fields) < 2 {
		t.Errorf("want both faults of the job, got %v", err.Fields)
	}
}

func TestAnyServerAnswersForTheLeader(t *testing.T) {
	s1 := start(t, "s1")
	s2 := start(t, "s2", s1.Addr())
	s3 := start(t, "s3", s1.Addr())
	awaitVoters(t, s1.Addr(), 3)
	conns := []*grpc.ClientConn{dial(t, s1.Addr()), dial(t, s2.Addr()), dial(t, s3.Addr())}
	for i, conn := range conns {
		id := submit(t, conn, fmt.Sprint("r", i), helloSpec("hello", 1))
		for k, other := range conns {
			// What one server acknowledged, every other one knows at once.
			j, err := pb.NewJobServiceClient(other).GetJob(within(t, 10*time.Second), &pb.GetJobRequest{JobId: id})
			if err != nil || j.Id != id {
				t.Fatalf("submitted through server %d, read through %d: %v %v", i+1, k+1, j, err)
			}
			w, err := pb.NewJobServiceClient(other).WatchJob(within(t, 10*time.Second), &pb.WatchJobRequest{JobId: id})
			if err != nil {
				t.Fatal(err)
			}
			if j, err := w.Recv(); err != nil || j.Id != id {
				t.Fatalf("submitted through server %d, watched through %d: %v %v", i+1, k+1, j, err)
			}
		}
	}
}

func awaitVoters(t *testing.T, addr string, n int) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	conn := dial(t, addr)
	for {
		voters := 0
		c, err := pb.NewOperatorServiceClient(conn).GetCluster(ctx, &pb.GetClusterRequest{})
		for _, s := range c.GetServers() {
			if s.Voter && s.ApiAddress != "" {
				voters++
			}
		}
		if voters == n {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d of %d voters (%v)", voters, n, err)
		}
	}
}

func TestASilentNodeIsLostAndItsTasksWaitAgain(t *testing.T) {
	s := start(t, "s1")
	conn := dial(t, s.Addr())
	ctx := within(t, 30*time.Second)
	c := pb.NewAgentServiceClient(conn)
	if _, err := c.RegisterNode(ctx, &pb.RegisterNodeRequest{RequestId: "r", Info: node("a1")}); err != nil {
		t.Fatal(err)
	}
	id := submit(t, conn, "j", helloSpec("hello", 3))
	sub := s.feed.Subscribe("*")
	defer sub.Close()
	for wasRunning := false; ; {
		select {
		case <-sub.C:
		case <-ctx.Done():
			t.Fatal("the node was never lost")
		}
		j, _ := s.State().Job(id)
		wasRunning = wasRunning || j.Groups[0].Active.Len() == 3
		n, _ := s.State().Node("a1")
		if n.State == model.NodeLost {
			if !wasRunning || j.Groups[0].Waiting.Len() != 3 {
				t.Fatalf("ran before: %v; now waiting: %s", wasRunning, j.Groups[0].Waiting)
			}
			break
		}
	}
	// A heartbeat of a lost node is told to register again.
	h, err := c.Heartbeat(ctx, &pb.HeartbeatRequest{Node: "a1", BootId: "boot", Sequence: 1})
	if err != nil || !h.RegisterAgain {
		t.Errorf("heartbeat of a lost node: %v %v", h, err)
	}
}

func TestHTTPSpeaksTheSameContract(t *testing.T) {
	s := start(t, "s1")
	awaitVoters(t, s.Addr(), 1)
	post := func(body string) (int, string) {
		t.Helper()
		r, err := http.Post("http://"+s.Addr()+"/v1/jobs", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(b)
	}
	code, body := post(`{"request_id":"h1","owner":"ann","spec":{"name":"web","groups":[{"name":"main","indices":[{"first":0,"last":0,"step":1}],"variants":[{"name":"cpu","command":["/bin/true"]}]}]}}`)
	if code != http.StatusOK || !strings.Contains(body, "web-1") {
		t.Errorf("submit over HTTP: %d %s", code, body)
	}
	if code, body = post(`{"request_id":"h2","spec":{"name":"BAD"}}`); code != http.StatusBadRequest || !strings.Contains(body, "is not a name") {
		t.Errorf("a bad job over HTTP: %d %s", code, body)
	}
	if code, body = post(`{"request_id":"h3","spek":{}}`); code != http.StatusBadRequest {
		t.Errorf("an unknown field over HTTP: %d %s", code, body)
	}
	r, err := http.Get("http://" + s.Addr() + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var doc struct{ Paths map[string]any }
	if err := json.NewDecoder(r.Body).Decode(&doc); err != nil || doc.Paths["/v1/jobs"] == nil {
		t.Errorf("the OpenAPI document lacks /v1/jobs: %v", err)
	}
}

func TestExplainCountsWhatStopsAJob(t *testing.T) {
	conn := dial(t, start(t, "s1").Addr())
	ctx := within(t, 20*time.Second)
	if _, err := pb.NewAgentServiceClient(conn).RegisterNode(ctx, &pb.RegisterNodeRequest{RequestId: "r", Info: node("a1")}); err != nil {
		t.Fatal(err)
	}
	spec := helloSpec("big", 1)
	spec.Groups[0].Variants[0].Resources = &pb.Resources{CpuMilli: 64000, MemoryMib: 10}
	id := submit(t, conn, "j", spec)
	e, err := pb.NewJobServiceClient(conn).ExplainJob(ctx, &pb.ExplainJobRequest{JobId: id})
	if err != nil {
		t.Fatal(err)
	}
	v := e.Groups[0]
	if v.Code != "never-fits" || v.Variants[0].Nodes != 1 || v.Variants[0].Rejections[0].Nodes != 1 {
		t.Errorf("verdict: %v", v)
	}
	d, err := pb.NewJobServiceClient(conn).DryRunJob(ctx, &pb.DryRunJobRequest{Spec: helloSpec("ok", 3)})
	if err != nil || len(d.Offers) != 1 || d.Offers[0].Tasks != 3 || d.Offers[0].Node != "a1" {
		t.Errorf("dry run: %v %v", d, err)
	}
}

func TestAnAllocationTellsWhyItIsWhereItIs(t *testing.T) {
	conn := dial(t, start(t, "s1").Addr())
	ctx := within(t, 20*time.Second)
	for _, n := range []string{"a1", "a2"} {
		if _, err := pb.NewAgentServiceClient(conn).RegisterNode(ctx, &pb.RegisterNodeRequest{RequestId: n, Info: node(n)}); err != nil {
			t.Fatal(err)
		}
	}
	jobs := pb.NewJobServiceClient(conn)
	id := submit(t, conn, "j", helloSpec("ok", 1))
	w, err := jobs.WatchJob(ctx, &pb.WatchJobRequest{JobId: id})
	if err != nil {
		t.Fatal(err)
	}
	for j := (&pb.Job{}); len(j.Groups) == 0 || j.Groups[0].Running == 0; {
		if j, err = w.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	group := helloSpec("ok", 1).Groups[0].Name
	e, err := jobs.ExplainAllocation(ctx, &pb.ExplainAllocationRequest{AllocationId: id + "." + group + ".0.1"})
	if err != nil {
		t.Fatal(err)
	}
	if e.Rank != 1 || e.Nodes != 2 || e.Fits != 2 || e.Chosen.Node != "a1" || len(e.Next) != 1 || e.Next[0].Node != "a2" || e.Next[0].DecidedBy != "name" || e.JudgedMs == 0 {
		t.Errorf("of two nodes alike the first by name is taken: %v", e)
	}
	number := id[strings.LastIndexByte(id, '-')+1:]
	last, err := jobs.ExplainAllocation(ctx, &pb.ExplainAllocationRequest{AllocationId: number + "." + group + ".0"})
	if err != nil || last.AllocationId != e.AllocationId {
		t.Errorf("the task's last attempt, by the job's number: %v %v", last, err)
	}
	for _, bad := range []string{"", "x", id, id + ".no.0.1", id + "." + group + ".7", id + "." + group + ".x", "nope-9.main.0.1"} {
		if _, err := jobs.ExplainAllocation(ctx, &pb.ExplainAllocationRequest{AllocationId: bad}); status.Code(err) != codes.NotFound {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := jobs.ExplainAllocation(ctx, &pb.ExplainAllocationRequest{AllocationId: e.AllocationId, Next: 101}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("101 nodes: %v", err)
	}
}

func TestHeartbeatsWaitForEachOtherButNotLong(t *testing.T) {
	for _, c := range []struct {
		at, interval, want time.Duration
	}{
		{0, 5 * time.Second, 20 * time.Millisecond},
		{13 * time.Millisecond, 5 * time.Second, 7 * time.Millisecond},
		{33*time.Millisecond + 500*time.Microsecond, 5 * time.Second, 6*time.Millisecond + 500*time.Microsecond},
		{1 * time.Millisecond, 30 * time.Millisecond, 2 * time.Millisecond},
		{250 * time.Microsecond, 2 * time.Millisecond, 750 * time.Microsecond},
	} {
		if got := untilBeat(time.Unix(0, int64(c.at)), c.interval); got != c.want {
			t.Errorf("%v after a beat, with an interval of %v: %v, want %v", c.at, c.interval, got, c.want)
		}
	}
}
