package consensus

import (
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// counters are totals since the start of the node.
type counters struct {
	entries, commands, bytes, overloads, reads, readRounds, handOvers atomic.Uint64
}

// Stats are figures for metrics. Totals count from the start of the node.
type Stats struct {
	// Entries, Commands and Bytes count what this node proposed and applied.
	Entries, Commands, Bytes uint64
	// Overloads counts the requests refused with ErrOverloaded by a full queue.
	Overloads uint64
	// Reads counts confirmed or refused reads, ReadRounds the checks they shared.
	Reads, ReadRounds uint64
	// HandOvers counts the watchdog's attempts to pass leadership on.
	HandOvers uint64
	// QueuedCommands and QueuedBytes are waiting to be put into a log entry.
	QueuedCommands, QueuedBytes int
	// Term, LastIndex, CommitIndex and AppliedIndex are raft's positions.
	Term, LastIndex, CommitIndex, AppliedIndex uint64
	// State is raft's role: Follower, Candidate, Leader or Shutdown.
	State string
	// Halted is true if the node stopped applying.
	Halted bool
}

// Stats returns the current figures; they are read one after the other, not at
// one moment.
func (n *Node) Stats() Stats {
	c := &n.counters
	return Stats{
		Entries: c.entries.Load(), Commands: c.commands.Load(), Bytes: c.bytes.Load(),
		Overloads: c.overloads.Load(), Reads: c.reads.Load(), ReadRounds: c.readRounds.Load(),
		HandOvers:      c.handOvers.Load(),
		QueuedCommands: len(n.proposer.queue), QueuedBytes: int(n.proposer.queuedBytes.Load()),
		Term: n.raft.CurrentTerm(), LastIndex: n.raft.LastIndex(), CommitIndex: n.raft.CommitIndex(),
		AppliedIndex: n.applier.lastApplied(),
		State:        raft.RaftState(n.raft.State()).String(),
		Halted:       n.haltErr.Load() != nil,
	}
}
