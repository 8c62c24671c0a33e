package driver

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Limits by design of one allocation.
const (
	MaxArgs     = 4096
	MaxEnv      = 4096
	MaxOutputs  = 256
	MaxSegments = 1000
	MaxDevices  = 4096
	MaxMounts   = 256
)

// AllocSpec is all a driver needs to run one allocation: spec.json in its directory.
type AllocSpec struct {
	// ID names the allocation, unique for ever: letters, digits, '.', '_', '-'.
	ID string `json:"id"`
	// Dir is the allocation's directory, absolute. Its parent must exist.
	Dir string `json:"dir"`
	// Argv is the command; Argv[0] is looked up in PATH of Env when it has no slash.
	Argv []string `json:"argv"`
	// Env is the whole environment as KEY=VALUE. Nothing is inherited from the agent.
	Env []string `json:"env,omitempty"`
	// WorkDir is where the command runs; "" means work/ in Dir.
	WorkDir string `json:"work_dir,omitempty"`
	// Owner is whose job it is, by name; who maps tasks to users reads it.
	Owner string `json:"owner,omitempty"`
	// User switches to these ids; nil leaves the choice to the driver.
	User *User `json:"user,omitempty"`
	// Isolation is how far the task is shut off; "" leaves the choice to the driver.
	Isolation Isolation `json:"isolation,omitempty"`
	// Umask of the command; nil means 022.
	Umask *int `json:"umask,omitempty"`
	// OOMScoreAdj orders victims when the host runs out of memory, -1000..1000.
	OOMScoreAdj int      `json:"oom_score_adj,omitempty"`
	Rlimits     []Rlimit `json:"rlimits,omitempty"`

	Resources Resources `json:"resources"`
	// Devices are the device nodes that the task may open beside the standard ones, where the
	// driver can wall off the others; see Capabilities.
	Devices []DeviceNode `json:"devices,omitempty"`
	// Mounts are what the task finds of the host in other places, or only to read. They need a
	// sandbox; see Mount.
	Mounts []Mount   `json:"mounts,omitempty"`
	Logs   LogPolicy `json:"logs"`

	// AtMostOnce ends the command with StopSignal when the node's lease ends, with its agent
	// or without: it may be started elsewhere soon after.
	AtMostOnce bool `json:"at_most_once,omitempty"`
	// TimeLimitMs ends the command with StopSignal after this long; 0 means never.
	TimeLimitMs int64 `json:"time_limit_ms,omitempty"`
	// NoOutputMs ends the command with StopSignal when it has written nothing to its log for
	// this long; 0 means never.
	NoOutputMs int64 `json:"no_output_ms,omitempty"`
	// MinRuntimeMs is the least time that a command which succeeds must have run; 0 means none.
	MinRuntimeMs int64 `json:"min_runtime_ms,omitempty"`
	// StopSignal is sent first when a limit or a lease ends the task; 0 means SIGTERM.
	StopSignal int `json:"stop_signal,omitempty"`
	// GraceMs is the time between StopSignal and SIGKILL; 0 means 10 s.
	GraceMs int64 `json:"grace_ms,omitempty"`

	// Files are where stdin comes from and where output is copied to; nil means nowhere.
	Files *Files `json:"files,omitempty"`
	// Warning is sent before the time limit ends the command; nil means none.
	Warning *Warning `json:"warning,omitempty"`

	// Verify judges the result after exit code 0; nil means exit code 0 is success.
	Verify *Verify `json:"verify,omitempty"`
	// Outputs must exist after exit code 0 and a passed Verify.
	Outputs []Output `json:"outputs,omitempty"`

	// Container is what a container asks for; read by the driver of containers alone.
	Container *Container `json:"container,omitempty"`
	// Root is the file system that the task sees instead of the host's; nil for the host's. It
	// needs a sandbox. Drivers fill it in.
	Root *Root `json:"root,omitempty"`

	// Sim is what a simulated node reports; ignored by drivers that run processes.
	Sim *Sim `json:"sim,omitempty"`
}

// Container is what a task in a container asks for.
type Container struct {
	// Image is its name, with a registry or without.
	Image string `json:"image"`
	// Pull says when to fetch it: always, never, or, for "", when it is missing.
	Pull string `json:"pull,omitempty"`
	// Entrypoint comes before the command. Without either the image says what to run.
	Entrypoint []string `json:"entrypoint,omitempty"`
	// Yield names the variables of Env in which the image's values come first.
	Yield []string `json:"yield,omitempty"`
	// Mounts are what of the host is found inside, as the job wants it.
	Mounts []Mount `json:"mounts,omitempty"`
}

// Root is a file system of the task's own.
type Root struct {
	// FileSystems make it up, in order, each on top of the one before.
	FileSystems []FileSystem `json:"file_systems"`
	// Mounts bring what is the host's and the job asked for.
	Mounts []Mount `json:"mounts,omitempty"`
}

// FileSystem is something to mount, as mount(8) takes it.
type FileSystem struct {
	Type    string   `json:"type"`
	Source  string   `json:"source"`
	Options []string `json:"options,omitempty"`
}

// Files are files of the task's user, as the task sees them; relative ones begin at its work
// directory. "" means none.
type Files struct {
	Stdin string `json:"stdin,omitempty"`
	// Stdout takes a copy of stdout, and of stderr unless Stderr takes that.
	Stdout string `json:"stdout,omitempty"`
	Stderr string `json:"stderr,omitempty"`
	// Append keeps what the files hold.
	Append bool `json:"append,omitempty"`
}

// Warning is a signal to the command alone, so long before its time limit.
type Warning struct {
	Signal   int   `json:"signal"`
	BeforeMs int64 `json:"before_ms"`
}

// DeviceNode is a device that a task may open.
type DeviceNode struct {
	// Path on the host, for people: the numbers decide.
	Path string `json:"path,omitempty"`
	// Type is "c" or "b".
	Type  string `json:"type"`
	Major int64  `json:"major"`
	Minor int64  `json:"minor"`
	// Permissions are any of r, w and m.
	Permissions string `json:"permissions"`
}

// User is an identity to run as.
type User struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
}

// Rlimit is a setrlimit(2) bound. Resource is the kernel's number (RLIMIT_NOFILE is 7).
type Rlimit struct {
	Resource int    `json:"resource"`
	Soft     uint64 `json:"soft"`
	Hard     uint64 `json:"hard"`
}

// Resources are the task's limits; a zero field means no limit.
type Resources struct {
	// CPUMilli is the guaranteed share in thousandths of a core.
	CPUMilli int64 `json:"cpu_milli,omitempty"`
	// CPUQuotaMilli is the hard cap in thousandths of a core.
	CPUQuotaMilli int64 `json:"cpu_quota_milli,omitempty"`
	// MemoryBytes includes page cache and excludes swap, which the task does not get.
	MemoryBytes int64 `json:"memory_bytes,omitempty"`
	// Pids bounds processes and threads; 0 leaves the bound to the driver.
	Pids int64 `json:"pids,omitempty"`
	// ScratchBytes bounds what lies in the task's own directories, its work directory and
	// /tmp; 0 leaves the bound to the driver.
	ScratchBytes int64 `json:"scratch_bytes,omitempty"`
	// CPUs and MemoryNodes pin, in the kernel's list format ("0-3,8").
	CPUs        string `json:"cpus,omitempty"`
	MemoryNodes string `json:"memory_nodes,omitempty"`
}

// LogPolicy bounds what is kept of each of stdout and stderr.
type LogPolicy struct {
	// SegmentBytes is the size of one file; 0 means 10 MiB.
	SegmentBytes int64 `json:"segment_bytes,omitempty"`
	// Segments is how many files are kept; 0 means 5.
	Segments int `json:"segments,omitempty"`
}

// Verify is a command that judges a task's result. It runs in the task's group, directory,
// environment and limits, and its output goes to the task's log.
type Verify struct {
	Argv []string `json:"argv"`
	// TimeLimitMs bounds it; 0 means 10 minutes.
	TimeLimitMs int64 `json:"time_limit_ms,omitempty"`
}

// Output is a file, directory or glob that a task must leave behind.
type Output struct {
	// Path is relative to the work directory; see package outputs for the patterns.
	Path string `json:"path"`
	// To is where it is published; "" means it is only checked.
	To string `json:"to,omitempty"`
}

// Sim is a simulated task's fate.
type Sim struct {
	DurationMs int64 `json:"duration_ms"`
	ExitCode   int   `json:"exit_code"`
}

// Defaults for zero fields.
const (
	DefaultGrace       = 10 * time.Second
	DefaultVerifyLimit = 10 * time.Minute
	DefaultUmask       = 0o022
	DefaultSegment     = 10 << 20
	DefaultSegments    = 5
)

// Validate reports the first thing that makes the spec unusable.
func (s AllocSpec) Validate() error {
	switch {
	case !validID(s.ID):
		return fmt.Errorf("allocation id %q: use 1 to 128 letters, digits, '.', '_' or '-', not starting with '.'", s.ID)
	case !filepath.IsAbs(s.Dir):
		return fmt.Errorf("allocation %s: directory %q must be absolute", s.ID, s.Dir)
	case s.WorkDir != "" && !filepath.IsAbs(s.WorkDir):
		return fmt.Errorf("allocation %s: work directory %q must be absolute", s.ID, s.WorkDir)
	case s.TimeLimitMs < 0 || s.GraceMs < 0 || s.NoOutputMs < 0 || s.MinRuntimeMs < 0:
		return fmt.Errorf("allocation %s: time limits and grace must not be negative", s.ID)
	case s.OOMScoreAdj < -1000 || s.OOMScoreAdj > 1000:
		return fmt.Errorf("allocation %s: oom_score_adj %d is outside -1000..1000", s.ID, s.OOMScoreAdj)
	case len(s.Env) > MaxEnv:
		return fmt.Errorf("allocation %s: %d environment variables, at most %d", s.ID, len(s.Env), MaxEnv)
	case len(s.Devices) > MaxDevices:
		return fmt.Errorf("allocation %s: %d device nodes, at most %d", s.ID, len(s.Devices), MaxDevices)
	case len(s.Mounts) > MaxMounts:
		return fmt.Errorf("allocation %s: %d mounts, at most %d", s.ID, len(s.Mounts), MaxMounts)
	case len(s.Outputs) > MaxOutputs:
		return fmt.Errorf("allocation %s: %d outputs, at most %d (use a glob)", s.ID, len(s.Outputs), MaxOutputs)
	case s.Logs.Segments < 0 || s.Logs.Segments > MaxSegments || s.Logs.SegmentBytes < 0:
		return fmt.Errorf("allocation %s: log segments must be 0..%d and their size not negative", s.ID, MaxSegments)
	}
	if err := s.validateRun(); err != nil {
		return fmt.Errorf("allocation %s: %w", s.ID, err)
	}
	for _, kv := range s.Env {
		if i := strings.IndexByte(kv, '='); i <= 0 || strings.IndexByte(kv, 0) >= 0 {
			return fmt.Errorf("allocation %s: environment entry %q is not KEY=VALUE", s.ID, kv)
		}
	}
	return nil
}

// validateRun checks how the command is to run.
func (s AllocSpec) validateRun() error {
	r := s.Resources
	switch {
	case r.CPUMilli < 0 || r.CPUQuotaMilli < 0 || r.MemoryBytes < 0 || r.Pids < 0 || r.ScratchBytes < 0:
		return errors.New("resources must not be negative (0 means no limit)")
	case slices.ContainsFunc(s.Devices, func(d DeviceNode) bool { return d.Type != "c" && d.Type != "b" }):
		return errors.New("a device node is of type c or b")
	case s.Isolation != "" && !s.Isolation.Valid():
		return fmt.Errorf("there is no isolation %q: use host, standard or strict", s.Isolation)
	case s.StopSignal < 0 || s.StopSignal > 64:
		return fmt.Errorf("stop signal %d is outside 0..64", s.StopSignal)
	case s.Umask != nil && (*s.Umask < 0 || *s.Umask > 0o777):
		return fmt.Errorf("umask %#o is outside 0..0777", *s.Umask)
	case s.Verify != nil && s.Verify.TimeLimitMs < 0:
		return errors.New("the time limit of verify must not be negative")
	case s.Verify != nil:
		if err := ValidateCommand(s.Verify.Argv); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
	}
	return nil
}

// ValidateCommand reports what makes an argument vector unusable.
func ValidateCommand(argv []string) error {
	if len(argv) == 0 || argv[0] == "" {
		return errors.New("the command is empty")
	}
	if len(argv) > MaxArgs {
		return fmt.Errorf("the command has %d arguments, at most %d", len(argv), MaxArgs)
	}
	for _, a := range argv {
		if strings.IndexByte(a, 0) >= 0 {
			return fmt.Errorf("argument %q contains a NUL byte", a)
		}
	}
	return nil
}

func validID(id string) bool {
	if id == "" || len(id) > 128 || id[0] == '.' {
		return false
	}
	return strings.IndexFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	}) < 0
}

// Grant is what an allocation needs to use the devices that it was given.
type Grant struct {
	// Env are variables by name; they win over those of the job.
	Env   map[string]string
	Nodes []DeviceNode
	// Mounts bring files of the host to a path of the task.
	Mounts []Mount
	// Limits are what bounds the use of the devices.
	Limits []Limit
}

// Mount brings a file or directory of the host to a task. Where both paths are the same and nothing
// hides it, the task has it anyway. Of the options, "ro" keeps the task from writing; others are those
// of bind mounts, and need nothing done.
type Mount struct {
	HostPath string   `json:"host_path"`
	TaskPath string   `json:"task_path"`
	Options  []string `json:"options,omitempty"`
}

// ReadOnly reports whether the task may only read it.
func (m Mount) ReadOnly() bool { return slices.Contains(m.Options, "ro") }
