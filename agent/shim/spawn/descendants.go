package spawn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// ErrSurvivors means that processes were still there when the time for killing them was up.
var ErrSurvivors = errors.New("processes survive SIGKILL (look for state D in /proc/PID/status)")

// KillDescendants kills every descendant of this process and reaps it, and returns once none
// is left or ctx ends. For a child subreaper without a control group: what its task forked
// cannot leave it otherwise. Processes of other users survive when we are not root; they are
// named in the error.
func KillDescendants(ctx context.Context) error {
	wait := time.Millisecond
	for {
		pids, err := descendants(os.Getpid())
		if err != nil {
			return err
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if reapEnded() {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %v", ErrSurvivors, pids)
		case <-time.After(wait):
			wait = min(wait*2, 50*time.Millisecond)
		}
	}
}

// reapEnded collects all ended children and reports whether there are no children left.
func reapEnded() bool {
	for {
		pid, err := wait4(-1, nil, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.ECHILD) {
			return true
		}
		if err != nil || pid == 0 {
			return false
		}
	}
}

// descendants lists the living processes below root by the parent links of /proc.
func descendants(root int) ([]int, error) {
	children := make(map[int][]int)
	err := EachProcess(func(pid int) {
		if ppid, ok := parentOf(pid); ok {
			children[ppid] = append(children[ppid], pid)
		}
	})
	if err != nil {
		return nil, err
	}
	var found []int
	for queue := children[root]; len(queue) > 0; queue = queue[1:] {
		found = append(found, queue[0])
		queue = append(queue, children[queue[0]]...)
	}
	return found, nil
}

// EachProcess calls f with the PID of every process in /proc.
func EachProcess(f func(pid int)) error {
	proc, err := os.Open("/proc")
	if err != nil {
		return err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			f(pid)
		}
	}
	return nil
}

// parentOf reads the parent's PID from /proc/PID/stat, behind the name in parentheses, which
// may itself hold parentheses and spaces.
func parentOf(pid int) (int, bool) {
	fields, ok := StatFields(pid)
	if !ok || len(fields) < 2 {
		return 0, false
	}
	ppid, err := strconv.Atoi(string(fields[1]))
	return ppid, err == nil
}

// StatFields returns the fields of /proc/PID/stat from the third (state) on, or false when
// the process is gone. See proc_pid_stat(5); field N of the manual is index N-3.
func StatFields(pid int) ([][]byte, bool) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, false
	}
	end := bytes.LastIndexByte(raw, ')')
	if end < 0 {
		return nil, false
	}
	return bytes.Fields(raw[end+1:]), true
}
