package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// The header in front of every snapshot: a magic with the format's version, and
// the index of the last entry the state machine had applied.
const (
	snapshotMagic  = "caravan\x01"
	snapshotHeader = len(snapshotMagic) + 8
)

const rejoinHint = "restart; if it halts again, move the data directory away, remove this server from the cluster and let it join empty"

// applier is the raft.BatchingFSM in front of the state machine: it opens
// envelopes, applies, and stops for good at the first entry it cannot apply.
//
// All methods are called on raft's apply goroutine, except the two of a
// snapshot and lastApplied.
type applier struct {
	machine StateMachine
	// stop reports the halt to the node, once.
	stop func(*HaltedError)
	// halted is set once; from then on nothing is applied, captured or restored.
	halted  *HaltedError
	applied atomic.Uint64
}

var _ raft.BatchingFSM = (*applier)(nil)

// answers is raft's response for one log entry: one answer per command, or the
// reason why the entry was not applied.
type answers struct {
	each []any
	err  error
}

// lastApplied returns the index of the last entry the state machine holds.
func (a *applier) lastApplied() uint64 { return a.applied.Load() }

// Apply implements raft.FSM; raft prefers ApplyBatch.
func (a *applier) Apply(log *raft.Log) any {
	return a.ApplyBatch([]*raft.Log{log})[0]
}

// ApplyBatch applies the commands of all logs in one call of the state machine
// and deals the answers out again.
func (a *applier) ApplyBatch(logs []*raft.Log) []any {
	responses := make([]any, len(logs))
	var entries []Entry
	ends := make([]int, len(logs))
	var broken *HaltedError
	for i, log := range logs {
		if a.halted == nil && broken == nil && log.Type == raft.LogCommand {
			entries, broken = appendEntries(entries, log)
		}
		ends[i] = len(entries)
	}
	all := a.apply(entries)
	begin := 0
	for i, log := range logs {
		if log.Type != raft.LogCommand {
			continue
		}
		switch {
		case a.halted != nil:
			responses[i] = answers{err: a.halted}
		case broken != nil && log.Index >= broken.Index:
			responses[i] = answers{err: broken}
		default:
			responses[i] = answers{each: all[begin:ends[i]]}
			a.applied.Store(log.Index)
		}
		begin = ends[i]
	}
	if broken != nil {
		a.halt(broken)
	}
	return responses
}

// appendEntries opens the envelope of one log entry.
func appendEntries(entries []Entry, log *raft.Log) ([]Entry, *HaltedError) {
	commands, err := decodeEnvelope(log.Data)
	if err != nil {
		return entries, &HaltedError{Index: log.Index, Cause: err, Hint: rejoinHint}
	}
	for i, data := range commands {
		entries = append(entries, Entry{Index: log.Index, Term: log.Term, Position: i, Data: data})
	}
	return entries, nil
}

// apply calls the state machine and holds it to one answer per entry.
func (a *applier) apply(entries []Entry) []any {
	if len(entries) == 0 {
		return nil
	}
	all := a.machine.ApplyBatch(entries)
	if len(all) != len(entries) {
		a.halt(&HaltedError{
			Index: entries[0].Index,
			Cause: fmt.Errorf("the state machine gave %d answers to %d commands", len(all), len(entries)),
			Hint:  "this is a defect of the program: report it",
		})
	}
	return all
}

func (a *applier) halt(err *HaltedError) {
	if a.halted == nil {
		a.halted = err
		a.stop(err)
	}
}

// Snapshot implements raft.FSM. A halted node makes none: raft would store it
// under an index that was never applied.
func (a *applier) Snapshot() (raft.FSMSnapshot, error) {
	if a.halted != nil {
		return nil, a.halted
	}
	s, err := a.machine.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("capture state for a snapshot: %w", err)
	}
	return &appliedSnapshot{Snapshot: s, index: a.applied.Load()}, nil
}

// Restore implements raft.FSM.
func (a *applier) Restore(r io.ReadCloser) error {
	if a.halted != nil {
		return a.halted
	}
	header := make([]byte, snapshotHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		return fmt.Errorf("read snapshot header: %w", err)
	}
	if string(header[:len(snapshotMagic)]) != snapshotMagic {
		return errors.New("not a snapshot this program can read: run the version that wrote it or a newer one")
	}
	if err := a.machine.Restore(r); err != nil {
		return fmt.Errorf("restore state from a snapshot: %w", err)
	}
	a.applied.Store(binary.BigEndian.Uint64(header[len(snapshotMagic):]))
	return nil
}

// appliedSnapshot writes a captured state behind its header.
type appliedSnapshot struct {
	Snapshot
	index uint64
}

// Persist implements raft.FSMSnapshot.
func (s *appliedSnapshot) Persist(sink raft.SnapshotSink) error {
	header := binary.BigEndian.AppendUint64([]byte(snapshotMagic), s.index)
	_, err := sink.Write(header)
	if err == nil {
		err = s.Snapshot.Persist(sink)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write snapshot: %w", err), sink.Cancel())
	}
	return sink.Close()
}
