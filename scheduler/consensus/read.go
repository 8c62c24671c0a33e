package consensus

import (
	"context"
	"sync"

	"github.com/hashicorp/raft"
)

// Read runs capture on this node and returns its result if the result is
// linearizable: it holds every command acknowledged anywhere before Read was
// called. capture is called once, on the caller's goroutine, and should only
// take a snapshot of the state; nothing must be done with what it saw unless
// the error is nil.
//
// It fails with ErrNotLeader on any server but the leader, with ErrOverloaded,
// ErrShutdown or ErrHalted, and with the context's error.
func Read[T any](ctx context.Context, n *Node, capture func() T) (T, error) {
	var zero T
	term, err := n.awaitEstablished(ctx)
	if err != nil {
		return zero, err
	}
	captured := capture()
	if err := n.confirm(ctx, term); err != nil {
		return zero, err
	}
	return captured, nil
}

// ConfirmLeadership returns this node's term as leader, once a majority has
// confirmed it in answer to messages sent after the call began. What a leader
// grants on its own authority, such as a lease, needs that check. Concurrent
// calls share messages. It fails like Read.
func (n *Node) ConfirmLeadership(ctx context.Context) (term uint64, err error) {
	return Read(ctx, n, n.raft.CurrentTerm)
}

// confirmer proves leadership for many readers at once: those who arrive while
// one round is under way share the next.
type confirmer struct {
	node *Node
	kick chan struct{}
	// stopped is closed when no further round will come.
	stopped chan struct{}

	mu sync.Mutex
	// waiting is kept under MaxPendingReads.
	waiting []*confirmation
}

type confirmation struct {
	// term is the term the reader believed in when it captured the state.
	term uint64
	done chan error
}

func newConfirmer(n *Node) *confirmer {
	return &confirmer{node: n, kick: make(chan struct{}, 1), stopped: make(chan struct{})}
}

// confirm returns nil if this node was the leader of the term at some moment
// after the call.
func (n *Node) confirm(ctx context.Context, term uint64) error {
	c := n.confirmer
	ticket := &confirmation{term: term, done: make(chan error, 1)}
	c.mu.Lock()
	if limit := n.cfg.MaxPendingReads; len(c.waiting) >= limit {
		c.mu.Unlock()
		n.counters.overloads.Add(1)
		return &OverloadedError{Queue: "reads", Limit: limit}
	}
	c.waiting = append(c.waiting, ticket)
	c.mu.Unlock()
	wake(c.kick)
	select {
	case err := <-ticket.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.stopped:
		return ErrShutdown
	}
}

// run does one round after the other while readers wait.
func (c *confirmer) run() {
	defer close(c.stopped)
	for {
		select {
		case <-c.kick:
		case <-c.node.closing:
			return
		}
		c.mu.Lock()
		round := c.waiting
		c.waiting = nil
		c.mu.Unlock()
		if len(round) == 0 {
			continue
		}
		term, err := c.node.proveLeadership()
		for _, ticket := range round {
			switch {
			case err != nil:
				ticket.done <- err
			case ticket.term != term:
				// Leadership was lost and won again since the state was captured:
				// another leader may have written in between.
				ticket.done <- &NotLeaderError{}
			default:
				ticket.done <- nil
			}
		}
		c.node.counters.reads.Add(uint64(len(round)))
		c.node.counters.readRounds.Add(1)
	}
}

// proveLeadership returns the term in which a majority accepted this leader in
// answer to messages sent after the call.
//
// raft's own check is not enough. It counts any answer that arrives after the
// check began, also one to a message sent long before, so a leader that was
// paused could find a deposed leader's acks in its sockets and believe them.
// The check is repeated until the answers it brought in are fresh. At most two
// stale answers per peer can be on their way, which bounds the rounds.
func (n *Node) proveLeadership() (term uint64, err error) {
	term, mark := n.raft.CurrentTerm(), n.peers.mark()
	self := raft.ServerID(n.cfg.ServerID)
	for round := 0; ; round++ {
		if err := n.unable(); err != nil {
			return 0, err
		}
		if err := n.await(n.raft.VerifyLeader()); err != nil {
			return 0, n.notLeader()
		}
		if n.raft.CurrentTerm() != term {
			return 0, n.notLeader()
		}
		servers := n.raft.GetConfiguration().Configuration().Servers
		if majorityAcked(servers, self, n.peers.snapshot(servers), term, mark) {
			return term, nil
		}
		if round > 2*len(servers) {
			return 0, n.notLeader()
		}
	}
}
