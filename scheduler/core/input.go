package core

import (
	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/quota"
	"caravan/scheduler/model"
)

// Input is all that a decision depends on. Nothing in it is changed.
type Input struct {
	// Now is the time of the cycle. This version's rules do not depend on it;
	// it is recorded with the input so that later rules can be replayed.
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
}

// NodeView is a node and what it has left. A node whose books do not stand
// parallel to its devices, sorted by id, takes no work.
type NodeView = fleet.View

// QueueView is a queue and what the tasks of its own jobs hold.
type QueueView = quota.View

// Limits bound a cycle. A zero field stands for its default.
type Limits struct {
	// MaxPlacements is the number of tasks after which no further task or gang
	// is begun; a gang begun below it is finished. Default 10,000: about
	// 240 KiB of plan, well inside one raft entry of 512 KiB.
	MaxPlacements int64
	// MaxSteps is the number of times a node may be looked at for a class; a
	// look at the whole fleet, or a gang, that was begun is finished. Default 4,000,000:
	// some tenths of a second, or 400 different requests on 10,000 nodes.
	MaxSteps int64
	// MaxExplainSteps bounds the looks at nodes for the trace alone, in the
	// same way. Default 1,000,000; with NoExplanations the trace does not say
	// why there is no room, nor tell NoRoom from NeverFits and NoNodes.
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
