package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// promotionLag is how many entries a server may be behind the leader's commit
// index and still count as caught up: what a busy cluster writes between two
// heartbeats.
const promotionLag = 256

// Servers returns the members of the cluster, sorted by ID, as this node knows
// them; a change may not be committed yet.
func (n *Node) Servers() []Server {
	var out []Server
	for _, s := range n.raft.GetConfiguration().Configuration().Servers {
		out = append(out, Server{ID: string(s.ID), Addr: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	slices.SortFunc(out, func(a, b Server) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// AddNonvoter makes a server a member without a vote, or changes the address of
// a member. This is how servers join: the leader promotes them once they are
// caught up, unless Config.ManualPromotion is set.
//
// Like the other changes of membership it fails with ErrNotLeader on a
// follower and with ErrMembership if raft refuses.
func (n *Node) AddNonvoter(ctx context.Context, id, addr string) error {
	if id == "" || addr == "" {
		return fmt.Errorf("%w: a server needs an ID and an address, got %q and %q", ErrMembership, id, addr)
	}
	for _, s := range n.Servers() {
		if s.ID != id && s.Addr == addr {
			return fmt.Errorf("%w: server %s already has the address %s: remove it first", ErrMembership, s.ID, addr)
		}
	}
	return n.change(ctx, func() raft.Future {
		return n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(addr), 0, enqueueTimeout)
	})
}

// Promote gives a member a vote, caught up or not.
func (n *Node) Promote(ctx context.Context, id string) error {
	s, err := n.member(id)
	if err != nil {
		return err
	}
	return n.change(ctx, func() raft.Future {
		return n.raft.AddVoter(raft.ServerID(s.ID), raft.ServerAddress(s.Addr), 0, enqueueTimeout)
	})
}

// RemoveServer takes a server out of the cluster; it is a success if it was not
// in it. The last voter cannot be removed. A leader that removes itself steps
// down when the change is committed.
func (n *Node) RemoveServer(ctx context.Context, id string) error {
	return n.change(ctx, func() raft.Future {
		return n.raft.RemoveServer(raft.ServerID(id), 0, enqueueTimeout)
	})
}

func (n *Node) member(id string) (Server, error) {
	for _, s := range n.Servers() {
		if s.ID == id {
			return s, nil
		}
	}
	return Server{}, fmt.Errorf("%w: there is no server %q: list the servers for their IDs", ErrMembership, id)
}

// change runs one configuration change. raft blocks until its main loop takes
// it, so that is not done on the caller's goroutine.
func (n *Node) change(ctx context.Context, start func() raft.Future) error {
	done := make(chan error, 1)
	if err := n.begin(func() { done <- n.await(start()) }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return n.changeError(err)
	case <-ctx.Done():
		return &AmbiguousError{Cause: context.Cause(ctx)}
	}
}

func (n *Node) changeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrEnqueueTimeout), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return n.proposeError(err)
	case errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrRaftShutdown):
		return &AmbiguousError{Cause: err}
	default:
		return fmt.Errorf("%w: %w", ErrMembership, err)
	}
}

// TransferLeadership hands leadership to the server, or to the voter that
// answered quickest if id is empty. It returns nil once this node does not lead
// any more, ErrNotLeader if it did not, and ErrTransfer if it still does.
func (n *Node) TransferLeadership(ctx context.Context, id string) error {
	if n.raft.State() != raft.Leader {
		return n.notLeader()
	}
	target, err := n.transferTarget(id)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	if err := n.begin(func() { done <- n.transfer(target) }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (n *Node) transferTarget(id string) (raft.Server, error) {
	servers := n.raft.GetConfiguration().Configuration().Servers
	if id == "" {
		target, ok := healthiest(time.Now(), servers, raft.ServerID(n.cfg.ServerID), n.peers.snapshot(servers), n.cfg.Timing.Heartbeat, n.cfg.Timing.Heartbeat)
		if !ok {
			return target, fmt.Errorf("%w: no other voter has answered of late: check the other servers", ErrTransfer)
		}
		return target, nil
	}
	for _, s := range servers {
		if string(s.ID) == id && s.Suffrage == raft.Voter && id != n.cfg.ServerID {
			return s, nil
		}
	}
	return raft.Server{}, fmt.Errorf("%w: %q is not another server with a vote", ErrTransfer, id)
}

// transfer does one hand-over at a time.
func (n *Node) transfer(target raft.Server) error {
	if !n.transferring.CompareAndSwap(false, true) {
		return fmt.Errorf("%w: another hand-over is under way: wait for it", ErrTransfer)
	}
	err := n.await(n.raft.LeadershipTransferToServer(target.ID, target.Address))
	n.transferring.Store(false)
	if err == nil {
		return nil
	}
	// Find out whether raft takes writes again; noteTransferState judges.
	l := n.leadership
	l.mu.Lock()
	elected := l.elected
	l.mu.Unlock()
	if elected != 0 {
		err = errors.Join(err, n.begin(func() { l.establish(elected) }))
	}
	return fmt.Errorf("%w to %s: %w", ErrTransfer, target.ID, err)
}

// promoter remembers since when each server without a vote has been caught up.
// It is used by the leader's duties goroutine alone.
type promoter struct {
	caughtUpSince map[raft.ServerID]time.Time
}

// next returns a server that deserves a vote now: a member without one that for
// the time after answered within fresh and was close to the commit index
// whenever it was looked at. It is a pure function of its arguments and of the
// earlier calls.
func (p *promoter) next(now time.Time, servers []raft.Server, acks map[raft.ServerID]ack, commit uint64, fresh, after time.Duration) (raft.Server, bool) {
	seen := make(map[raft.ServerID]time.Time)
	var ready raft.Server
	found := false
	for _, s := range servers {
		a, answered := acks[s.ID]
		if s.Suffrage != raft.Nonvoter || !answered || now.Sub(a.at) > fresh || a.lastLog+promotionLag < commit {
			continue
		}
		since, known := p.caughtUpSince[s.ID]
		if !known {
			since = now
		}
		seen[s.ID] = since
		if !found && now.Sub(since) >= after {
			ready, found = s, true
		}
	}
	p.caughtUpSince = seen
	return ready, found
}

// runDuties is the leader's housekeeping: promotions and the watchdog.
func (n *Node) runDuties() {
	ticker := time.NewTicker(dutiesInterval)
	defer ticker.Stop()
	var p promoter
	for {
		select {
		case <-ticker.C:
		case <-n.closing:
			return
		}
		n.leadership.mu.Lock()
		established, since := n.leadership.established != 0, n.leadership.since
		n.leadership.mu.Unlock()
		if !established {
			p = promoter{}
			continue
		}
		now := time.Now()
		servers := n.raft.GetConfiguration().Configuration().Servers
		acks := n.peers.snapshot(servers)
		n.handOverIfSlow(now, servers, acks, since)
		if n.cfg.ManualPromotion {
			continue
		}
		if s, ok := p.next(now, servers, acks, n.raft.CommitIndex(), n.cfg.Timing.Heartbeat, n.cfg.PromoteAfter); ok {
			n.promote(s)
		}
	}
}

func (n *Node) promote(s raft.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), enqueueTimeout)
	defer cancel()
	if err := n.Promote(ctx, string(s.ID)); err != nil {
		n.cfg.Logger.Warn("could not give a caught-up server a vote, will try again", "server", s.ID, "error", err)
		return
	}
	n.cfg.Logger.Info("gave a caught-up server a vote", "server", s.ID)
}
