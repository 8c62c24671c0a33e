// Package explain says why tasks wait: for every class that found no room it
// counts the nodes by the first check that each one fails, finds the node that
// came nearest and what it lacks, and names the cheapest change that would
// help. A class is examined once per cycle, whatever number of tasks wait in
// it, and the looks at nodes are bounded.
//
// core calls it at the end of a cycle; nothing here changes what was decided.
package explain

// Code says in one word how it stands with a group.
type Code string

// Codes.
const (
	// Placed: all ready tasks were placed, and none is blocked.
	Placed Code = "placed"
	// Blocked: what was ready is placed; the rest waits for other groups, or a
	// gang for all its members.
	Blocked Code = "blocked"
	// QueueLimit: a limit of the queue or one above it stands in the way.
	QueueLimit Code = "queue-limit"
	// MaxRunning: the group's own bound on running tasks is reached.
	MaxRunning Code = "max-running"
	// Limit: a limit of the operator's leaves nothing.
	Limit Code = "limit"
	// Held: what could start is paused, or waits for the time of its next attempt.
	Held Code = "held"
	// NoRoom: nodes that would fit are full now.
	NoRoom Code = "no-room"
	// NeverFits: no node would fit, even empty, undrained and in good health.
	NeverFits Code = "never-fits"
	// Budget: the cycle ended before the group was served; the next goes on.
	Budget Code = "budget"
	// NoNodes: no node of the sort wanted (simulated or real) takes work.
	NoNodes Code = "no-nodes"
)

// GroupTrace tells what a cycle made of one group that had waiting tasks.
type GroupTrace struct {
	Job string
	// Group is the position in JobSpec.Groups, Name the group's name.
	Group int
	Name  string
	Code  Code
	// Ready tasks could start when the cycle began, Blocked ones waited for
	// other groups; Placed of the ready ones were placed.
	Ready, Blocked, Placed int64
	// Held tasks are paused, or wait for the time of their next attempt.
	Held int64
	// WaitsFor names the groups, or the jobs, that are not done with what this
	// one needs.
	WaitsFor []string
	// Limit describes what binds, for QueueLimit, MaxRunning, Limit and Held.
	Limit string
	// Notes are what else keeps the group from nodes or changes what it asks for.
	Notes []string
	// Variants explains each variant, for NoRoom, NeverFits and NoNodes.
	Variants []VariantTrace
}

// VariantTrace counts the nodes by the first check that each one fails.
type VariantTrace struct {
	Variant string
	// Nodes is the number of nodes, Fits how many of them would take a task now.
	Nodes, Fits int64
	Rejections  []Rejection
	// NearestNode came nearest, NearestLacks says what it lacks.
	NearestNode  string
	NearestLacks string
	// Hint is a sentence: the cheapest change that would help.
	Hint string
}

// Rejection counts the nodes whose first failing check is this one.
type Rejection struct {
	Constraint string
	Nodes      int64
	// IfEmpty of them would fit if nothing ran on them.
	IfEmpty int64
}
