package shim_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"caravan/agent/driver"
	"caravan/agent/logs"
	"caravan/agent/shim"
)

// newSpareLauncher keeps one spare ready, which then is the only one: those that an earlier test
// let go have left before it starts.
func newSpareLauncher(t *testing.T, parent string) *shim.Launcher {
	t.Helper()
	eventually(t, "earlier spares have left", func() bool { return len(spares(t)) == 0 })
	l, err := shim.NewLauncher(shim.Config{Command: []string{os.Args[0], "shim"}, CgroupParent: parent, Spares: 1})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// spares lists the idle shims of this test binary: children of ours, or orphans, by command line.
func spares(t *testing.T) (pids []int) {
	t.Helper()
	cmdlines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range cmdlines {
		raw, err := os.ReadFile(file)
		if err == nil && string(raw) == os.Args[0]+"\x00shim\x00"+shim.SpareDir+"\x00" {
			pids = append(pids, atoi(t, strings.Split(file, "/")[2]))
		}
	}
	return pids
}

// inShimGroup reports whether a spare has settled.
func inShimGroup(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return err == nil && strings.Contains(string(raw), testGroup+"/shim")
}

func TestSpareBecomesTheShimOfTheNextAllocation(t *testing.T) {
	l := newSpareLauncher(t, testGroup)
	defer l.Close()
	eventually(t, "a spare is ready", func() bool { p := spares(t); return len(p) == 1 && inShimGroup(p[0]) })
	spare := spares(t)[0]
	spec := newSpec(t, "echo out; echo err >&2; exit 3")
	h := launch(t, l, spec)
	exit := wait(t, h)
	if exit.Reason != driver.ReasonExited || exit.ExitCode != 3 || output(t, spec.Dir, logs.Stdout) != "out\n" || output(t, spec.Dir, logs.Stderr) != "err\n" {
		t.Errorf("got %+v", exit)
	}
	if s, err := h.Status(t.Context()); err != nil || s.ShimPID != spare || s.Limits != driver.LimitsCgroup {
		t.Errorf("spare %d, status %+v, %v", spare, s, err)
	}
	eventually(t, "the next spare is ready", func() bool { p := spares(t); return len(p) == 1 && p[0] != spare })
	// The last shim's process was collected, and the next allocation finds the next spare.
	if exit := wait(t, launch(t, l, newSpecIn(t, "second", "exit 4"))); exit.ExitCode != 4 {
		t.Errorf("got %+v", exit)
	}
	l.Close()
	if left := spares(t); len(left) > 0 {
		t.Errorf("spares after Close: %v", left)
	}
}

// newSpecIn is newSpec for a second allocation of one test.
func newSpecIn(t *testing.T, id, script string) driver.AllocSpec {
	spec := newSpec(t, script)
	spec.ID += "-" + id
	return spec
}

func TestSpareServesAHostWithoutControlGroups(t *testing.T) {
	l := newSpareLauncher(t, "")
	defer l.Close()
	// A process that is listed may not be in the launcher's hands yet: so one of several
	// allocations must be served by a spare, and all must run.
	for range 20 {
		eventually(t, "a spare is there", func() bool { return len(spares(t)) > 0 })
		there := spares(t)
		h := launch(t, l, newSpec(t, "exit 3"))
		if exit := wait(t, h); exit.Reason != driver.ReasonExited || exit.ExitCode != 3 {
			t.Fatalf("got %+v", exit)
		}
		s, err := h.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(there, s.ShimPID) {
			return
		}
	}
	t.Error("no spare ever served an allocation")
}

func TestAllocationUnderASpareSurvivesTheLauncher(t *testing.T) {
	l := newSpareLauncher(t, testGroup)
	defer l.Close()
	eventually(t, "a spare is ready", func() bool { return len(spares(t)) == 1 })
	spec := newSpec(t, release)
	h := launch(t, l, spec)
	awaitLine(t, spec.Dir, logs.Stdout)
	l.Close()
	letGo(t, spec)
	if exit := wait(t, h); exit.ExitCode != 3 {
		t.Errorf("got %+v", exit)
	}
}

func TestDeadSpareIsReplacedOrBypassed(t *testing.T) {
	l := newSpareLauncher(t, testGroup)
	defer l.Close()
	eventually(t, "a spare is ready", func() bool { return len(spares(t)) == 1 })
	if err := syscall.Kill(spares(t)[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the spare is dead", func() bool { return len(spares(t)) == 0 })
	if exit := wait(t, launch(t, l, newSpec(t, "exit 5"))); exit.ExitCode != 5 {
		t.Errorf("got %+v", exit)
	}
}
