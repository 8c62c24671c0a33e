package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// The life of a proposal: it is queued, then either claimed by the batcher or
// abandoned by its caller. Which of the two happened decides between "certainly
// not proposed" and "unknown".
const (
	proposalQueued = iota
	proposalClaimed
	proposalAbandoned
)

type proposal struct {
	command []byte
	state   atomic.Int32
	// done receives exactly one outcome if the proposal was claimed. Capacity 1.
	done chan outcome
}

type outcome struct {
	answer any
	index  uint64
	err    error
}

// Propose puts the command into the replicated log and returns the state
// machine's answer together with the index of the log entry. Commands proposed
// at the same time share log entries; commands proposed one after the other are
// applied in that order.
//
// The command must not be modified any more. On ErrNotLeader, ErrOverloaded,
// ErrTooLarge, ErrShutdown and a bare context error the command has no effect
// and never will have. On ErrAmbiguous it may have been or may still be applied.
func (n *Node) Propose(ctx context.Context, command []byte) (answer any, index uint64, err error) {
	if limit := n.cfg.MaxCommandBytes(); len(command) > limit {
		return nil, 0, fmt.Errorf("%w: %d bytes, the limit is %d: split it", ErrTooLarge, len(command), limit)
	}
	if err := n.unable(); err != nil {
		return nil, 0, err
	}
	if n.raft.State() != raft.Leader || n.transferring.Load() {
		return nil, 0, n.notLeader()
	}
	p := &proposal{command: command, done: make(chan outcome, 1)}
	if err := n.proposer.enqueue(p); err != nil {
		return nil, 0, err
	}
	select {
	case o := <-p.done:
		return o.answer, o.index, o.err
	case <-n.proposer.stopped:
		if p.state.CompareAndSwap(proposalQueued, proposalAbandoned) {
			return nil, 0, ErrShutdown
		}
	case <-ctx.Done():
		if p.state.CompareAndSwap(proposalQueued, proposalAbandoned) {
			return nil, 0, context.Cause(ctx)
		}
	}
	// It is on its way, or about to be answered: Shutdown sees to that.
	select {
	case o := <-p.done:
		return o.answer, o.index, o.err
	case <-ctx.Done():
		return nil, 0, &AmbiguousError{Cause: context.Cause(ctx)}
	}
}

// proposer batches proposals into log entries. One goroutine, run, takes them
// off the queue; a goroutine per entry in flight deals out the answers.
type proposer struct {
	node  *Node
	queue chan *proposal
	// queuedBytes is the size of what is in queue, kept under MaxQueuedBytes.
	queuedBytes atomic.Int64
	// slots holds a token per entry in flight.
	slots chan struct{}
	// carried is a claimed proposal that did not fit into the last batch.
	carried *proposal
	// stopped is closed when nothing takes from queue any more.
	stopped  chan struct{}
	inflight sync.WaitGroup
}

func newProposer(n *Node) *proposer {
	return &proposer{
		node:    n,
		queue:   make(chan *proposal, n.cfg.MaxQueuedCommands),
		slots:   make(chan struct{}, n.cfg.MaxInflightEntries),
		stopped: make(chan struct{}),
	}
}

func (p *proposer) enqueue(pr *proposal) error {
	size := int64(len(pr.command))
	if limit := p.node.cfg.MaxQueuedBytes; p.queuedBytes.Add(size) > int64(limit) {
		p.queuedBytes.Add(-size)
		p.node.counters.overloads.Add(1)
		return &OverloadedError{Queue: "command bytes", Limit: limit}
	}
	select {
	case p.queue <- pr:
		return nil
	default:
		p.queuedBytes.Add(-size)
		p.node.counters.overloads.Add(1)
		return &OverloadedError{Queue: "commands", Limit: p.node.cfg.MaxQueuedCommands}
	}
}

// run batches until the node closes, then waits for what is in flight.
func (p *proposer) run() {
	defer p.inflight.Wait()
	defer p.refuseQueued()
	for {
		select {
		case p.slots <- struct{}{}:
		case <-p.node.closing:
			return
		}
		batch, size := p.collect()
		if len(batch) == 0 {
			return
		}
		p.submit(batch, size)
	}
}

// refuseQueued answers what nobody will take off the queue any more. A proposal
// that is enqueued later finds stopped closed.
func (p *proposer) refuseQueued() {
	close(p.stopped)
	if p.carried != nil {
		p.carried.done <- outcome{err: ErrShutdown}
	}
}

// collect waits for one proposal and adds all that wait behind it, up to the
// bounds of an entry. It returns nothing when the node closes.
func (p *proposer) collect() (batch []*proposal, size int) {
	size = envelopeOverhead
	if p.carried != nil {
		batch, size = append(batch, p.carried), size+commandOverhead+len(p.carried.command)
		p.carried = nil
	}
	for len(batch) < p.node.cfg.MaxEntryCommands {
		var next *proposal
		if len(batch) == 0 {
			select {
			case next = <-p.queue:
			case <-p.node.closing:
				return nil, 0
			}
		} else {
			select {
			case next = <-p.queue:
			default:
				return batch, size
			}
		}
		p.queuedBytes.Add(-int64(len(next.command)))
		if !next.state.CompareAndSwap(proposalQueued, proposalClaimed) {
			continue
		}
		if size+commandOverhead+len(next.command) > p.node.cfg.MaxEntryBytes {
			p.carried = next
			return batch, size
		}
		batch, size = append(batch, next), size+commandOverhead+len(next.command)
	}
	return batch, size
}

// submit sends a batch on its way; the slot is given back when the answers are
// there. Two batches in flight may overtake each other, which no caller can see:
// none of their commands was answered before the other was proposed.
func (p *proposer) submit(batch []*proposal, size int) {
	commands := make([][]byte, len(batch))
	for i, pr := range batch {
		commands[i] = pr.command
	}
	envelope := appendEnvelope(make([]byte, 0, size), commands)
	p.inflight.Go(func() {
		defer func() { <-p.slots }()
		start := time.Now()
		future, err := p.commit(envelope)
		p.settle(batch, future, err)
		if c := &p.node.counters; err == nil {
			c.entries.Add(1)
			c.commands.Add(uint64(len(batch)))
			c.bytes.Add(uint64(size))
			if p.node.cfg.OnCommit != nil {
				p.node.cfg.OnCommit(time.Since(start), len(batch), size)
			}
		}
	})
}

// commit proposes one entry and waits until it is applied. raft's main loop
// picks at random among what waits for it, so the entry steps back now and then
// to look whether a hand-over is waiting as well: if it got in first, it would
// cost one more append to a disk that is perhaps being left because it is slow.
func (p *proposer) commit(envelope []byte) (raft.ApplyFuture, error) {
	n := p.node
	for deadline := time.Now().Add(enqueueTimeout); ; {
		future := n.raft.Apply(envelope, enqueueSlice)
		err := n.await(future)
		n.noteTransferState(err)
		if !errors.Is(err, raft.ErrEnqueueTimeout) || time.Now().After(deadline) {
			return future, err
		}
		if n.transferring.Load() {
			return future, raft.ErrLeadershipTransferInProgress
		}
	}
}

// settle answers every proposal of a batch.
func (p *proposer) settle(batch []*proposal, future raft.ApplyFuture, err error) {
	if err != nil {
		err = p.node.proposeError(err)
		for _, pr := range batch {
			pr.done <- outcome{err: err}
		}
		return
	}
	response := future.Response().(answers)
	for i, pr := range batch {
		o := outcome{index: future.Index()}
		if response.err != nil {
			// The entry is committed: the other servers may well apply it.
			o.err = &AmbiguousError{Cause: response.err}
		} else {
			o.answer = response.each[i]
		}
		pr.done <- o
	}
}
