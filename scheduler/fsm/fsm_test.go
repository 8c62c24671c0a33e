package fsm

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// The two halves of what consensus asks of a state machine; the server's
// adapter joins them.
var (
	_ interface {
		ApplyBatch([]Entry) []any
		Restore(io.Reader) error
	} = (*FSM)(nil)
	_ interface {
		Persist(io.Writer) error
		Release()
	} = (*Image)(nil)
)

// Two servers that apply the same commands agree, however the commands are
// grouped into batches, and though one was restored from a snapshot on the way.
func TestReplicasAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, other, late := New(Config{}), New(Config{}), New(Config{})
		var batch []Entry
		var answers, others []any
		steps := rapid.IntRange(1, 60).Draw(t, "steps")
		restoreAt := rapid.IntRange(0, steps-1).Draw(t, "restore at")
		for i := range steps {
			e := Entry{Index: uint64(i/2 + 1), Position: i % 2, Data: encode(walker{one}.command(t))}
			if i == restoreAt {
				restore(t, late, one)
			}
			answers = append(answers, one.ApplyBatch([]Entry{e})...)
			if i >= restoreAt {
				late.ApplyBatch([]Entry{e})
			}
			batch = append(batch, e)
			if rapid.Bool().Draw(t, "flush") || i == steps-1 {
				others = append(others, other.ApplyBatch(batch)...)
				batch = nil
			}
			if err := state.Check(one.Snapshot()); err != nil {
				t.Fatalf("after command %d: %v", i, err)
			}
		}
		want := state.Digest(one.Snapshot())
		if state.Digest(other.Snapshot()) != want {
			t.Fatalf("the same commands in other batches gave another state")
		}
		if state.Digest(late.Snapshot()) != want {
			t.Fatalf("a replica restored before command %d has another state", restoreAt)
		}
		sameAnswers(t, answers, others)
	})
}

func sameAnswers(t *rapid.T, a, b []any) {
	for i := range a {
		x, y := a[i].(Result), b[i].(Result)
		if x.Answer.JobID != y.Answer.JobID || x.Answer.Count != y.Answer.Count || (x.Err == nil) != (y.Err == nil) {
			t.Fatalf("command %d was answered %+v and %+v", i, x, y)
		}
	}
}

// failer is a test, of package testing or of rapid.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// restore makes f what the other is, through a snapshot.
func restore(t failer, f, from *FSM) {
	t.Helper()
	var b bytes.Buffer
	image := from.Capture()
	if err := image.Persist(&b); err != nil {
		t.Fatalf("persist: %v", err)
	}
	image.Release()
	if err := f.Restore(&b); err != nil {
		t.Fatalf("restore: %v", err)
	}
}

// An image is the state of the moment when it was captured, whatever is
// applied before it is persisted.
func TestImageIsOfItsMoment(t *testing.T) {
	f := sample(t)
	want := state.Digest(f.Snapshot())
	image := f.Capture()
	apply(f, submit("later", array("later", 5)))
	var b bytes.Buffer
	if err := image.Persist(&b); err != nil {
		t.Fatal(err)
	}
	g := New(Config{})
	if err := g.Restore(&b); err != nil {
		t.Fatal(err)
	}
	if state.Digest(g.Snapshot()) != want {
		t.Error("the image holds what was applied after it was captured")
	}
	if state.Digest(f.Snapshot()) == want {
		t.Error("the digest does not see a new job")
	}
}

func TestCommandThatCannotBeCarriedOutStopsTheServer(t *testing.T) {
	unknownOp := protowire.AppendTag(nil, 99, protowire.BytesType)
	unknownOp = protowire.AppendBytes(unknownOp, []byte("x"))
	unknownField := append(encode(&pb.Command{Op: &pb.Command_StopJob{StopJob: &pb.StopJob{JobId: "x-1"}}}), unknownOp...)
	for _, tc := range []struct {
		name string
		data []byte
		says string
	}{
		{"garbage", []byte{0xff, 0xff, 0xff}, "cannot be decoded"},
		{"an operation of a newer version", unknownOp, "names no operation that this version knows"},
		{"no operation", encode(&pb.Command{TimeMs: 7}), "names no operation that this version knows"},
		{"a field of a newer version", unknownField, "has fields that this version does not know"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.Contains(s, tc.says) || !strings.Contains(s, "index 7") {
					t.Errorf("the panic says %q, want %q and the index", s, tc.says)
				}
			}()
			New(Config{}).ApplyBatch([]Entry{{Index: 7, Data: tc.data}})
			t.Error("the command was passed over")
		})
	}
}

// Every operation of the contract has an applier, and survives being empty.
func TestEveryOperationHasAnApplier(t *testing.T) {
	f := New(Config{})
	ops := (&pb.Command{}).ProtoReflect().Descriptor().Oneofs().ByName("op").Fields()
	if ops.Len() != len(f.appliers) {
		t.Errorf("there are %d operations and %d appliers", ops.Len(), len(f.appliers))
	}
	for i := range ops.Len() {
		c := (&pb.Command{}).ProtoReflect()
		c.Set(ops.Get(i), c.NewField(ops.Get(i)))
		r := apply(f, c.Interface().(*pb.Command))
		if err := state.Check(f.Snapshot()); err != nil {
			t.Errorf("%s: %v", ops.Get(i).Name(), err)
		}
		t.Logf("%s: %+v", ops.Get(i).Name(), r)
	}
}

// The feed tells what a batch changed, and the snapshot is there by then.
func TestOnCommitTellsWhatChanged(t *testing.T) {
	var commits []state.Commit
	var f *FSM
	f = New(Config{OnCommit: func(c state.Commit) {
		if f.Snapshot() != c.Snapshot {
			t.Error("the feed ran before the snapshot was there")
		}
		commits = append(commits, c)
	}})
	apply(f, register(gpuNode("a", "1", 2)))
	apply(f, submit("r1", array("x", 3)))
	set := &pb.PlacementSet{JobId: "x-1", Placements: []*pb.Placement{{Ordinal: 0, Node: "a"}}}
	apply(f, plan(set))
	last := commits[len(commits)-1]
	if len(commits) != 3 || last.Index != 3 || len(last.Jobs) != 1 || last.Jobs[0] != "x-1" ||
		len(last.Nodes) != 1 || last.Nodes[0] != "a" || len(last.Allocations) != 1 ||
		last.Allocations[0] != (state.AllocationKey{Node: "a", ID: "x-1.part.0.1"}) || last.Events[0].Type != "task.placed" {
		t.Errorf("the feed says %+v", last)
	}
	restore(t, f, New(Config{}))
	if last = commits[len(commits)-1]; !last.Restored || f.Snapshot().JobCount() != 0 {
		t.Errorf("after a restore the feed says %+v", last)
	}
}

// A request that is repeated gives the first answer, also after a restore.
func TestRepeatedRequestAfterRestore(t *testing.T) {
	f := New(Config{})
	first := apply(f, submit("r1", array("x", 3)))
	refused := apply(f, submit("r2", &pb.JobSpec{Name: "x", Queue: "nosuch", Groups: array("x", 1).Groups}))
	g := New(Config{})
	restore(t, g, f)
	if again := apply(g, submit("r1", array("x", 3))); again.Answer.JobID != first.Answer.JobID || again.Err != nil {
		t.Errorf("the answer was %+v, now %+v", first, again)
	}
	again := apply(g, submit("r2", array("x", 3)))
	if again.Err == nil || again.Err.Kind != model.KindNotFound || again.Err.Error() != refused.Err.Error() {
		t.Errorf("the answer was %v, now %v", refused.Err, again.Err)
	}
	if n := g.Snapshot().JobCount(); n != 1 {
		t.Errorf("there are %d jobs, want 1", n)
	}
}
