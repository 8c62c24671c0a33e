package consensus

import "io"

// Entry is one committed command on its way into the state machine.
type Entry struct {
	// Index is the raft index of the log entry that carried the command. Several
	// commands may share one index.
	Index uint64
	// Term is the raft term in which the entry was proposed.
	Term uint64
	// Position counts the commands within one log entry from 0. (Index,
	// Position) is unique and rises from one Entry to the next.
	Position int
	// Data is what the proposer handed to Propose. It must not be modified, but
	// it may be kept.
	Data []byte
}

// StateMachine is what consensus replicates. Its result must depend on nothing
// but the commands and their order: not on time, not on randomness, and not on
// how they are grouped into calls, which differs between servers.
//
// ApplyBatch, Snapshot and Restore are never called at the same time.
type StateMachine interface {
	// ApplyBatch applies committed commands in order and returns exactly one
	// answer for each. A command that is refused still has an answer. It is
	// called on raft's apply goroutine: anything slow here delays every write.
	ApplyBatch(entries []Entry) []any
	// Snapshot captures the state as it is now. It must be quick, because
	// commands wait for it; the writing is done in Persist, while further
	// commands are applied.
	Snapshot() (Snapshot, error)
	// Restore replaces the whole state, whatever was there before, also after an
	// earlier Restore that failed half way. An error on start means that this
	// server refuses to start from that snapshot.
	Restore(r io.Reader) error
}

// Snapshot is a captured state. Both methods are called on another goroutine
// than the state machine's, at the same time as ApplyBatch.
type Snapshot interface {
	// Persist writes the captured state. It may never be called.
	Persist(w io.Writer) error
	// Release is called exactly once, when the snapshot is not needed any more.
	Release()
}
