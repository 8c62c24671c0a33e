package cgroup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"caravan/agent/cgroup"
)

const testGroup = "/caravan-test-cgroup"

func TestMain(m *testing.M) {
	code := m.Run()
	g, err := cgroup.Open(testGroup)
	if err == nil {
		err = g.Destroy()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func create(t *testing.T, l cgroup.Limits) *cgroup.Group {
	t.Helper()
	g, err := cgroup.Create(testGroup+"/"+strings.ReplaceAll(t.Name(), "/", "-"), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(g.Kill(ctx), g.Destroy()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// start runs a script whose first line of output means that it is ready.
func start(t *testing.T, g *cgroup.Group, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", "read go; "+script)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if err := g.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "go")
	var ready string
	if _, err := fmt.Fscan(out, &ready); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestKillLeavesNothingOfAForkBomb(t *testing.T) {
	g := create(t, cgroup.Limits{Pids: 100})
	start(t, g, `echo ready; bomb() { while :; do (setsid sleep 100 &) ; done; }; bomb & bomb & wait`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := g.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if pids, err := g.Pids(); err != nil || len(pids) != 0 {
		t.Errorf("left: %v, %v", pids, err)
	}
}

func TestKillSaysWhatItCannotKill(t *testing.T) {
	g := create(t, cgroup.Limits{})
	cmd := start(t, g, `echo ready; sleep 100`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := g.Kill(ctx)
	var stuck *cgroup.StuckError
	if !errors.As(err, &stuck) || len(stuck.Pids) == 0 || stuck.Pids[0] != cmd.Process.Pid {
		t.Errorf("got %v", err)
	}
}

func TestSignalReachesEveryProcess(t *testing.T) {
	g := create(t, cgroup.Limits{})
	cmd := start(t, g, `trap 'exit 7' USR1; setsid sh -c 'trap "exit 8" USR1; echo ready; while :; do sleep 1; done' & wait $!; wait $!; exit $?`)
	if err := g.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("got %v", err)
	}
}

func TestUsageCountsWhatEndedProcessesUsed(t *testing.T) {
	g := create(t, cgroup.Limits{})
	cmd := start(t, g, `echo ready; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done`)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	u, err := g.Usage()
	if err != nil || u.UserMs+u.SystemMs < 10 || u.PeakBytes == 0 || u.OOMKills != 0 {
		t.Errorf("got %+v, %v", u, err)
	}
}

// knob reads a file of the group in whichever layout the host has.
func knob(t *testing.T, g *cgroup.Group, v1, v2 string) string {
	t.Helper()
	for _, file := range []string{filepath.Join("/sys/fs/cgroup", filepath.Dir(v1), g.Path(), filepath.Base(v1)), filepath.Join("/sys/fs/cgroup", g.Path(), v2)} {
		if raw, err := os.ReadFile(file); err == nil {
			return strings.TrimSpace(string(raw))
		}
	}
	t.Fatalf("neither %s nor %s exists", v1, v2)
	return ""
}

func TestLimitsAreWhatTheKernelGot(t *testing.T) {
	g := create(t, cgroup.Limits{CPUWeightMilli: 2500, CPUQuotaMilli: 1500, MemoryBytes: 64 << 20, Pids: 17, CPUs: "0"})
	for _, tc := range []struct{ v1, v2, want1, want2 string }{
		{"cpu/cpu.shares", "cpu.weight", "2560", "170"},
		{"cpu/cpu.cfs_quota_us", "cpu.max", "150000", "150000 100000"},
		{"memory/memory.limit_in_bytes", "memory.max", "67108864", "67108864"},
		{"memory/memory.memsw.limit_in_bytes", "memory.swap.max", "67108864", "0"},
		{"pids/pids.max", "pids.max", "17", "17"},
		{"cpuset/cpuset.cpus", "cpuset.cpus", "0", "0"},
	} {
		if got := knob(t, g, tc.v1, tc.v2); got != tc.want1 && got != tc.want2 {
			t.Errorf("%s is %q, want %q (%s: %q)", tc.v1, got, tc.want1, tc.v2, tc.want2)
		}
	}
}

func TestSmallestCPUDemandsAreRaisedToTheKernelsMinimum(t *testing.T) {
	g := create(t, cgroup.Limits{CPUWeightMilli: 1, CPUQuotaMilli: 1})
	if got := knob(t, g, "cpu/cpu.cfs_quota_us", "cpu.max"); got != "1000" && got != "1000 100000" {
		t.Errorf("quota %q", got)
	}
}

func TestBadGroupsAreRefused(t *testing.T) {
	for _, p := range []string{"", "relative", "/", "/a/../b", "/a/"} {
		if _, err := cgroup.Open(p); err == nil {
			t.Errorf("path %q: accepted", p)
		}
	}
	if _, err := cgroup.Create(testGroup+"/negative", cgroup.Limits{MemoryBytes: -1}); err == nil {
		t.Error("a negative limit was accepted")
	}
	g, err := cgroup.Create(testGroup+"/no-such-core", cgroup.Limits{CPUs: "100000"})
	if err == nil {
		t.Error("a core that does not exist was accepted")
	}
	if g, err = cgroup.Open(testGroup + "/no-such-core"); err != nil || g.Exists() {
		t.Errorf("a group whose limits failed was left behind: %v", err)
	}
}

func TestAGroupThatIsGoneIsEmpty(t *testing.T) {
	g, err := cgroup.Open(testGroup + "/never-was")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.Kill(t.Context()), g.Destroy(), g.Signal(syscall.SIGTERM)); err != nil || g.Exists() {
		t.Errorf("got %v", err)
	}
	if err := g.Add(os.Getpid()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("joining it: %v", err)
	}
}
