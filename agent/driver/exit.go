package driver

// Reason says why an allocation ended. It is a closed list; the strings are on disk and in
// events.
type Reason string

const (
	// ReasonExited: the command ended by itself; see ExitCode.
	ReasonExited Reason = "exited"
	// ReasonSignaled: a signal nobody here sent ended the command; see Signal.
	ReasonSignaled Reason = "signaled"
	// ReasonOOM: the kernel killed a process of the task at its memory limit, and the command failed.
	ReasonOOM Reason = "oom"
	// ReasonTimeLimit: the time limit ended the command.
	ReasonTimeLimit Reason = "time-limit"
	// ReasonNoOutput: the command wrote nothing for too long and was ended.
	ReasonNoOutput Reason = "no-output"
	// ReasonTooFast: the command succeeded sooner than it can have done its work.
	ReasonTooFast Reason = "too-fast"
	// ReasonScratch: the command filled more of its own directories than it may.
	ReasonScratch Reason = "scratch"
	// ReasonLeaseEnded: the node's lease ended, and the command must not run twice.
	ReasonLeaseEnded Reason = "lease-ended"
	// ReasonStopped: a stop request ended the command. ExitCode still is the command's own,
	// so that 75 (EX_TEMPFAIL) can mean "checkpointed".
	ReasonStopped Reason = "stopped"
	// ReasonLaunchFailed: the command was never executed; see Detail.
	ReasonLaunchFailed Reason = "launch-failed"
	// ReasonVerify: the command succeeded and the verify command did not.
	ReasonVerify Reason = "verify"
	// ReasonOutputMissing: the command succeeded and a declared output is not there.
	ReasonOutputMissing Reason = "output-missing"
	// ReasonShimLost: the shim died without a report (killed, or the host rebooted). Whether
	// the command had finished is unknown; none of its processes is left.
	ReasonShimLost Reason = "shim-lost"
	// ReasonDeviceFault: a device that the task held is ill. No driver reports it.
	ReasonDeviceFault Reason = "device-fault"
	// ReasonHostFault: the host is ill. No driver reports it.
	ReasonHostFault Reason = "host-fault"
)

// Fault is an end, or a start that came to nothing, that is not the job's doing.
type Fault struct {
	// Reason is ReasonDeviceFault or ReasonHostFault.
	Reason Reason
	// Detail is for people: which device, and what ails it.
	Detail string
}

// Error says what is wrong.
func (f *Fault) Error() string { return f.Detail }

// Refusal is a start that came to nothing by the job's doing: it names an image that does not
// exist. To try again elsewhere would not help.
type Refusal struct{ Detail string }

// Error says what is wrong.
func (r *Refusal) Error() string { return r.Detail }

// CodeRefused is the exit code of what cannot be executed, by the shell's convention.
const CodeRefused = 126

// Exit is how an allocation ended: exit.json, written once.
type Exit struct {
	Reason Reason `json:"reason"`
	// Detail is a sentence for people: what failed and what to do about it.
	Detail string `json:"detail,omitempty"`
	// ExitCode is the command's exit status by the shell's convention: 128+N for signal N,
	// 127 or 126 for a command that cannot be executed, -1 when unknown.
	ExitCode int `json:"exit_code"`
	// Signal ended the command; 0 if none did.
	Signal int `json:"signal,omitempty"`
	// StartedMs and EndedMs are Unix milliseconds; StartedMs is 0 if it never ran.
	StartedMs int64 `json:"started_ms,omitempty"`
	EndedMs   int64 `json:"ended_ms"`
	// UserMs and SystemMs are CPU time of the whole task, Verify included.
	UserMs   int64 `json:"user_ms"`
	SystemMs int64 `json:"system_ms"`
	// PeakBytes is the task's highest memory charge; page cache is included with limits on,
	// and it is the largest process's resident set with limits off.
	PeakBytes int64 `json:"peak_bytes"`
	OOMKills  int64 `json:"oom_kills,omitempty"`
	// StdoutBytes and StderrBytes count what was written, kept or not.
	StdoutBytes int64 `json:"stdout_bytes"`
	StderrBytes int64 `json:"stderr_bytes"`
	// LogError is set when log bytes could not be stored (a full disk); the task ran on.
	LogError string `json:"log_error,omitempty"`
}

// Success reports whether the allocation did what it promised: exit code 0, verified, all
// outputs there.
func (e Exit) Success() bool { return e.Reason == ReasonExited && e.ExitCode == 0 }

// Phase is where in its life an allocation is.
type Phase string

const (
	PhaseLaunching Phase = "launching" // the shim is being started
	PhaseStarting  Phase = "starting"  // the shim prepares the command
	PhaseRunning   Phase = "running"   // the command runs
	PhaseVerifying Phase = "verifying" // the verify command runs
	PhaseCleaning  Phase = "cleaning"  // what is left of the task is being killed
	// PhaseStuck: a process of the task survives SIGKILL. Nothing it holds is free.
	PhaseStuck Phase = "stuck"
	PhaseEnded Phase = "ended" // exit.json is written
)

// LimitsState says whether an allocation's limits are enforced.
type LimitsState string

const (
	LimitsCgroup LimitsState = "cgroup"
	LimitsNone   LimitsState = "none"
)

// Status is an allocation as seen from outside: status.json, replaced atomically.
type Status struct {
	Phase Phase `json:"phase"`
	// BootID is the kernel's random id of this boot: after a reboot nothing of the task can
	// be alive, and all PIDs below are meaningless.
	BootID string `json:"boot_id"`
	// ShimPID and ShimStart (clock ticks since boot, from /proc/PID/stat) identify the shim.
	ShimPID   int   `json:"shim_pid,omitempty"`
	ShimStart int64 `json:"shim_start,omitempty"`
	// PID is the command's process, 0 when there is none.
	PID       int   `json:"pid,omitempty"`
	StartedMs int64 `json:"started_ms,omitempty"`
	// SandboxPID is the first process of the task's sandbox, by which it is entered; 0 when
	// there is none.
	SandboxPID int `json:"sandbox_pid,omitempty"`
	// Cgroup is the task's control group; "" when Limits is none.
	Cgroup string      `json:"cgroup,omitempty"`
	Limits LimitsState `json:"limits,omitempty"`
	// LimitsDetail says why there are no limits.
	LimitsDetail string `json:"limits_detail,omitempty"`
	// StuckDetail names the processes that survive SIGKILL.
	StuckDetail string `json:"stuck_detail,omitempty"`
	// Usage so far; all zero without a control group, until the end.
	Usage Usage `json:"usage,omitzero"`
}

// Usage is what a task consumed so far.
type Usage struct {
	UserMs       int64 `json:"user_ms"`
	SystemMs     int64 `json:"system_ms"`
	CurrentBytes int64 `json:"current_bytes"`
	PeakBytes    int64 `json:"peak_bytes"`
}
