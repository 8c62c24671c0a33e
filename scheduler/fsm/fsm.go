package fsm

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// Config is what New needs.
type Config struct {
	// OnCommit, if set, is called after each batch, on the goroutine that applies
	// the log, with what the batch changed. It must not block, because every
	// write waits for it. By then Snapshot returns the new state.
	OnCommit func(state.Commit)
}

// Entry is one committed command. Its fields are those of the log that carries
// it, so that values convert from one type to the other.
type Entry struct {
	// Index is the raft index; commands of one log entry share it.
	Index uint64
	// Term is the raft term. Nothing may depend on it: it is for messages.
	Term uint64
	// Position counts the commands within one log entry.
	Position int
	// Data is an encoded caravanv1.Command.
	Data []byte
}

// Result is the answer to one command; ApplyBatch returns values of this type.
type Result struct {
	Answer state.Answer
	// Err is nil when the command was carried out. A command that is refused
	// changes nothing but the memory of its request.
	Err *model.Error
}

// FSM is the replicated state machine.
type FSM struct {
	store     *state.Store
	onCommit  func(state.Commit)
	appliers  map[protoreflect.FieldNumber]applier
	published atomic.Pointer[state.Snapshot]
}

// New returns a state machine with an empty state.
func New(c Config) *FSM {
	f := &FSM{store: state.NewStore(), onCommit: c.OnCommit, appliers: appliers()}
	f.published.Store(f.store.Snapshot())
	return f
}

// Snapshot returns the newest state. It is safe for concurrent use, and so is
// what it returns.
func (f *FSM) Snapshot() *state.Snapshot { return f.published.Load() }

// ApplyBatch applies commands in order as one transaction and returns one
// Result for each. It panics on a command it cannot carry out as every other
// server does.
func (f *FSM) ApplyBatch(entries []Entry) []any {
	results := make([]any, len(entries))
	txn := f.store.Begin()
	for i := range entries {
		results[i] = f.apply(txn, &entries[i])
	}
	commit := txn.Commit()
	f.published.Store(commit.Snapshot)
	if f.onCommit != nil {
		f.onCommit(commit)
	}
	return results
}

func (f *FSM) apply(txn *state.Txn, e *Entry) Result {
	var c pb.Command
	must(e, proto.Unmarshal(e.Data, &c), "cannot be decoded", "the log is damaged: restore this server from another one")
	op, err := f.operation(&c)
	must(e, err, "cannot be carried out", "run the version that wrote it or a newer one")
	txn.Enter(e.Index, model.Time(c.TimeMs))
	run := func() (state.Answer, *model.Error) { return op.apply(txn, &c) }
	var r Result
	if op.remembered {
		r.Answer, r.Err = txn.Once(c.RequestId, run)
	} else {
		r.Answer, r.Err = run()
	}
	return r
}

// operation returns the applier of the command's operation.
func (f *FSM) operation(c *pb.Command) (applier, error) {
	m := c.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("op"))
	if field == nil {
		return applier{}, errors.New("it names no operation that this version knows")
	}
	op, ok := f.appliers[field.Number()]
	if !ok {
		return applier{}, fmt.Errorf("it names the operation %s, for which there is no applier", field.Name())
	}
	if len(m.GetUnknown()) > 0 {
		return applier{}, errors.New("it has fields that this version does not know")
	}
	return op, nil
}

// Capture returns the state as it is now, to be persisted later, in no time.
func (f *FSM) Capture() *Image { return &Image{snapshot: f.store.Snapshot()} }

// Restore replaces the whole state by that of a snapshot. On error the state
// is what it was. Events of the time before are gone.
func (f *FSM) Restore(r io.Reader) error {
	store, err := Decode(r)
	if err != nil {
		return fmt.Errorf("restore a snapshot: %w", err)
	}
	f.store = store
	f.published.Store(store.Snapshot())
	if f.onCommit != nil {
		s := store.Snapshot()
		f.onCommit(state.Commit{Index: s.Index(), Time: s.Time(), Snapshot: s, Restored: true})
	}
	return nil
}

// Image is a captured state on its way to a disk or to another server.
type Image struct{ snapshot *state.Snapshot }

// Persist writes the image in the snapshot format. It may run beside
// ApplyBatch, and more than once.
func (i *Image) Persist(w io.Writer) error { return Encode(w, i.snapshot) }

// Release lets go of the state, so that its memory can be reused.
func (i *Image) Release() { i.snapshot = nil }
