package leader

import (
	"context"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/core/blackhole"
	"caravan/scheduler/feed"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// BlackHoleFault is the code of the health policy for a place that makes jobs fail.
const BlackHoleFault = "black-hole"

// scheduler is who gives the orders that no person has given.
const scheduler = "scheduler"

// endsPause is the time between two looks at what has ended: a busy cluster commits hundreds of
// times a second.
const endsPause = 200 * time.Millisecond

// watchEnds looks at how tasks end and tells the agents of places that make every job fail. It
// begins with what happens from now on: a black hole soon shows again.
func (l *Leader) watchEnds(ctx context.Context) {
	if l.cfg.BlackHole.Off() {
		return
	}
	sub := l.cfg.Feed.Subscribe(feed.Any)
	defer sub.Close()
	detector := blackhole.New(l.cfg.BlackHole)
	from := l.cfg.State().Index() + 1
	for {
		select {
		case <-sub.C:
		case <-ctx.Done():
			return
		}
		snap := l.cfg.State()
		for e := range snap.Events(from) {
			if e.Type != "task.succeeded" && e.Type != "task.failed" {
				continue
			}
			for _, v := range detector.Observe(endOf(snap, e)) {
				l.tellOf(ctx, v)
			}
		}
		from = snap.Index() + 1
		select {
		case <-time.After(endsPause):
		case <-ctx.Done():
			return
		}
	}
}

// endOf is an attempt's end as the detector is told it. What is no failure of the attempt's own
// (a time limit, a wish to be run again) counts as one that took long, which means nothing.
func endOf(snap *state.Snapshot, e state.Event) blackhole.End {
	end := blackhole.End{At: e.Time, Job: e.Job, Node: e.Node, Well: e.Type == "task.succeeded"}
	a, ok := snap.Allocation(e.Allocation)
	if !ok {
		end.Ran = model.Duration(e.Time)
		return end
	}
	begun := a.StartedAt
	if begun == 0 {
		begun = a.PlacedAt
	}
	end.Ran = model.Duration(a.EndedAt - begun)
	if !end.Well && (a.Exit.Reason == model.ReasonTimeLimit || requeued(snap, a)) {
		end.Ran = model.Duration(e.Time)
	}
	for _, s := range a.Devices {
		end.Devices = append(end.Devices, s.Device)
	}
	return end
}

// requeued reports whether an attempt ended with a code by which its job asks to be run again.
func requeued(snap *state.Snapshot, a *model.Allocation) bool {
	j, ok := snap.Job(a.Job)
	return ok && j.Spec.Groups[a.Group].ExitCodes.Requeues(a.Exit.Code)
}

// tellOf tells a node's agent of a fault that it cannot see. The last node that takes work is left
// alone: where nothing has succeeded elsewhere, it may as well be the jobs.
func (l *Leader) tellOf(ctx context.Context, v blackhole.Verdict) {
	n, ok := l.cfg.State().Node(v.Node)
	if !ok || n.Simulated || !others(l.cfg.State(), v.Node) {
		return // what fails on a simulated node only pretends to
	}
	l.cfg.Logger.Warn("jobs that have nothing else in common fail in one place", "node", v.Node, "device", v.Device, "reason", v.Reason)
	_, err := l.cfg.Proposer.Propose(ctx, &pb.Command{Actor: scheduler, Op: &pb.Command_OrderHealth{OrderHealth: &pb.OrderHealth{
		Node: v.Node, Order: &pb.HealthOrder{
			Device: v.Device, Verb: pb.HealthVerb_HEALTH_VERB_FAULT, Fault: BlackHoleFault, By: scheduler,
			Reason: v.Reason[:min(len(v.Reason), model.MaxHealthReason)],
		},
	}}})
	if err != nil && ctx.Err() == nil {
		l.cfg.Logger.Warn("cannot tell a node of a fault", "node", v.Node, "error", err)
	}
}

// others reports whether another real node takes work.
func others(snap *state.Snapshot, node string) bool {
	for n := range snap.Nodes() {
		if n.Name != node && !n.Simulated && n.Schedulable() {
			return true
		}
	}
	return false
}
