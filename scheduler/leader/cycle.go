package leader

import (
	"context"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/core"
	"caravan/scheduler/feed"
	"caravan/scheduler/state"
)

// cycles decides whenever the state has changed, and at least every FullPass.
// A cycle ends when its plan has been applied here, so the next one sees it.
func (l *Leader) cycles(ctx context.Context) {
	sub := l.cfg.Feed.Subscribe(feed.Any)
	defer sub.Close()
	full := time.NewTicker(l.cfg.FullPass)
	defer full.Stop()
	for {
		select {
		case <-sub.C:
		case <-full.C:
		case <-ctx.Done():
			return
		}
		if err := l.cycle(ctx); err != nil && ctx.Err() == nil {
			l.cfg.Logger.Warn("a scheduling cycle failed; the next one starts afresh", "error", err)
		}
		select {
		case <-time.After(l.cfg.MinGap):
		case <-ctx.Done():
			return
		}
	}
}

// cycle decides once and has the plan applied.
func (l *Leader) cycle(ctx context.Context) error {
	snap := l.cfg.State()
	if snap.ActiveJobCount() == 0 {
		return nil
	}
	begin := time.Now()
	plan, _ := core.Solve(l.input(snap))
	var placed, stale int64
	for _, part := range split(&plan) {
		a, err := l.cfg.Proposer.Propose(ctx, &pb.Command{Op: &pb.Command_ApplyPlan{ApplyPlan: part}})
		if err != nil {
			return err
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
	return nil
}

// input is what the core decides on: the state as plain values.
func (l *Leader) input(snap *state.Snapshot) core.Input {
	in := core.Input{Now: snap.Time(), Seed: snap.Index(), Limits: l.cfg.Limits}
	in.Nodes = make([]core.NodeView, 0, snap.NodeCount())
	for n := range snap.Nodes() {
		free, _ := snap.Free(n.Name)
		in.Nodes = append(in.Nodes, core.NodeView{Node: n, Free: free})
	}
	for j := range snap.ActiveJobs() {
		in.Jobs = append(in.Jobs, j)
	}
	in.Queues = queueViews(snap)
	return in
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
