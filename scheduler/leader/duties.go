package leader

import (
	"context"
	"slices"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// readyNodes returns the names of the nodes that are believed to be alive.
func readyNodes(snap *state.Snapshot) []string {
	var names []string
	for n := range snap.Nodes() {
		if n.State == model.NodeReady {
			names = append(names, n.Name)
		}
	}
	return names
}

// watchLeases declares nodes lost whose lease has run out.
func (l *Leader) watchLeases(ctx context.Context) {
	every(ctx, l.cfg.LeaseCheck, func() {
		expired := l.cfg.Leases.Expired(time.Now())
		slices.Sort(expired)
		for _, name := range expired {
			n, ok := l.cfg.State().Node(name)
			if ok && n.State == model.NodeReady {
				l.cfg.Logger.Warn("no heartbeat within the lease; the node is lost", "node", name)
				_, err := l.cfg.Proposer.Propose(ctx, &pb.Command{Op: &pb.Command_LoseNode{
					LoseNode: &pb.LoseNode{Node: name, Reason: "no heartbeat within the lease"},
				}})
				if err != nil {
					return // still expired at the next look
				}
			}
			l.cfg.Leases.Forget(name)
		}
	})
}

// sweepLimit bounds the records that one sweep drops, so that the command
// applies in a few milliseconds.
const sweepLimit = 1000

// sweeps drops what is past its keeping time.
func (l *Leader) sweeps(ctx context.Context) {
	every(ctx, l.cfg.SweepEvery, func() {
		now := l.cfg.State().Time()
		a, err := l.cfg.Proposer.Propose(ctx, &pb.Command{Op: &pb.Command_Sweep{Sweep: &pb.Sweep{
			RequestsBeforeMs:        int64(now) - l.cfg.KeepRequests.Milliseconds(),
			JobsEndedBeforeMs:       int64(now) - l.cfg.KeepJobs.Milliseconds(),
			DevicesUnchangedSinceMs: int64(now) - l.cfg.KeepHealth.Milliseconds(),
			Limit:                   sweepLimit,
		}}})
		if err != nil {
			l.cfg.Logger.Debug("sweep", "error", err)
			return
		}
		if a.Count > 0 {
			l.cfg.Logger.Info("swept old records", "count", a.Count)
		}
	})
}
