package runner

import (
	"caravan/agent/driver"
	"caravan/scheduler/model"
)

// Phase is where in its life an allocation is.
type Phase uint8

// Phases, in order. Waiting is the zero value: nothing was begun.
const (
	// Waiting for the servers' word, the lease and a slot.
	Waiting Phase = iota
	// Launching: a driver is starting it.
	Launching
	// Running, or about to; the driver has it.
	Running
	// Held: the command succeeded, and publishing waits for the lease or the servers' word.
	Held
	// Publishing its outputs.
	Publishing
	// Ended: the result is fixed and not yet acknowledged.
	Ended
	// Settled: the servers know the result. Nothing changes any more.
	Settled
)

var phaseWords = [...]string{"waiting", "launching", "running", "held", "publishing", "ended", "settled"}

// String returns the phase's word.
func (p Phase) String() string {
	if int(p) < len(phaseWords) {
		return phaseWords[p]
	}
	return "unknown"
}

// Word is what the servers have said of an allocation since the node was registered.
type Word uint8

// Words of the servers.
const (
	// Unheard: they have not said anything yet.
	Unheard Word = iota
	// Wanted: it is on their list.
	Wanted
	// Unwanted: it is not.
	Unwanted
)

var wordWords = [...]string{"unheard", "wanted", "unwanted"}

// String returns the word.
func (w Word) String() string {
	if int(w) < len(wordWords) {
		return wordWords[w]
	}
	return "unknown"
}

// Result is how an allocation ended; it is the content of result.json.
type Result struct {
	State     model.AllocationState `json:"state"`
	StartedAt model.Time            `json:"started_ms,omitempty"`
	EndedAt   model.Time            `json:"ended_ms,omitempty"`
	Exit      model.Exit            `json:"exit"`
	Usage     model.Usage           `json:"usage"`
}

// State is what the runner knows of one allocation. It is a value: Apply returns a new one.
type State struct {
	Phase Phase
	Word  Word
	// Lease says whether the node's lease is held.
	Lease bool
	// AtMostOnce tasks are stopped when the lease ends.
	AtMostOnce bool
	// Publishes says that outputs have to be put in place before it counts as succeeded.
	Publishes bool
	// Stopping: the servers want it to end, or do not list it.
	Stopping bool
	// Fenced: it is being stopped because the lease ended.
	Fenced bool
	// Evicted is the fault because of which it is being stopped; its Reason is "" for none.
	Evicted   driver.Fault
	StartedAt model.Time
	// Result is set from Held on. In Held and Publishing it is what the command left.
	Result Result
}

// Ready reports whether the allocation may be started now, given a slot.
func (s State) Ready() bool {
	return s.Phase == Waiting && s.Word == Wanted && s.Lease && !s.Stopping
}
