package model

import "slices"

// Limits on a job, by design. Over a limit is a FieldError at submission.
const (
	MaxTasks          = 1_000_000
	MaxGroups         = 64
	MaxRanges         = 1000
	MaxVariants       = 16
	MaxGangSize       = 100_000
	MaxDevicesPerTask = 64
	MaxCPUMilli       = 4096 * 1000
	MaxMemoryMiB      = 64 << 20
	MaxDiskMiB        = 1 << 40
	MaxPriority       = 1000
	MaxRetries        = 1000
	MaxRules          = 16
	MaxExpression     = 4096
	MaxImageName      = 256
	MaxSessions       = 1000
)

// DefaultQueue is the queue of a job that names none. It always exists.
const DefaultQueue = "default"

// DefaultKillGrace is the time between SIGTERM and SIGKILL when a group names none.
const DefaultKillGrace = 10 * Second

// Job is a submitted job: what was asked for, and how far it has come.
type Job struct {
	ID     string
	Number uint64
	Spec   *JobSpec
	Owner  string
	State  JobState

	SubmittedAt Time
	StartedAt   Time
	EndedAt     Time

	StopRequested bool
	// Groups stands parallel to Spec.Groups.
	Groups []GroupStatus
	// Revision is the raft index of the last change.
	Revision uint64

	// Boost is added to the spec's priority.
	Boost int32
	// Waits are jobs that must end before anything starts; see JobSpec.After.
	Waits []JobDependency
	// NodeFailures are kept by node, for nodes on which tasks have failed.
	NodeFailures []NodeFailures
}

// JobSpec is what the user wrote. It never changes after submission.
type JobSpec struct {
	Name     string
	Queue    string
	Priority int32
	Groups   []TaskGroup
	Labels   map[string]string
	// After are jobs to wait for. As submitted a job is named by its id or number;
	// in the state by its id.
	After []JobDependency
	// Singleton waits for every earlier job of the same name and owner to end.
	Singleton bool
	// Begin is the time before which nothing starts; 0 means no bound.
	Begin Time
	// Held pauses all tasks from the beginning.
	Held bool
	// Workspace is nil for a job whose tasks begin in an empty directory.
	Workspace *Workspace
}

// TaskGroup is a set of alike tasks.
type TaskGroup struct {
	Name        string
	Indices     Indices
	MaxRunning  int32
	Gang        bool
	DependsOn   []Dependency
	Variants    []Variant
	Constraints []Constraint
	Env         map[string]string
	Outputs     []Output
	Verify      []string
	TimeLimit   Duration
	Retries     int32
	SameVariant bool
	KillGrace   Duration
	Workdir     string
	// Exclusive tasks have their node to themselves.
	Exclusive bool
	Spread    []Spread
	Apart     []Apart
	Order     Order
	ExitCodes ExitCodes
	// RetryBackoff is the wait after a task's first failure; it doubles with each.
	RetryBackoff Duration
	// AvoidAfter failures on one node, the job keeps away from it for AvoidFor; 0 means never.
	AvoidAfter int32
	AvoidFor   Duration
	// NoOutputTimeout and MinRuntime are enforced by the agent; 0 means neither.
	NoOutputTimeout Duration
	MinRuntime      Duration
	// MaxMemoryMiB lets memory be learned, up to so much; 0 means that it is fixed.
	MaxMemoryMiB int64
	// Limits are what one allocation holds of the operator's limits, by name.
	Limits []LimitUse
	// Isolation is how far tasks are shut off from their host; "" leaves it to the agents.
	Isolation string
	// AtMostOnce keeps two attempts of a task from ever running at the same time: the task
	// waits until a lost one is known to be dead. Otherwise it waits only until the lease of
	// the lost one's node has ended; both may run for a while, and one alone publishes.
	AtMostOnce bool
	// PerNode, of a gang: no two tasks share a node. Each stands for all ranks of its node.
	PerNode bool
	// Batch is the script that the group runs; nil for other groups.
	Batch *Batch
	// Matrix names what the indices of a sweep stand for; nil for other groups.
	Matrix Matrix
}

// Levels of isolation that a group may ask for; see the agent.
const (
	IsolationHost     = "host"
	IsolationStandard = "standard"
	IsolationStrict   = "strict"
)

// Dependency makes a group wait for another group of its job: for all of it,
// or, with Each, index by index.
type Dependency struct {
	// Group is an index into JobSpec.Groups.
	Group     int
	Each      bool
	Condition Condition
}

// JobDependency makes a job wait for another one.
type JobDependency struct {
	Job       string
	Condition Condition
}

// Variant is one way to run a task.
type Variant struct {
	Name        string
	Driver      string
	Command     []string
	Resources   Resources
	Constraints []Constraint
	Env         map[string]string
	// SpeedPermille is the speed relative to the group's other variants; 1000 is par.
	SpeedPermille int32
	Setup         Duration
	SimDuration   Duration
	SimExitCode   int32
	// Container is what a variant of DriverContainer runs in; nil for others.
	Container *Container
}

// Container is the file system that a task sees instead of its host's.
type Container struct {
	Image      string
	Entrypoint []string
	// Pull is one of the words below; "" means PullMissing.
	Pull   string
	Mounts []ContainerMount
}

// When the image of a container is fetched.
const (
	PullAlways  = "always"
	PullMissing = "missing"
	PullNever   = "never"
)

// ContainerMount shows a file or directory of the host, read-only unless Write is set.
type ContainerMount struct {
	From, To string
	Write    bool
}

// Drivers that the scheduler itself must know: simulated nodes run DriverSim alone, and nodes that
// run DriverContainer say so by AttributeContainer.
const (
	DriverExec      = "exec"
	DriverSim       = "sim"
	DriverContainer = "container"

	AttributeContainer = "driver." + DriverContainer
)

// Output is a file or glob that a task leaves behind, and where it goes.
type Output struct {
	Path string
	To   string
}

// GroupStatus keeps a group's tasks as disjoint sets of ordinals. What is in
// none of them does not exist: the sets always add up to [0, tasks).
type GroupStatus struct {
	// Waiting tasks have no allocation that could still end well: never
	// placed, or to be tried again.
	Waiting Set
	// Active tasks have an allocation that has not ended.
	Active    Set
	Succeeded Set
	Failed    Set
	Stopped   Set
	// Epoch rises with every placement of a gang, for all its members at once.
	Epoch int32
	// VariantChosen is 1 + the variant that SameVariant bound the group to; 0 none yet.
	VariantChosen int32
	// Restarts counts how often a gang was started again after a failure.
	Restarts int32

	// Joined is the number of active tasks less that of live allocations.
	Joined int64
	// Eaten tasks count as succeeded; those that are still active do once they end.
	Eaten Set
	// Cancelled tasks are active and are not run again.
	Cancelled Set
	// Paused tasks do not start.
	Paused Set
	// Front tasks start before all others, Back ones after them.
	Front, Back Set
	// Order overrides the spec's where it is not 0; Stride is that of OrderInterleave.
	Order  Order
	Stride int32
	// Delays hold back tasks that failed, by ascending time.
	Delays []Delay
	Pace   Pace
	// Memory is what was learned of each variant's; nil until something was.
	Memory []LearnedMemory
	// Port is where the members of the present epoch meet, on the node of the
	// first; 0 before the first placement.
	Port int32
}

// Task is kept only for tasks that were placed at least once.
type Task struct {
	Job      string
	Group    int
	Ordinal  int64
	Attempts int32
	// Failures counts attempts that used up a retry; a lost node does not.
	Failures int32
	// LastAllocation is the id of the newest attempt.
	LastAllocation string
}

// Clone returns a copy whose group statuses may be changed. The spec is shared.
func (j *Job) Clone() *Job {
	c := *j
	c.Waits = slices.Clone(j.Waits)
	c.NodeFailures = slices.Clone(j.NodeFailures)
	c.Groups = make([]GroupStatus, len(j.Groups))
	for i := range j.Groups {
		c.Groups[i] = j.Groups[i].Clone()
	}
	return &c
}

// Clone returns a deep copy.
func (g *GroupStatus) Clone() GroupStatus {
	c := *g
	c.Waiting = g.Waiting.Clone()
	c.Active = g.Active.Clone()
	c.Succeeded = g.Succeeded.Clone()
	c.Failed = g.Failed.Clone()
	c.Stopped = g.Stopped.Clone()
	c.Eaten, c.Cancelled = g.Eaten.Clone(), g.Cancelled.Clone()
	c.Paused = g.Paused.Clone()
	c.Front, c.Back = g.Front.Clone(), g.Back.Clone()
	c.Delays = slices.Clone(g.Delays)
	for i := range c.Delays {
		c.Delays[i].Tasks = c.Delays[i].Tasks.Clone()
	}
	c.Memory = slices.Clone(g.Memory)
	return c
}

// MayRunTwice reports whether a task may be started again before its lost attempt is known to
// be dead. A gang's never may.
func (g *TaskGroup) MayRunTwice() bool { return !g.AtMostOnce && !g.Gang }

// Priority is what the job is served with.
func (j *Job) Priority() int32 { return j.Spec.Priority + j.Boost }

// Running returns the number of live allocations of a group.
func (g *GroupStatus) Running() int64 { return g.Active.Len() - g.Joined }

// GroupIndex returns the position of the named group, or -1.
func (s *JobSpec) GroupIndex(name string) int {
	for i := range s.Groups {
		if s.Groups[i].Name == name {
			return i
		}
	}
	return -1
}

// Tasks returns the number of tasks of the job.
func (s *JobSpec) Tasks() int64 {
	var n int64
	for i := range s.Groups {
		n += s.Groups[i].Indices.Tasks()
	}
	return n
}

// Simulated reports whether every variant of every group uses the sim driver.
func (s *JobSpec) Simulated() bool {
	for i := range s.Groups {
		for k := range s.Groups[i].Variants {
			if s.Groups[i].Variants[k].Driver != DriverSim {
				return false
			}
		}
	}
	return true
}
