package state

import (
	"slices"
	"strings"

	"caravan/scheduler/model"
)

// MaxNodeFailures is the number of nodes that one job remembers failures of;
// beyond it the oldest is forgotten.
const MaxNodeFailures = 256

// countNodeFailure notes that tasks of a job failed on a node. After so many as
// the group says, within the time that it says, the job keeps away from the
// node for that time; but never from more than half of the nodes, because then
// it is rather the job that fails.
func (t *Txn) countNodeFailure(j *model.Job, a *model.Allocation) {
	spec := &j.Spec.Groups[a.Group]
	if spec.AvoidAfter <= 0 {
		return
	}
	at, found := slices.BinarySearchFunc(j.NodeFailures, a.Node, func(f model.NodeFailures, node string) int { return strings.Compare(f.Node, node) })
	if !found {
		if len(j.NodeFailures) >= MaxNodeFailures {
			at = dropOldest(j, at)
		}
		j.NodeFailures = slices.Insert(j.NodeFailures, at, model.NodeFailures{Node: a.Node})
	}
	f := &j.NodeFailures[at]
	if f.Last.Add(spec.AvoidFor) <= t.now {
		f.Failures = 0 // forgiven
	}
	f.Failures++
	f.Last = t.now
	if f.Failures < spec.AvoidAfter || f.AvoidUntil > t.now || !t.canSpare(j) {
		return
	}
	f.AvoidUntil = t.now.Add(spec.AvoidFor)
	t.event(Event{
		Type: "node.avoided", Job: j.ID, Node: a.Node,
		Message: plural(int64(f.Failures), "failure") + " of the job there; it keeps away for a while",
	})
}

// dropOldest forgets the node whose last failure is longest ago, and returns
// where position at has moved to.
func dropOldest(j *model.Job, at int) int {
	oldest := 0
	for i := range j.NodeFailures {
		if j.NodeFailures[i].Last < j.NodeFailures[oldest].Last {
			oldest = i
		}
	}
	j.NodeFailures = slices.Delete(j.NodeFailures, oldest, oldest+1)
	if oldest < at {
		at--
	}
	return at
}

// canSpare reports whether a job may keep away from one more node.
func (t *Txn) canSpare(j *model.Job) bool {
	ready := 0
	for _, n := range t.tb.nodes.byName.all() {
		if n.State == model.NodeReady {
			ready++
		}
	}
	return 2*(len(j.Avoids(t.now))+1) <= ready
}
