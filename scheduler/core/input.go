package core

import (
	"caravan/scheduler/core/demand"
	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/neighbour"
	"caravan/scheduler/core/order"
	"caravan/scheduler/core/quota"
	"caravan/scheduler/core/variant"
	"caravan/scheduler/model"
)

// Input is all that a decision depends on. Nothing in it is changed.
type Input struct {
	// Now is the time of the cycle: it says which faults of devices are recent;
	// tasks that are held back until a later one, and nodes that a job keeps away
	// from until then, are not used.
	Now model.Time
	// Seed breaks ties that no rule breaks. The present rules leave none: the
	// name of the node decides last.
	Seed   uint64
	Limits Limits
	// Nodes are sorted by name, without repetitions.
	Nodes []NodeView
	// Jobs are those that have not ended, by ascending Number.
	Jobs []*model.Job
	// Queues are sorted by name, without repetitions.
	Queues []QueueView
	// Counted are the operator's limits, with what is held of them, in any order.
	Counted []LimitView
	// Mix is the demand that nodes are valued by; the zero value is a default.
	Mix Mix
	// Occupants are the running tasks that rules about neighbours are about, see
	// Watched; others change nothing.
	Occupants []Occupant
	// PriceWeight is what an hour of work may take longer to cost less: seconds
	// for one unit of currency that is saved, at most MaxPriceWeight. At 0, the
	// default, the fastest variant that fits is taken and price decides between
	// equally fast ones: only the operator knows what time is worth, and in which
	// currency.
	PriceWeight int64
	// Resume is the Trace.Resume of the cycle before: this one begins there, so
	// that who did not get a turn for lack of steps gets one now.
	Resume Turn
}

// Mix is the make-up of the demand, as a demand.Learner learns it.
type Mix = demand.Mix

// MaxPriceWeight bounds Input.PriceWeight: a day for a thousandth of a unit.
const MaxPriceWeight = variant.MaxPriceWeight

// Occupant is the running tasks of one group on one node.
type Occupant = neighbour.Occupant

// Watched returns which groups the given jobs' rules about neighbours are about:
// where their tasks run belongs into Input.Occupants. It is nil when there are
// no such rules.
func Watched(jobs []*model.Job) func(j *model.Job, group int) bool {
	if !ruled(jobs) {
		return nil
	}
	return neighbour.Of(jobs).Concern
}

// Turn is a job's place in the order of serving.
type Turn = order.Turn

// NodeView is a node and what it has left. A node whose books do not stand
// parallel to its devices, sorted by id, takes no work.
type NodeView = fleet.View

// QueueView is a queue and what the tasks of its own jobs hold.
type QueueView = quota.View

// LimitView is one of the operator's limits and what is held of it.
type LimitView = quota.LimitView

// LimitHeld is what is held of a limit on one node, or on one device of it.
type LimitHeld = quota.Held

// Limits bound a cycle. A zero field stands for its default.
type Limits struct {
	// MaxPlacements is the number of tasks after which no further task or gang
	// is begun; a gang begun below it is finished. Default 10,000: about
	// 240 KiB of plan, well inside one raft entry of 512 KiB.
	MaxPlacements int64
	// MaxSteps bounds the work, counted as place.Placer says; what was begun is
	// finished. Default 4,000,000: some tenths of a second, or 6,000 different
	// requests on 10,000 nodes. It is counted as if nothing were remembered
	// from earlier cycles.
	MaxSteps int64
	// MaxExplainSteps bounds the looks at nodes for the trace alone, eight
	// nodes a step. Default 1,000,000: 800 different requests on 10,000 nodes;
	// with NoExplanations the trace does not say why there is no room, nor tell
	// NoRoom from NeverFits and NoNodes.
	MaxExplainSteps int64
}

// NoExplanations is for whoever wants the plan alone.
const NoExplanations = -1

// Defaults of Limits.
const (
	DefaultMaxPlacements   = 10_000
	DefaultMaxSteps        = 4_000_000
	DefaultMaxExplainSteps = 1_000_000
)

// withDefaults returns the limits with zero fields filled in.
func (l Limits) withDefaults() Limits {
	fill := func(n *int64, value int64) {
		if *n <= 0 {
			*n = value
		}
	}
	fill(&l.MaxPlacements, DefaultMaxPlacements)
	fill(&l.MaxSteps, DefaultMaxSteps)
	if l.MaxExplainSteps != NoExplanations {
		fill(&l.MaxExplainSteps, DefaultMaxExplainSteps)
	}
	return l
}
