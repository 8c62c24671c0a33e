// Package hook runs an operator's programs on the host: checks before and after tasks, and the test
// of a repaired device.
//
// A program's exit status is its whole answer: 0 is yes. It runs with the agent's rights, in a
// process group of its own that is killed whole when its time is over; the end of what it wrote is
// the reason that people see.
//
// The device manager calls Run. It keeps nothing and is safe for concurrent use.
package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Program is a program to run; without Command there is none.
type Program struct {
	// Command is the program, absolute, and its arguments.
	Command []string
	// Timeout bounds each run; required with a Command.
	Timeout time.Duration
}

// Check reports what is wrong with a program, if there is one.
func (p Program) Check() error {
	switch {
	case len(p.Command) == 0:
		return nil
	case !filepath.IsAbs(p.Command[0]):
		return fmt.Errorf("program %q must be an absolute path", p.Command[0])
	case p.Timeout <= 0:
		return fmt.Errorf("program %s needs a time limit", p.Command[0])
	}
	return nil
}

// Set reports whether there is a program.
func (p Program) Set() bool { return len(p.Command) > 0 }

// maxSaid bounds what is kept of a program's output, in bytes.
const maxSaid = 160

// leaveTime is how long a killed program's output is waited for.
const leaveTime = time.Second

// Run runs the program with PATH and the given variables, KEY=VALUE. The error says how it failed
// and what it said last. When ctx ends it is killed, and the error is ctx's.
func Run(ctx context.Context, p Program, env []string) error {
	limited, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	cmd := exec.CommandContext(limited, p.Command[0], p.Command[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = leaveTime
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		err = fmt.Errorf("not done after %v", p.Timeout)
	case errors.Is(err, exec.ErrWaitDelay):
		return nil // it is done; something it left behind keeps its output open
	case err == nil:
		return nil
	}
	if text := said.String(); text != "" {
		return fmt.Errorf("%s: %w: %s", filepath.Base(p.Command[0]), err, text)
	}
	return fmt.Errorf("%s: %w", filepath.Base(p.Command[0]), err)
}

// tail keeps the end of what is written.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	t.kept = bytes.Clone(t.kept[max(0, len(t.kept)-maxSaid):])
	return len(p), nil
}

// String is the end as one line.
func (t *tail) String() string {
	return strings.ToValidUTF8(strings.Join(strings.Fields(string(t.kept)), " "), "?")
}
