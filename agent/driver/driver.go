package driver

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"
)

// ErrNotFound means that the directory holds no allocation of this driver.
var ErrNotFound = errors.New("no such allocation here")

// ErrNotRunning means that the operation needs a running task and the task has ended or not
// yet begun.
var ErrNotRunning = errors.New("the task is not running")

// ErrUnsupported means that this driver cannot do what was asked; see Capabilities.
var ErrUnsupported = errors.New("this driver does not support the operation")

// Driver runs allocations in one way. Implementations are safe for concurrent use.
type Driver interface {
	// Name is the driver's name in job files and node attributes, for example "exec".
	Name() string
	// Capabilities says what the driver can do on this host, now.
	Capabilities() Capabilities
	// Start begins the allocation, or attaches to it if its directory shows that it was
	// begun before. The context bounds the call, not the task. A task that cannot be
	// executed is no error of Start: it ends with ReasonLaunchFailed.
	Start(ctx context.Context, spec AllocSpec) (Task, error)
	// Attach returns the task of an allocation begun earlier, running or ended. It wraps
	// ErrNotFound when nothing was begun in the directory.
	Attach(dir string) (Task, error)
}

// Preparer is a driver that may take long before it can start a task: that fetches an image.
type Preparer interface {
	// Prepare does what Start would have to wait for. It may be repeated. The context bounds it.
	Prepare(ctx context.Context, spec AllocSpec) error
	// Discard drops what was prepared for an allocation that was not started after all, or has
	// ended. It may be repeated, and need not have been prepared.
	Discard(ctx context.Context, spec AllocSpec) error
}

// Task is a handle to a begun allocation. Any number of handles may exist for one
// allocation, in several processes. Implementations are safe for concurrent use.
type Task interface {
	// Wait blocks until the task has ended and none of its processes is left, then returns
	// its exit. The answer is the same on every call.
	Wait(ctx context.Context) (Exit, error)
	// Status reports the task's phase and usage without blocking.
	Status(ctx context.Context) (Status, error)
	// Stop asks the task to end: the signal now, SIGKILL after the grace. It returns when
	// the request is accepted, not when the task has ended; see Wait. Stopping an ended task
	// is no error.
	Stop(ctx context.Context, sig syscall.Signal, grace time.Duration) error
	// Signal sends a signal to the task's main process. It wraps ErrNotRunning when there is
	// none.
	Signal(ctx context.Context, sig syscall.Signal) error
	// Exec runs a further command inside the running task's limits. It wraps ErrUnsupported
	// or ErrNotRunning.
	Exec(ctx context.Context, req ExecRequest) (Session, error)
}

// Capabilities are what a driver can do on this host.
type Capabilities struct {
	Limits bool `json:"limits"` // CPU, memory and process limits are enforced
	Exec   bool `json:"exec"`   // Task.Exec works
	Real   bool `json:"real"`   // runs processes; false for the simulated driver
	// Devices that a task was not given cannot be opened by it.
	Devices bool `json:"devices"`
	// Sandbox says that tasks can be shut off from the host; see Isolation.
	Sandbox bool `json:"sandbox"`
}

// ExecRequest is a command to run inside a running task.
type ExecRequest struct {
	Argv []string
	// Env is added to the task's environment, as KEY=VALUE.
	Env []string
	// Dir is the working directory; "" means the task's.
	Dir string
	// Terminal asks for a pseudo-terminal. Stdout then carries both streams.
	Terminal bool
	Size     TerminalSize
}

// TerminalSize is a terminal's size in character cells.
type TerminalSize struct{ Rows, Cols uint16 }

// Session is a command running beside a task. Close ends it with SIGKILL.
type Session interface {
	Stdin() io.WriteCloser
	Stdout() io.Reader
	// Stderr is empty for a session with a terminal.
	Stderr() io.Reader
	// Resize changes the terminal's size. It wraps ErrUnsupported without a terminal.
	Resize(TerminalSize) error
	Signal(syscall.Signal) error
	// Wait returns the exit code by the shell's convention (128+N for signal N).
	Wait(ctx context.Context) (code int, err error)
	Close() error
}
