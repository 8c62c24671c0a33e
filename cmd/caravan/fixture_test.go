package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	pb "caravan/api/caravanv1"
	"caravan/api/client/clienttest"
)

// fixtureTime is the time of every session: 1,000,000 s after the epoch.
var fixtureTime = time.Unix(1_000_000, 0).UTC()

// fixture is a small cluster with one job of every kind.
func fixture() clienttest.State {
	group := func(name string, first, last int64) *pb.TaskGroup {
		return &pb.TaskGroup{Name: name, Indices: []*pb.IndexRange{{First: first, Last: last, Step: 1}}}
	}
	return clienttest.State{
		Jobs: []*pb.Job{
			{
				Id: "ladder-17", Owner: "ana", State: pb.JobState_JOB_STATE_RUNNING, SubmittedMs: 999_820_000, StartedMs: 999_829_000, Revision: 3,
				Spec:   &pb.JobSpec{Name: "ladder", Queue: "video", Groups: []*pb.TaskGroup{group("encode", 1, 18), group("mux", 0, 0)}},
				Groups: []*pb.GroupStatus{{Name: "encode", Tasks: 18, Succeeded: 12, Running: 6}, {Name: "mux", Tasks: 1, Blocked: 1}},
			},
			{
				Id: "train-16", Owner: "bo", State: pb.JobState_JOB_STATE_PENDING, SubmittedMs: 999_000_000, Revision: 2, Simulated: true,
				Spec:   &pb.JobSpec{Name: "train", Groups: []*pb.TaskGroup{group("ranks", 0, 7)}},
				Groups: []*pb.GroupStatus{{Name: "ranks", Tasks: 8, Pending: 8}},
			},
			{
				Id: "shot-3", Owner: "ana", State: pb.JobState_JOB_STATE_FAILED, SubmittedMs: 900_000_000, StartedMs: 900_001_000, EndedMs: 900_061_000, Revision: 1,
				Spec:   &pb.JobSpec{Name: "shot", Groups: []*pb.TaskGroup{group("main", 0, 0)}},
				Groups: []*pb.GroupStatus{{Name: "main", Tasks: 1, Failed: 1}},
			},
		},
		Tasks: []*pb.Task{
			{
				JobId: "shot-3", Group: "main", State: pb.TaskState_TASK_STATE_FAILED, Attempts: 1,
				Last: &pb.Allocation{Id: "shot-3.main.0.1", Node: "c4-01", Variant: "default", Exit: &pb.Exit{Code: 42, Reason: "exited"}},
			},
			{
				JobId: "ladder-17", Group: "encode", Ordinal: 12, State: pb.TaskState_TASK_STATE_RUNNING, Attempts: 1,
				Last: &pb.Allocation{Id: "ladder-17.encode.12.1", Node: "c4-01", Variant: "x264", StartedMs: 999_990_000},
			},
		},
		Nodes: []*pb.Node{
			{Info: &pb.NodeInfo{Name: "c4-01", InstanceType: "C4", CpuMilli: 16000, MemoryMib: 32768}, State: pb.NodeState_NODE_STATE_READY, Allocations: 6, UsedCpuMilli: 6000},
			{Info: &pb.NodeInfo{Name: "gn4-01", InstanceType: "GN4", CpuMilli: 56000, MemoryMib: 98304, Simulated: true, Devices: []*pb.Device{
				{Id: "m40-0", Kind: "gpu", Vendor: "nvidia", Model: "M40", MemoryMib: 12288, Thousandths: 1000, Healthy: true},
			}}, State: pb.NodeState_NODE_STATE_READY},
		},
		Queues: []*pb.QueueStatus{{Queue: &pb.Queue{Name: "default", Weight: 1}}, {Queue: &pb.Queue{Name: "video", Weight: 3, MaxCpuMilli: 64000}, JobsRunning: 1}},
		Events: []*pb.Event{
			{Index: 5, TimeMs: 999_820_000, Type: "job.submitted", JobId: "ladder-17", Message: "by ana"},
			{Index: 6, TimeMs: 999_821_000, Type: "node.lost", Node: "c4-02"},
		},
		Logs: []*pb.LogChunk{
			{AllocationId: "ladder-17.encode.0.1", Stream: "stdout", Data: []byte("frame 1\nframe")},
			{AllocationId: "ladder-17.encode.1.1", Stream: "stdout", Data: []byte("frame 2\n")},
			{AllocationId: "ladder-17.encode.0.1", Stream: "stdout", Data: []byte(" 1 again\n"), Offset: 13},
			{AllocationId: "ladder-17.encode.1.1", Stream: "stderr", Data: []byte("slow disk")},
			{AllocationId: "shot-3.main.0.1", Stream: "stdout", Data: []byte("no newline at the end")},
		},
		Explanations: []*pb.Explanation{{JobId: "train-16", DecidedMs: 999_998_000, Groups: []*pb.GroupVerdict{{
			Group: "ranks", Code: "no-room", ReadyTasks: 8, Summary: "8 tasks wait for room",
			Variants: []*pb.VariantVerdict{{Variant: "default", Nodes: 2, Rejections: []*pb.Rejection{{Constraint: "real node", Nodes: 1}, {Constraint: "cpu", Nodes: 1}}}},
		}}}},
		DryRun:   &pb.DryRunJobResponse{Offers: []*pb.Offer{{Group: "main", Variant: "default", Node: "c4-01", InstanceType: "C4", Tasks: 1, PriceMicroPerHour: 61000}}},
		Servers:  &pb.Cluster{Leader: "s1", Term: 2, AppliedIndex: 99, Version: "1.0", Servers: []*pb.Server{{Id: "s1", ApiAddress: "127.0.0.1:7300", Voter: true, Leader: true}}},
		Warnings: []string{"no time_limit"},
	}
}

// bench runs commands against a cluster in memory.
type bench struct {
	cluster *clienttest.Cluster
	server  *clienttest.Server
	dial    grpc.DialOption
}

func newBench(t *testing.T, state clienttest.State) *bench {
	t.Helper()
	b := &bench{cluster: clienttest.NewCluster(state)}
	network := clienttest.NewNetwork()
	b.server = network.Serve(defaultServer, b.cluster)
	t.Cleanup(b.server.Stop)
	b.dial = network.Dial()
	return b
}

// session returns a session without a terminal.
func (b *bench) session(in io.Reader, out, err io.Writer) *session {
	return &session{
		in: in, out: out, err: err,
		env:         func(name string) string { return map[string]string{"USER": "ana", "TOKEN": "s3cret"}[name] },
		now:         func() time.Time { return fixtureTime },
		terminal:    func(any) (*os.File, bool) { return nil, false },
		interrupts:  func() (<-chan os.Signal, func()) { return nil, func() {} },
		dialOptions: []grpc.DialOption{b.dial},
	}
}

// run runs one command to its end.
func (b *bench) run(in string, args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = b.session(strings.NewReader(in), &out, &err).execute(args)
	return out.String(), err.String(), code
}
