package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/state"
)

var writeSnapshot = flag.String("write-snapshot", "", "write a snapshot of the sample state, to be kept as an example of its format, to this file")

// sample is a state with a record of every kind in it.
func sample(t testing.TB) *FSM {
	t.Helper()
	f := New(Config{})
	must := func(c *pb.Command) {
		c.TimeMs = int64(f.Snapshot().Time()) + 1000
		if r := apply(f, c); r.Err != nil || len(r.Answer.Dropped) > 0 {
			t.Fatalf("the sample's command %v: %+v", c, r)
		}
	}
	must(register(gpuNode("a", "1", 2)))
	must(register(gpuNode("b", "1", 0)))
	must(&pb.Command{RequestId: "q", Op: &pb.Command_PutQueue{PutQueue: &pb.PutQueue{Queue: &pb.Queue{Name: "lab", Weight: 3, MaxCpuMilli: 64000}}}})
	must(&pb.Command{Op: &pb.Command_PutServer{PutServer: &pb.PutServer{Id: "s1", RaftAddress: "10.0.0.1:1", ApiAddress: "10.0.0.1:2"}}})
	spec := array("film", 4)
	spec.Queue, spec.Priority, spec.Labels = "lab", -5, map[string]string{"shot": "12"}
	ranks := array("x", 2).Groups[0]
	ranks.Name, ranks.Gang, ranks.DependsOn, ranks.Env = "ranks", true, []*pb.Dependency{{Group: "part", Each: true}}, map[string]string{"A": "b"}
	sweep := array("x", 6).Groups[0]
	sweep.Name, sweep.Matrix = "sweep", []*pb.Axis{{Name: "lr", Values: []string{"0.1", "0.01"}}, {Name: "seed", Range: &pb.IndexRange{First: 9, Last: 1, Step: -4}}}
	spec.Groups = append(spec.Groups, ranks, sweep)
	spec.Workspace = &pb.Workspace{Digest: strings.Repeat("0a", 32), Bytes: 9, Path: "."}
	must(submit("r1", spec))
	pair := array("pair", 2)
	pair.Groups[0].Gang, pair.Groups[0].PerNode = true, true
	must(submit("r0", pair))
	must(submit("r2", array("old", 1)))
	device := []*pb.DeviceShare{{DeviceId: "gpu1", Thousandths: 250, MemoryMib: 25}}
	must(plan(
		&pb.PlacementSet{JobId: "film-1", Placements: []*pb.Placement{{Ordinal: 0, Node: "a", Devices: device}, {Ordinal: 1, Node: "b"}, {Ordinal: 2, Node: "b"}}},
		&pb.PlacementSet{JobId: "pair-2", Gang: true, Placements: []*pb.Placement{{Ordinal: 0, Node: "a"}, {Ordinal: 1, Node: "b"}}},
		&pb.PlacementSet{JobId: "old-3", Placements: []*pb.Placement{{Ordinal: 0, Node: "b"}}},
	))
	must(report("b",
		&pb.AllocationReport{AllocationId: "film-1.part.1.1", State: pb.AllocationState_ALLOCATION_STATE_FAILED, Exit: &pb.Exit{Code: 137, Signal: 9, Reason: "oom", Message: "out of memory"}, Usage: &pb.Usage{CpuMs: 900, PeakMemoryBytes: 1 << 20, Limits: "v2"}},
		&pb.AllocationReport{AllocationId: "film-1.part.2.1", State: pb.AllocationState_ALLOCATION_STATE_RUNNING},
		&pb.AllocationReport{AllocationId: "old-3.part.0.1", State: pb.AllocationState_ALLOCATION_STATE_SUCCEEDED},
	))
	must(&pb.Command{Op: &pb.Command_Sweep{Sweep: &pb.Sweep{JobsEndedBeforeMs: 1 << 40, Limit: 2}}})
	ill := gpuNode("a", "1", 2)
	ill.Devices[1].Identity, ill.Devices[1].HealthReason, ill.Devices[1].Healthy = "GPU-7", "quarantined: xid-79", false
	ill.Devices[1].Health = &pb.Health{State: pb.HealthState_HEALTH_STATE_QUARANTINED, SinceMs: 9000, History: []*pb.HealthEntry{{TimeMs: 9000, Fault: "xid-79", State: pb.HealthState_HEALTH_STATE_QUARANTINED}}}
	ill.Health = &pb.Health{State: pb.HealthState_HEALTH_STATE_SUSPECT, SinceMs: 9500, Reason: "suspect: epilog-failed"}
	must(register(ill))
	must(&pb.Command{RequestId: "o", Op: &pb.Command_OrderHealth{OrderHealth: &pb.OrderHealth{Node: "a", Order: &pb.HealthOrder{
		Device: "gpu1", Verb: pb.HealthVerb_HEALTH_VERB_RETURN, Reason: "swapped", By: "ann",
	}}}})
	must(&pb.Command{RequestId: "p", Op: &pb.Command_StopJob{StopJob: &pb.StopJob{JobId: "film-1", Matrix: []*pb.AxisCondition{{Axis: "lr", Values: []string{"0.1"}}}}}})
	must(&pb.Command{RequestId: "d", Op: &pb.Command_DrainNode{DrainNode: &pb.DrainNode{Node: "b", Drain: true}}})
	if r := apply(f, &pb.Command{RequestId: "e", Op: &pb.Command_StopJob{StopJob: &pb.StopJob{JobId: "nosuch-9"}}}); r.Err == nil {
		t.Fatal("a job that is not there was stopped")
	}
	return f
}

func encoded(t testing.TB, f *FSM) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.Capture().Persist(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSnapshotOfEveryKindOfRecord(t *testing.T) {
	f := sample(t)
	data := encoded(t, f)
	if *writeSnapshot != "" {
		if err := os.WriteFile(*writeSnapshot, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g := New(Config{})
	if err := g.Restore(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if state.Digest(g.Snapshot()) != state.Digest(f.Snapshot()) {
		t.Errorf("restored is\n%s\nnot\n%s", dump(g.Snapshot()), dump(f.Snapshot()))
	}
	if !bytes.Equal(encoded(t, g), data) {
		t.Error("equal states give different snapshots")
	}
}

// TestKeptSnapshots restores a snapshot of each format that was ever released
// and compares all that is in it.
func TestKeptSnapshots(t *testing.T) {
	datadriven.RunTest(t, "testdata/kept.txt", func(t *testing.T, d *datadriven.TestData) string {
		file, err := os.Open(filepath.Join("testdata", d.CmdArgs[0].Key))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		f := New(Config{})
		if err := f.Restore(file); err != nil {
			t.Fatal(err)
		}
		return dump(f.Snapshot())
	})
}

// dump writes everything replicated.
func dump(s *state.Snapshot) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "index %d time %d next job %d\n", s.Index(), s.Time(), s.NextJobNumber())
	for q := range s.Queues() {
		fmt.Fprintf(&b, "queue %+v\n", *q)
	}
	for n := range s.Nodes() {
		fmt.Fprintf(&b, "node %+v\n", *n)
	}
	for v := range s.Servers() {
		fmt.Fprintf(&b, "server %+v\n", *v)
	}
	for r := range s.HealthRecords() {
		fmt.Fprintf(&b, "health %+v\n", *r)
	}
	for j := range s.Jobs() {
		c := *j
		c.Spec = nil
		fmt.Fprintf(&b, "job %+v\n  spec %+v\n", c, *j.Spec)
	}
	for j := range s.SweptJobs() {
		fmt.Fprintf(&b, "swept %+v\n", j)
	}
	for r := range s.Tasks() {
		fmt.Fprintf(&b, "task %+v\n", *r)
	}
	for a := range s.Allocations() {
		fmt.Fprintf(&b, "allocation %+v\n", *a)
	}
	for r := range s.Requests() {
		fmt.Fprintf(&b, "request %+v\n", *r)
	}
	return b.String()
}

// refused restores what must be refused, with that error, and proves that it left the state alone.
func refused(t *testing.T, what string, data []byte, want error) {
	t.Helper()
	f := New(Config{})
	apply(f, submit("r", array("kept", 2)))
	before, digest := f.Snapshot(), state.Digest(f.Snapshot())
	err := f.Restore(bytes.NewReader(data))
	if !errors.Is(err, want) {
		t.Errorf("%s: the error is %v, want %v", what, err, want)
	}
	if f.Snapshot() != before || state.Digest(f.Snapshot()) != digest {
		t.Errorf("%s: the state changed", what)
	}
	if r := apply(f, submit("r2", array("next", 2))); r.Err != nil || r.Answer.JobID != "next-2" {
		t.Errorf("%s: afterwards a job was answered %+v", what, r)
	}
}

func TestTornSnapshotIsRefusedWhereverItIsTorn(t *testing.T) {
	data := encoded(t, sample(t))
	for n := range data {
		refused(t, fmt.Sprintf("the first %d bytes of %d", n, len(data)), data[:n], ErrDamaged)
	}
	refused(t, "a byte too many", append(bytes.Clone(data), 0), ErrDamaged)
}

// Any change of a byte is refused, or is one that decompression does not see.
func TestChangedSnapshotIsRefusedWhereverItIsChanged(t *testing.T) {
	f := sample(t)
	data, digest := encoded(t, f), state.Digest(f.Snapshot())
	for i := range data {
		for _, bit := range []byte{1, 16, 128} {
			bad := bytes.Clone(data)
			bad[i] ^= bit
			g := New(Config{})
			err := g.Restore(bytes.NewReader(bad))
			if err == nil && state.Digest(g.Snapshot()) != digest {
				t.Errorf("byte %d changed by %d gave another state", i, bit)
			}
			if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrFormat) {
				t.Errorf("byte %d changed by %d: %v", i, bit, err)
			}
		}
	}
}

func TestNewerSnapshotIsRefused(t *testing.T) {
	data := encoded(t, sample(t))
	binary.BigEndian.PutUint32(data[len(magic):], Format+1)
	refused(t, "a newer format", data, ErrFormat)
	refused(t, "a file of another kind", []byte("PK\x03\x04 not a snapshot"), ErrDamaged)
	refused(t, "nothing", nil, ErrDamaged)
}

// A snapshot that is well formed but tells of an impossible state is refused.
func TestContradictorySnapshotIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		record any
	}{
		{"a task without a job", &pb.TaskRecord{JobId: "x-1", Attempts: 1}},
		{"an allocation without a job", &pb.Allocation{Id: "x-1.g.0.1", JobId: "x-1", Group: "0", Variant: "0", State: 2}},
		{"a set beyond its group", &pb.JobRecord{Id: "x-1", Number: 1, Spec: array("x", 2), State: 1, Groups: []*pb.GroupRecord{{Waiting: []int64{0, 1 << 50}}}}},
		{"a task in no set", &pb.JobRecord{Id: "x-1", Number: 1, Spec: array("x", 2), State: 1, Groups: []*pb.GroupRecord{{Waiting: []int64{0, 1}}}}},
		{"a job from the future", &pb.JobRecord{Id: "x-9", Number: 9, Spec: array("x", 1), State: 1, Groups: []*pb.GroupRecord{{Waiting: []int64{0, 1}}}}},
		{"a group that is no number", &pb.Allocation{Id: "x-1.g.0.1", JobId: "x-1", Group: "part", Variant: "0"}},
	} {
		refused(t, tc.name, forge(t, tc.record), ErrDamaged)
	}
}

// forge writes a snapshot with one record in it.
func forge(t *testing.T, record any) []byte {
	t.Helper()
	var f pb.SnapshotFrame
	switch r := record.(type) {
	case *pb.TaskRecord:
		f.Frame = &pb.SnapshotFrame_Task{Task: r}
	case *pb.Allocation:
		f.Frame = &pb.SnapshotFrame_Allocation{Allocation: r}
	case *pb.JobRecord:
		f.Frame = &pb.SnapshotFrame_Job{Job: r}
	}
	header := &pb.SnapshotFrame{Frame: &pb.SnapshotFrame_Header{Header: &pb.SnapshotHeader{Format: Format, NextJobNumber: 2}}}
	return stream(t, header, &f)
}

// stream writes any frames as a snapshot whose footer is right.
func stream(t testing.TB, frames ...*pb.SnapshotFrame) []byte {
	t.Helper()
	var b bytes.Buffer
	err := encodeStream(&b, func(e *encoder) {
		for _, f := range frames {
			e.frame.Frame = f.Frame
			e.write()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
