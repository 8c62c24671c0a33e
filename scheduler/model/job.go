package model

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
}

// JobSpec is what the user wrote. It never changes after submission.
type JobSpec struct {
	Name     string
	Queue    string
	Priority int32
	Groups   []TaskGroup
	Labels   map[string]string
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
	// Isolation is how far tasks are shut off from their host; "" leaves it to the agents.
	Isolation string
	// AtMostOnce keeps two attempts of a task from ever running at the same time: the task
	// waits until a lost one is known to be dead. Otherwise it waits only until the lease of
	// the lost one's node has ended; both may run for a while, and one alone publishes.
	AtMostOnce bool
	// PerNode, of a gang: no two tasks share a node. Each stands for all ranks of its node.
	PerNode bool
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
	Group int
	Each  bool
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
}

// Drivers that the scheduler itself must know: simulated nodes run DriverSim alone.
const (
	DriverExec = "exec"
	DriverSim  = "sim"
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
	return c
}

// MayRunTwice reports whether a task may be started again before its lost attempt is known to
// be dead. A gang's never may.
func (g *TaskGroup) MayRunTwice() bool { return !g.AtMostOnce && !g.Gang }

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
