package model

// JobState is the state of a whole job.
type JobState uint8

// States of a job. Succeeded, Failed and Stopped are final unless the job is retried.
const (
	JobPending JobState = iota + 1
	JobRunning
	JobSucceeded
	JobFailed
	JobStopped
)

// Ended reports whether nothing of the job runs or will run.
func (s JobState) Ended() bool { return s >= JobSucceeded }

// String returns the state's word.
func (s JobState) String() string { return word(jobWords[:], int(s)) }

var jobWords = [...]string{"", "pending", "running", "succeeded", "failed", "stopped"}

// TaskState is the state of one task, derived from its group's sets.
type TaskState uint8

// States of a task.
const (
	TaskBlocked TaskState = iota + 1
	TaskPending
	TaskRunning
	TaskSucceeded
	TaskFailed
	TaskStopped
)

// String returns the state's word.
func (s TaskState) String() string { return word(taskWords[:], int(s)) }

var taskWords = [...]string{"", "blocked", "pending", "running", "succeeded", "failed", "stopped"}

// AllocationState is the state of one attempt.
type AllocationState uint8

// States of an allocation. The last four are final.
const (
	AllocationPlaced AllocationState = iota + 1
	AllocationRunning
	AllocationSucceeded
	AllocationFailed
	AllocationStopped
	AllocationLost
)

// Ended reports whether the attempt holds nothing any more.
func (s AllocationState) Ended() bool { return s >= AllocationSucceeded }

// String returns the state's word.
func (s AllocationState) String() string { return word(allocationWords[:], int(s)) }

var allocationWords = [...]string{"", "placed", "running", "succeeded", "failed", "stopped", "lost"}

// allocationNext is the allocation's state machine: what may follow each state.
var allocationNext = [...][]AllocationState{
	AllocationPlaced: {
		AllocationRunning, AllocationSucceeded, AllocationFailed, AllocationStopped, AllocationLost,
	},
	AllocationRunning: {AllocationSucceeded, AllocationFailed, AllocationStopped, AllocationLost},
	AllocationLost:    nil,
}

// CanBecome reports whether an allocation in state s may move to next.
func (s AllocationState) CanBecome(next AllocationState) bool {
	if int(s) >= len(allocationNext) {
		return false
	}
	for _, n := range allocationNext[s] {
		if n == next {
			return true
		}
	}
	return false
}

// NodeState is the state of a node.
type NodeState uint8

// States of a node.
const (
	NodeReady NodeState = iota + 1
	NodeLost
	// NodeSilent: its lease has ended, and what runs there may not be dead yet.
	NodeSilent
)

// String returns the state's word.
func (s NodeState) String() string { return word(nodeWords[:], int(s)) }

var nodeWords = [...]string{"", "ready", "lost", "silent"}

func word(words []string, i int) string {
	if i <= 0 || i >= len(words) {
		return "unknown"
	}
	return words[i]
}
