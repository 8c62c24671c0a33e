package leader

import (
	"context"
	"slices"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/core"
	"caravan/scheduler/feed"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// cycles decides whenever the state has changed, and at least every FullPass.
// A cycle ends when its plan has been applied here, so the next one sees it.
func (l *Leader) cycles(ctx context.Context) {
	sub := l.cfg.Feed.Subscribe(feed.Any)
	defer sub.Close()
	full := time.NewTicker(l.cfg.FullPass)
	var d decider
	defer full.Stop()
	for {
		select {
		case <-sub.C:
		case <-full.C:
		case <-ctx.Done():
			return
		}
		begin := time.Now()
		placed, err := l.cycle(ctx, &d)
		if err != nil && ctx.Err() == nil {
			l.cfg.Logger.Warn("a scheduling cycle failed; the next one starts afresh", "error", err)
		}
		gap := l.cfg.MinGap
		if placed == 0 {
			gap = max(gap, idleShare*time.Since(begin))
		}
		select {
		case <-time.After(gap):
		case <-ctx.Done():
			return
		}
	}
}

// idleShare is how much longer the pause after a fruitless cycle is than the
// cycle was. When the fleet is full and thousands of tasks report, every report
// might make room, and to look each time would take a core of its own.
const idleShare = 3

// waits reports whether any task waits.
func waits(snap *state.Snapshot) bool {
	for j := range snap.ActiveJobs() {
		for g := range j.Groups {
			if !j.Groups[g].Waiting.Empty() {
				return true
			}
		}
	}
	return false
}

// cycle decides once, has the plan applied, and returns how many placements
// were taken.
func (l *Leader) cycle(ctx context.Context, d *decider) (placed int64, err error) {
	snap := l.cfg.State()
	if !waits(snap) {
		return 0, nil
	}
	begin := time.Now()
	plan := l.decide(d, l.input(snap))
	var stale int64
	for _, part := range split(&plan) {
		a, err := l.cfg.Proposer.Propose(ctx, &pb.Command{Op: &pb.Command_ApplyPlan{ApplyPlan: part}})
		if err != nil {
			return placed, err
		}
		placed += a.Count
		stale += int64(len(a.Dropped))
		for _, d := range a.Dropped {
			l.cfg.Logger.Debug("a placement was stale", "job", d.Job, "ordinal", d.Ordinal, "node", d.Node, "reason", d.Reason)
		}
	}
	if l.cfg.OnCycle != nil {
		l.cfg.OnCycle(time.Since(begin), placed, stale)
	}
	return placed, nil
}

// input is what the core decides on: the state as plain values. More are jobs
// that are asked about and not in the state.
func (l *Leader) input(snap *state.Snapshot, more ...*model.Job) core.Input {
	// The state's clock stands still while nothing happens; time goes on.
	now := max(snap.Time(), model.Time(time.Now().UnixMilli()))
	in := core.Input{Now: now, Seed: snap.Index(), Limits: l.cfg.Limits, PriceWeight: l.cfg.PriceWeight}
	for j := range snap.ActiveJobs() {
		in.Jobs = append(in.Jobs, j)
	}
	asking := slices.Concat(in.Jobs, more)
	nodes, free := snap.Books()
	nodes = l.cfg.Evaluate(nodes, asking)
	in.Nodes = make([]core.NodeView, len(nodes))
	for i, n := range nodes {
		in.Nodes[i] = core.NodeView{Node: n, Free: free[i]}
	}
	in.Occupants = occupants(snap, in.Jobs, asking)
	in.Queues = queueViews(snap)
	in.Counted = limitViews(snap)
	if mix := l.mix.Load(); mix != nil {
		in.Mix = *mix
	}
	return in
}

// occupants lists where the tasks of jobs run that the rules of those who ask
// are about.
func occupants(snap *state.Snapshot, jobs, asking []*model.Job) []core.Occupant {
	watched := core.Watched(asking)
	if watched == nil {
		return nil
	}
	var out []core.Occupant
	for _, j := range jobs {
		for g := range j.Groups {
			if j.Groups[g].Active.Empty() || !watched(j, g) {
				continue
			}
			for a := range snap.AllocationsOf(j.ID) {
				if a.Group == g && !a.State.Ended() {
					out = append(out, core.Occupant{Job: j, Group: g, Node: a.Node, Tasks: 1})
				}
			}
		}
	}
	return out
}

// limitViews returns the operator's limits with what is held of them.
func limitViews(snap *state.Snapshot) []core.LimitView {
	var views []core.LimitView
	for m := range snap.Limits() {
		v := core.LimitView{Limit: m, Used: snap.LimitUsed(m.Name)}
		if m.Scope != model.PerCluster {
			for u := range snap.LimitUses(m.Name, m.Scope) {
				v.On = append(v.On, core.LimitHeld(u))
			}
		}
		views = append(views, v)
	}
	return views
}

// queueViews turns the state's usage, which covers a queue and all below it,
// into what each queue's own jobs hold.
func queueViews(snap *state.Snapshot) []core.QueueView {
	var views []core.QueueView
	at := make(map[string]int)
	for q := range snap.Queues() {
		u := snap.QueueUsage(q.Name)
		at[q.Name] = len(views)
		views = append(views, core.QueueView{Queue: q, UsedCPUMilli: u.CPUMilli, UsedMemoryMiB: u.MemoryMiB, UsedDevicesMilli: u.DevicesMilli})
	}
	for q := range snap.Queues() {
		if i, ok := at[q.Parent]; ok && q.Parent != "" {
			u := snap.QueueUsage(q.Name)
			views[i].UsedCPUMilli -= u.CPUMilli
			views[i].UsedMemoryMiB -= u.MemoryMiB
			views[i].UsedDevicesMilli -= u.DevicesMilli
		}
	}
	return views
}
