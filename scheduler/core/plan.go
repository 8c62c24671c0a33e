package core

import (
	"caravan/scheduler/core/explain"
	"caravan/scheduler/model"
)

// Plan is what a cycle decided. Its items stand in the order in which they
// were decided. See Workspace.Solve for how long they are valid.
type Plan struct {
	Sets []PlacementSet
	// Stops end running allocations to make room. Nothing is preempted yet, so
	// it is empty.
	Stops []Stop
}

// PlacementSet places tasks of one group with one variant. The members of a
// gang stand or fall together.
type PlacementSet struct {
	Job        string
	Group      int
	Variant    int
	Gang       bool
	Placements []Placement
}

// Placement puts one task, or a chunk of them, on one node.
type Placement struct {
	// Ordinal is the task's, or the least of the chunk's.
	Ordinal int64
	Node    string
	Devices []model.DeviceShare
	// Chunk are the tasks where there are several.
	Chunk model.Set
}

// Stop asks for the end of an allocation.
type Stop struct {
	Allocation string
	Reason     string
}

// Placed returns the number of placements.
func (p *Plan) Placed() int64 {
	var n int64
	for i := range p.Sets {
		n += int64(len(p.Sets[i].Placements))
	}
	return n
}

// Trace tells for every group with waiting tasks what the cycle made of it, in
// the order in which groups were served.
type Trace struct {
	Groups []GroupTrace
	// Steps is the work that was done, out of Limits.MaxSteps.
	Steps int64
	// Resume is the first job that the steps did not suffice for, the zero
	// value when they did: the next cycle's Input.Resume.
	Resume Turn
	// Classes is the number of different requests that were looked at.
	Classes int
}

// What a trace consists of.
type (
	GroupTrace   = explain.GroupTrace
	VariantTrace = explain.VariantTrace
	Rejection    = explain.Rejection
	Code         = explain.Code
)

// Codes of a GroupTrace.
const (
	CodePlaced     = explain.Placed
	CodeBlocked    = explain.Blocked
	CodeQueueLimit = explain.QueueLimit
	CodeMaxRunning = explain.MaxRunning
	CodeLimit      = explain.Limit
	CodeHeld       = explain.Held
	CodeNoRoom     = explain.NoRoom
	CodeNeverFits  = explain.NeverFits
	CodeBudget     = explain.Budget
	CodeNoNodes    = explain.NoNodes
)
