package consensus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Leadership is who leads, as this node sees it.
type Leadership struct {
	// Leader is true if this node is the established leader: elected, and its
	// state machine holds everything that earlier leaders acknowledged.
	Leader bool
	// Term is the term of that leadership, or raft's current term otherwise.
	Term uint64
	// LeaderID and LeaderAddr name the leader, empty while there is none.
	LeaderID, LeaderAddr string
}

// leadership follows raft's elections, establishes this node after it won one,
// and tells subscribers.
type leadership struct {
	node *Node
	// notify carries raft's gains (true) and losses (false). raft blocks on it,
	// so run takes from it until raft is down.
	notify chan bool
	// observed wakes run when raft learns of another leader.
	observed chan raft.Observation

	mu sync.Mutex
	// elected is the term raft says this node leads in, 0 if it does not.
	elected uint64
	// since is when this node was last elected.
	since time.Time
	// established is elected once the barrier of that term is applied, else 0.
	established uint64
	// changed is closed and replaced whenever one of the above changes.
	changed chan struct{}
	subs    map[chan Leadership]struct{}
	latest  Leadership
}

func newLeadership(n *Node) *leadership {
	return &leadership{
		node:     n,
		notify:   make(chan bool, 8),
		observed: make(chan raft.Observation, 1),
		changed:  make(chan struct{}),
		subs:     make(map[chan Leadership]struct{}),
	}
}

// run drains raft's notifications until raft is down.
func (l *leadership) run() {
	observer := raft.NewObserver(l.observed, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	l.node.raft.RegisterObserver(observer)
	defer l.node.raft.DeregisterObserver(observer)
	for {
		select {
		case leads := <-l.notify:
			if leads {
				l.elect(l.node.raft.CurrentTerm())
			} else {
				l.depose()
			}
		case <-l.observed:
		case <-l.node.gone:
			l.depose()
			l.publish()
			return
		}
		l.publish()
	}
}

func (l *leadership) elect(term uint64) {
	l.mu.Lock()
	l.elected, l.established, l.since = term, 0, time.Now()
	l.wakeLocked()
	l.mu.Unlock()
	if err := l.node.begin(func() { l.establish(term) }); err != nil {
		l.node.cfg.Logger.Info("elected, but not taking office", "term", term, "reason", err)
	}
}

func (l *leadership) depose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.elected, l.established = 0, 0
	l.wakeLocked()
}

func (l *leadership) wakeLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// establish puts a barrier into the log of the term and waits until it is
// applied: from then on the state holds all that was acknowledged before. It
// goes on trying while this node leads in the term.
func (l *leadership) establish(term uint64) {
	n := l.node
	for l.leads(term) && n.unable() == nil {
		err := n.await(n.raft.Barrier(enqueueTimeout))
		n.noteTransferState(err)
		if err == nil && n.raft.State() == raft.Leader && n.raft.CurrentTerm() == term {
			l.mu.Lock()
			if l.elected == term {
				l.established = term
				l.wakeLocked()
			}
			l.mu.Unlock()
			l.publish()
			return
		}
		select {
		case <-time.After(n.cfg.Timing.Election / 4):
		case <-n.closing:
			return
		}
	}
}

// leads reports whether raft last said that this node leads in the term.
func (l *leadership) leads(term uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.elected == term
}

// publish tells the subscribers if anything changed. It never blocks.
func (l *leadership) publish() {
	id, addr := l.node.Leader()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := Leadership{Leader: l.established != 0, Term: l.established, LeaderID: id, LeaderAddr: addr}
	if !now.Leader {
		now.Term = l.node.raft.CurrentTerm()
	}
	if now == l.latest {
		return
	}
	l.latest = now
	for sub := range l.subs {
		replace(sub, now)
	}
}

// replace puts v into a channel of capacity 1, over what is there. Only one
// sender may be active at a time.
func replace(ch chan Leadership, v Leadership) {
	select {
	case <-ch:
	default:
	}
	ch <- v
}

// Subscribe returns a channel that holds the latest Leadership, the present one
// to begin with, and a function that ends the subscription. Values that were
// not taken in time are replaced: a change of Term between two values with
// Leader set means that leadership was lost in between.
func (n *Node) Subscribe() (<-chan Leadership, func()) {
	l := n.leadership
	ch := make(chan Leadership, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	ch <- l.latest
	l.subs[ch] = struct{}{}
	return ch, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.subs, ch)
	}
}

// Leader returns the leader's ID and raft address as far as this node knows,
// empty if there is none. It may be out of date.
func (n *Node) Leader() (id, addr string) {
	a, i := n.raft.LeaderWithID()
	return string(i), string(a)
}

// IsLeader reports whether this node is the established leader, see Leadership.
// It may be out of date by the time it returns; Read and ConfirmLeadership are
// what to rely on.
func (n *Node) IsLeader() bool {
	n.leadership.mu.Lock()
	defer n.leadership.mu.Unlock()
	return n.leadership.established != 0
}

// Term returns raft's current term.
func (n *Node) Term() uint64 { return n.raft.CurrentTerm() }

// awaitEstablished returns the term this node is the established leader of. It
// waits only while this node is elected but not established yet.
func (n *Node) awaitEstablished(ctx context.Context) (term uint64, err error) {
	l := n.leadership
	for {
		if err := n.unable(); err != nil {
			return 0, err
		}
		l.mu.Lock()
		elected, established, changed := l.elected, l.established, l.changed
		l.mu.Unlock()
		if established != 0 {
			return established, nil
		}
		if elected == 0 {
			return 0, n.notLeader()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-n.closing:
		}
	}
}

// noteTransferState watches for a raft that refuses work because of a
// leadership transfer that no longer exists (hashicorp/raft issue 696). Only a
// restart ends that state, so the node halts.
func (n *Node) noteTransferState(err error) {
	if !errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		n.refusedSince.Store(nil)
		return
	}
	now := time.Now()
	if n.transferring.Load() || n.refusedSince.CompareAndSwap(nil, &now) {
		return
	}
	limit := max(6*n.cfg.Timing.Election, 2*transportTimeout)
	if since := n.refusedSince.Load(); since != nil && now.Sub(*since) > limit {
		n.halt(&HaltedError{
			Cause: errors.New("raft refuses writes because of a leadership transfer that ended long ago"),
			Hint:  "restart this server",
		})
	}
}
