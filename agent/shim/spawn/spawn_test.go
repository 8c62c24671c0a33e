package spawn_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"caravan/agent/shim/spawn"
)

// run starts a script and returns its output and result.
func run(t *testing.T, script string, edit func(*spawn.Command)) (string, spawn.Result) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := spawn.Command{
		Argv: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/", Files: []*os.File{w, w, w}, Umask: 0o022,
		OOMScoreAdj: inheritedOOMScore(t),
	}
	if edit != nil {
		edit(&c)
	}
	p, err := spawn.Start(c)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), p.Result()
}

func inheritedOOMScore(t *testing.T) int {
	raw, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPlaceSeesTheNewProgramBeforeItsFirstInstruction(t *testing.T) {
	var seen []string
	out, result := run(t, "echo ran", func(c *spawn.Command) {
		c.Place = func(pid int) error {
			exe, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
			stat, _ := spawn.StatFields(pid)
			// "t" is stopped by a tracer; utime and stime are fields 14 and 15.
			seen = append(seen, exe, string(stat[0]), string(stat[11]))
			return err
		}
	})
	if out != "ran\n" || result.Code() != 0 {
		t.Errorf("output %q, code %d", out, result.Code())
	}
	if len(seen) != 3 || strings.Contains(seen[0], "spawn.test") || seen[1] != "t" || seen[2] != "0" {
		t.Errorf("seen while placing: %q", seen)
	}
}

func TestPlaceThatFailsLeavesNoProcess(t *testing.T) {
	failure := errors.New("no room")
	var pid int
	_, err := spawn.Start(spawn.Command{
		Argv: []string{"/bin/sh", "-c", "echo must not run > /dev/full"}, Dir: "/", OOMScoreAdj: inheritedOOMScore(t),
		Place: func(p int) error { pid = p; return failure },
	})
	var launch *spawn.LaunchError
	if !errors.Is(err, failure) || !errors.As(err, &launch) || launch.Code != 126 {
		t.Errorf("got %v", err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v", pid, err)
	}
}

func TestUmaskIsTheChildsAlone(t *testing.T) {
	before := syscall.Umask(0o022)
	syscall.Umask(before)
	out, _ := run(t, "umask", func(c *spawn.Command) { c.Umask = 0o137 })
	if out != "0137\n" {
		t.Errorf("child: %q", out)
	}
	if after := syscall.Umask(before); after != before {
		t.Errorf("ours went from %#o to %#o", before, after)
	}
}

func TestChildLeadsItsSession(t *testing.T) {
	out, _ := run(t, `read pid comm state ppid pgrp session rest < /proc/self/stat; echo $pgrp $session $$`, nil)
	f := strings.Fields(out)
	if len(f) != 3 || f[0] != f[2] || f[1] != f[2] {
		t.Errorf("group, session, pid: %q", f)
	}
}

func TestSignalAfterTheEndIsRefused(t *testing.T) {
	p, err := spawn.Start(spawn.Command{Argv: []string{"/bin/true"}, Dir: "/", OOMScoreAdj: inheritedOOMScore(t)})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal: %v", err)
	}
	if err := p.SignalGroup(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal group: %v", err)
	}
}

func TestResultCode(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 3, "kill -TERM $$": 143, "kill -KILL $$": 137} {
		if _, r := run(t, script, nil); r.Code() != want {
			t.Errorf("%s: %d, want %d", script, r.Code(), want)
		}
	}
}

// TestSubreaperCollectsOrphans makes this test process a subreaper for a while.
func TestSubreaperCollectsOrphans(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	// The orphan ends while the child runs, and is collected: afterwards it is not even a zombie.
	out, _ := run(t, `(true & echo $!) | { read pid; while [ -e /proc/$pid ]; do sleep 0.01; done; echo $pid collected; }`,
		func(c *spawn.Command) { c.ReapOrphans = true })
	if !strings.HasSuffix(out, "collected\n") {
		t.Errorf("output %q", out)
	}
	// One that lives on is killed and collected.
	out, _ = run(t, `setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $!`, func(c *spawn.Command) { c.ReapOrphans = true })
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := spawn.KillDescendants(ctx); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v", pid, err)
	}
}
