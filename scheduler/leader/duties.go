package leader

import (
	"context"
	"slices"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// readyNodes returns the names of the nodes that are not known to be dead.
func readyNodes(snap *state.Snapshot) []string {
	var names []string
	for n := range snap.Nodes() {
		if n.State != model.NodeLost {
			names = append(names, n.Name)
		}
	}
	return names
}

// watchLeases declares nodes silent whose lease has run out, and lost once what ran there must
// be dead.
func (l *Leader) watchLeases(ctx context.Context) {
	every(ctx, l.cfg.LeaseCheck, func() {
		silent := l.cfg.Leases.Silent(time.Now())
		slices.Sort(silent)
		for _, name := range silent {
			l.cfg.Logger.Warn("no heartbeat within the lease", "node", name)
			_, err := l.cfg.Proposer.Propose(ctx, &pb.Command{Op: &pb.Command_SilenceNode{
				SilenceNode: &pb.SilenceNode{Node: name, Reason: "no heartbeat within the lease"},
			}})
			if err != nil {
				return // still silent at the next look
			}
			l.cfg.Leases.Silenced(name)
		}
		expired := l.cfg.Leases.Expired(time.Now())
		slices.Sort(expired)
		for _, name := range expired {
			n, ok := l.cfg.State().Node(name)
			if ok && n.State != model.NodeLost {
				l.cfg.Logger.Warn("no heartbeat within the lease and the grace after it; the node is lost", "node", name)
				_, err := l.cfg.Proposer.Propose(ctx, &pb.Command{Op: &pb.Command_LoseNode{
					LoseNode: &pb.LoseNode{Node: name, Reason: "no heartbeat within the lease and the grace after it"},
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
