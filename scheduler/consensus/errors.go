package consensus

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// The closed set of error kinds. Every error of this package that is not a
// configuration or disk error of New matches exactly one of them, or the
// context's error, under errors.Is.
var (
	// ErrNotLeader: this server does not lead, the command was not proposed. See
	// NotLeaderError for who does.
	ErrNotLeader = errors.New("this server is not the leader")
	// ErrOverloaded: a bounded queue is full, the command was not proposed. Back
	// off, then try again.
	ErrOverloaded = errors.New("too much work is waiting")
	// ErrAmbiguous: the command was proposed and its fate is unknown. Propose it
	// again with the same idempotency key.
	ErrAmbiguous = errors.New("the outcome is unknown")
	// ErrTooLarge: the command can never fit into a log entry.
	ErrTooLarge = errors.New("the command is too large for one log entry")
	// ErrShutdown: the node is shutting down, the request was not carried out.
	ErrShutdown = errors.New("this server is shutting down")
	// ErrHalted: the node stopped applying because going on could make its state
	// differ from the other servers'.
	ErrHalted = errors.New("this server has halted")
	// ErrMembership: a change of the set of servers was refused.
	ErrMembership = errors.New("the change of servers was refused")
	// ErrTransfer: leadership was not handed over; this server goes on leading
	// or an ordinary election follows.
	ErrTransfer = errors.New("leadership was not handed over")
)

// NotLeaderError says where the leader is, as far as this server knows. It
// matches ErrNotLeader.
type NotLeaderError struct {
	// LeaderID and LeaderAddr name the leader and its raft address. Both are
	// empty while an election or a hand-over is under way: wait and ask again.
	LeaderID, LeaderAddr string
}

func (e *NotLeaderError) Error() string {
	if e.LeaderID == "" {
		return ErrNotLeader.Error() + " and knows of none yet: retry in a moment"
	}
	return fmt.Sprintf("%s: retry on %s at %s", ErrNotLeader, e.LeaderID, e.LeaderAddr)
}

// Is makes errors.Is(err, ErrNotLeader) true.
func (e *NotLeaderError) Is(target error) bool { return target == ErrNotLeader }

// OverloadedError says which bound was met. It matches ErrOverloaded.
type OverloadedError struct {
	// Queue names what is full: "commands", "command bytes", "reads" or "raft".
	Queue string
	// Limit is the bound, in commands, bytes or reads; 0 if raft itself did not
	// take the entry in time.
	Limit int
}

func (e *OverloadedError) Error() string {
	if e.Limit == 0 {
		return fmt.Sprintf("%s: %s accepted nothing for a while; back off and retry", ErrOverloaded, e.Queue)
	}
	return fmt.Sprintf("%s: queue %q is at its limit of %d; back off and retry", ErrOverloaded, e.Queue, e.Limit)
}

// Is makes errors.Is(err, ErrOverloaded) true.
func (e *OverloadedError) Is(target error) bool { return target == ErrOverloaded }

// AmbiguousError says why the outcome is unknown. It matches ErrAmbiguous, and
// its cause can be reached with errors.Is and errors.As.
type AmbiguousError struct {
	// Cause is never nil: lost leadership, a failed write to the log, the
	// caller's context, or a shutdown.
	Cause error
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%s (%v): retry with the same idempotency key", ErrAmbiguous, e.Cause)
}

// Is makes errors.Is(err, ErrAmbiguous) true.
func (e *AmbiguousError) Is(target error) bool { return target == ErrAmbiguous }

// Unwrap returns the cause.
func (e *AmbiguousError) Unwrap() error { return e.Cause }

// HaltedError says what stopped the node. It matches ErrHalted.
type HaltedError struct {
	// Index is the log index that could not be applied, 0 if none is to blame.
	Index uint64
	// Cause is never nil.
	Cause error
	// Hint tells the operator what to do.
	Hint string
}

func (e *HaltedError) Error() string {
	if e.Index == 0 {
		return fmt.Sprintf("%s: %v: %s", ErrHalted, e.Cause, e.Hint)
	}
	return fmt.Sprintf("%s at log index %d: %v: %s", ErrHalted, e.Index, e.Cause, e.Hint)
}

// Is makes errors.Is(err, ErrHalted) true.
func (e *HaltedError) Is(target error) bool { return target == ErrHalted }

// Unwrap returns the cause.
func (e *HaltedError) Unwrap() error { return e.Cause }

// proposeError turns an error of a raft future into one of the closed set. Only
// errors that raft returns before it appends to the log are certain; any other
// one, a failed local append included, may still end in a commit.
func (n *Node) proposeError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return n.notLeader()
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return &OverloadedError{Queue: "raft"}
	case errors.Is(err, raft.ErrRaftShutdown):
		return &AmbiguousError{Cause: ErrShutdown}
	default:
		return &AmbiguousError{Cause: err}
	}
}

// notLeader builds the redirect from what raft knows now. A node that raft
// calls the leader but that cannot act as one names nobody.
func (n *Node) notLeader() error {
	id, addr := n.Leader()
	if id == n.cfg.ServerID {
		return &NotLeaderError{}
	}
	return &NotLeaderError{LeaderID: id, LeaderAddr: addr}
}
