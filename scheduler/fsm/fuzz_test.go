package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/state"
)

// maxFuzzCommands bounds the work of one input.
const maxFuzzCommands = 32

// pieces cuts an input into length-delimited pieces.
func pieces(data []byte) [][]byte {
	var out [][]byte
	for len(data) > 0 && len(out) < maxFuzzCommands {
		size, n := binary.Uvarint(data)
		if n <= 0 || size > uint64(len(data)-n) {
			break
		}
		out = append(out, data[n:n+int(size)])
		data = data[n+int(size):]
	}
	return out
}

func joined(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	return b
}

// FuzzApply: whatever decodes as commands leaves a state in which every
// invariant holds, on top of a state with everything in it, and survives a
// snapshot.
func FuzzApply(f *testing.F) {
	base := encoded(f, sample(f))
	place := plan(&pb.PlacementSet{JobId: "film-1", Placements: []*pb.Placement{{Ordinal: 3, Node: "a"}}})
	ended := report("a", &pb.AllocationReport{AllocationId: "film-1.part.0.1", State: pb.AllocationState_ALLOCATION_STATE_SUCCEEDED})
	stop := &pb.Command{Op: &pb.Command_StopJob{StopJob: &pb.StopJob{JobId: "film-1"}}}
	retry := &pb.Command{Op: &pb.Command_RetryJob{RetryJob: &pb.RetryJob{JobId: "film-1"}}}
	lose := &pb.Command{Op: &pb.Command_LoseNode{LoseNode: &pb.LoseNode{Node: "b"}}}
	f.Add(joined(encode(submit("r9", array("film", 1000))), encode(place), encode(ended)))
	f.Add(joined(encode(stop), encode(lose), encode(retry), encode(register(gpuNode("b", "2", 1)))))
	f.Add(joined(encode(&pb.Command{Op: &pb.Command_Sweep{Sweep: &pb.Sweep{RequestsBeforeMs: 1 << 50, JobsEndedBeforeMs: 1 << 50, Limit: 5}}})))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := New(Config{})
		if err := m.Restore(bytes.NewReader(base)); err != nil {
			t.Fatal(err)
		}
		for _, p := range pieces(data) {
			var c pb.Command
			if proto.Unmarshal(p, &c) != nil {
				continue
			}
			if _, err := m.operation(&c); err != nil {
				continue
			}
			m.ApplyBatch([]Entry{{Index: m.Snapshot().Index() + 1, Data: p}})
			if err := state.Check(m.Snapshot()); err != nil {
				t.Fatalf("after %v: %v", &c, err)
			}
		}
		again := New(Config{})
		if err := again.Restore(bytes.NewReader(encoded(t, m))); err != nil {
			t.Fatalf("the state cannot be restored: %v", err)
		}
		if state.Digest(again.Snapshot()) != state.Digest(m.Snapshot()) {
			t.Fatalf("restored is\n%s\nnot\n%s", dump(again.Snapshot()), dump(m.Snapshot()))
		}
	})
}

// FuzzRestore: whatever bytes are restored give a sound state or one of the two errors.
func FuzzRestore(f *testing.F) {
	f.Add(encoded(f, sample(f)))
	f.Add(encoded(f, New(Config{})))
	f.Fuzz(func(t *testing.T, data []byte) { restoreAnything(t, data) })
}

// FuzzRestoreRecords does the same behind a right checksum, for records of any content.
func FuzzRestoreRecords(f *testing.F) {
	var frames [][]byte
	for _, frame := range framesOf(f, encoded(f, sample(f))) {
		data, err := proto.Marshal(frame)
		if err != nil {
			f.Fatal(err)
		}
		frames = append(frames, data)
	}
	f.Add(joined(frames...))
	f.Fuzz(func(t *testing.T, data []byte) {
		var frames []*pb.SnapshotFrame
		for _, p := range pieces(data) {
			frame := new(pb.SnapshotFrame)
			if proto.Unmarshal(p, frame) == nil {
				frames = append(frames, frame)
			}
		}
		restoreAnything(t, stream(t, frames...))
	})
}

func restoreAnything(t *testing.T, data []byte) {
	store, err := Decode(bytes.NewReader(data))
	if err != nil {
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrFormat) {
			t.Fatalf("the error is of neither kind: %v", err)
		}
		return
	}
	if err := state.Check(store.Snapshot()); err != nil {
		t.Fatalf("a restored state is unsound: %v", err)
	}
}

// framesOf reads the frames of a snapshot, the footer apart.
func framesOf(t testing.TB, data []byte) []*pb.SnapshotFrame {
	t.Helper()
	d := newDecoder(bytes.NewReader(data[len(magic)+4:]))
	var frames []*pb.SnapshotFrame
	for {
		f := new(pb.SnapshotFrame)
		if err := d.read(f); err != nil {
			t.Fatal(err)
		}
		if f.GetFooter() != nil {
			return frames
		}
		frames = append(frames, f)
	}
}
