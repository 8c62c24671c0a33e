package shim_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"caravan/agent/driver"
	"caravan/agent/logs"
	"caravan/agent/shim"
)

func TestExitIsReportedAsItWas(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		reason       driver.Reason
		code, signal int
	}{
		{"success", "exit 0", driver.ReasonExited, 0, 0},
		{"code", "exit 3", driver.ReasonExited, 3, 0},
		{"requeue code", "exit 75", driver.ReasonExited, 75, 0},
		{"term", "kill -TERM $$", driver.ReasonSignaled, 143, 15},
		{"kill", "kill -KILL $$", driver.ReasonSignaled, 137, 9},
	} {
		t.Run(strings.ReplaceAll(tc.name, " ", "-"), func(t *testing.T) {
			exit := runSpec(t, newSpec(t, tc.script))
			if exit.Reason != tc.reason || exit.ExitCode != tc.code || exit.Signal != tc.signal {
				t.Errorf("got %+v", exit)
			}
			if exit.Success() != (tc.code == 0) {
				t.Errorf("Success() = %v for %+v", exit.Success(), exit)
			}
			if exit.StartedMs == 0 || exit.EndedMs < exit.StartedMs {
				t.Errorf("started %d, ended %d", exit.StartedMs, exit.EndedMs)
			}
		})
	}
}

func TestCommandThatCannotStartIsALaunchFailure(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(*driver.AllocSpec)
		code int
		hint string
	}{
		{"not-found", func(s *driver.AllocSpec) { s.Argv = []string{"no-such-program"} }, 127, "PATH"},
		{"not-executable", func(s *driver.AllocSpec) { s.Argv = []string{"/etc/passwd"} }, 126, "/etc/passwd"},
		{"no-work-dir", func(s *driver.AllocSpec) { s.WorkDir = "/nonexistent" }, 126, "work directory"},
		{"bad-rlimit", func(s *driver.AllocSpec) { s.Rlimits = []driver.Rlimit{{Resource: 7, Soft: 9, Hard: 3}} }, 126, "resource limit"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := newSpec(t, "exit 0")
			tc.edit(&spec)
			exit := runSpec(t, spec)
			if exit.Reason != driver.ReasonLaunchFailed || exit.ExitCode != tc.code || !strings.Contains(exit.Detail, tc.hint) {
				t.Errorf("got %+v", exit)
			}
			groupIsGone(t, spec.ID)
		})
	}
}

func TestCommandSeesTheEnvironmentItsSpecAsksFor(t *testing.T) {
	spec := newSpec(t, `pwd; umask; echo "$A|$HOME|$CARAVAN_ALLOC_DIR"; ulimit -n; cat /proc/self/oom_score_adj; id -u; id -g; id -G; ls -l /proc/self/fd | wc -l`)
	umask := 0o077
	spec.Env = append(spec.Env, "A=1 2")
	spec.Umask, spec.OOMScoreAdj = &umask, 300
	spec.Rlimits = []driver.Rlimit{{Resource: 7, Soft: 100, Hard: 200}}
	spec.User = &driver.User{UID: 65534, GID: 65534, Groups: []uint32{4}}
	if err := os.Chmod(filepath.Dir(filepath.Dir(spec.Dir)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(spec.Dir), 0o755); err != nil {
		t.Fatal(err)
	}
	exit := runSpec(t, spec)
	// 0, 1, 2, the directory that ls reads, and the line with the total.
	want := fmt.Sprintf("%s\n0077\n1 2||%s\n100\n300\n65534\n65534\n65534 4\n5\n", filepath.Join(spec.Dir, "work"), spec.Dir)
	if got := output(t, spec.Dir, logs.Stdout); got != want {
		t.Errorf("got:\n%s\nwant:\n%s\n%+v\n%s", got, want, exit, output(t, spec.Dir, logs.Stderr))
	}
}

func TestStreamsAreKeptApartAndExact(t *testing.T) {
	spec := newSpec(t, `printf 'a\nb'; printf 'x\0y' >&2`)
	exit := runSpec(t, spec)
	if got := output(t, spec.Dir, logs.Stdout); got != "a\nb" {
		t.Errorf("stdout %q", got)
	}
	if got := output(t, spec.Dir, logs.Stderr); got != "x\x00y" {
		t.Errorf("stderr %q", got)
	}
	if exit.StdoutBytes != 3 || exit.StderrBytes != 3 {
		t.Errorf("got %+v", exit)
	}
}

func TestFloodKeepsExactlyTheNewestSegments(t *testing.T) {
	const total, segment, keep = 10_000_000, 1 << 20, 3
	spec := newSpec(t, "")
	spec.Argv = []string{os.Args[0], "task", "flood", fmt.Sprint(total)}
	spec.Logs = driver.LogPolicy{SegmentBytes: segment, Segments: keep}
	exit := runSpec(t, spec)
	if !exit.Success() || exit.StdoutBytes != total {
		t.Fatalf("got %+v", exit)
	}
	first := (total/segment - keep + 1) * segment
	if got, want := output(t, spec.Dir, logs.Stdout), flood(total)[first:]; !bytes.Equal([]byte(got), want) {
		t.Errorf("kept %d bytes, want the last %d", len(got), len(want))
	}
}

func TestMemoryLimitEndsInOOM(t *testing.T) {
	spec := newSpec(t, "")
	spec.Argv = []string{os.Args[0], "task", "touch", fmt.Sprint(256 << 20)}
	spec.Resources.MemoryBytes = 48 << 20
	exit := runSpec(t, spec)
	if exit.Reason != driver.ReasonOOM || exit.OOMKills < 1 || exit.ExitCode != 137 {
		t.Errorf("got %+v", exit)
	}
	// The kernel lets a charge overshoot by some pages while it kills.
	if exit.PeakBytes > 49<<20 {
		t.Errorf("peak %d is above the limit", exit.PeakBytes)
	}
}

func TestOOMOfAChildIsTheReasonOfAFailedParent(t *testing.T) {
	spec := newSpec(t, fmt.Sprintf("%s task touch %d || exit 4", os.Args[0], 256<<20))
	spec.Resources.MemoryBytes = 48 << 20
	exit := runSpec(t, spec)
	if exit.Reason != driver.ReasonOOM || exit.ExitCode != 4 {
		t.Errorf("got %+v", exit)
	}
}

func TestPeakMemoryIsThatOfTheTask(t *testing.T) {
	spec := newSpec(t, "")
	spec.Argv = []string{os.Args[0], "task", "touch", fmt.Sprint(64 << 20)}
	exit := runSpec(t, spec)
	if exit.PeakBytes < 64<<20 || exit.PeakBytes > 96<<20 {
		t.Errorf("peak is %d MiB, want 64 to 96", exit.PeakBytes>>20)
	}
}

func TestCPUTimeIsThatOfTheTask(t *testing.T) {
	spec := newSpec(t, "")
	spec.Argv = []string{os.Args[0], "task", "burn", "300"}
	exit := runSpec(t, spec)
	// The group is charged from the first instruction on; the split may be off by ticks.
	if exit.UserMs+exit.SystemMs < 300 || exit.UserMs < 150 {
		t.Errorf("user %d ms, system %d ms, want 300 in all", exit.UserMs, exit.SystemMs)
	}
}

func TestProcessLimitStopsForks(t *testing.T) {
	spec := newSpec(t, "for i in 1 2 3 4 5 6 7 8; do sleep 60 & done; echo not reached; wait")
	spec.Resources.Pids = 4
	exit := runSpec(t, spec)
	if exit.ExitCode == 0 || strings.Contains(output(t, spec.Dir, logs.Stdout), "not reached") {
		t.Errorf("got %+v", exit)
	}
}

func TestTimeLimit(t *testing.T) {
	t.Run("obeyed", func(t *testing.T) {
		spec := newSpec(t, `trap 'echo checkpoint; exit 75' TERM; while :; do sleep 0.05; done`)
		spec.TimeLimitMs, spec.GraceMs = 100, 60_000
		exit := runSpec(t, spec)
		if exit.Reason != driver.ReasonTimeLimit || exit.ExitCode != 75 {
			t.Errorf("got %+v", exit)
		}
		if got := output(t, spec.Dir, logs.Stdout); got != "checkpoint\n" {
			t.Errorf("output %q", got)
		}
	})
	t.Run("ignored", func(t *testing.T) {
		spec := newSpec(t, `trap '' TERM; while :; do sleep 0.05; done`)
		spec.TimeLimitMs, spec.GraceMs = 100, 100
		exit := runSpec(t, spec)
		if exit.Reason != driver.ReasonTimeLimit || exit.Signal != int(syscall.SIGKILL) {
			t.Errorf("got %+v", exit)
		}
	})
}

func TestSilenceEndsATask(t *testing.T) {
	spec := newSpec(t, `echo begun; exec sleep 1000`)
	spec.NoOutputMs = 100
	exit := runSpec(t, spec)
	if exit.Reason != driver.ReasonNoOutput || !strings.Contains(exit.Detail, "wrote nothing to its log for 100ms") {
		t.Errorf("got %+v", exit)
	}
}

func TestATaskThatWritesNowAndThenIsNotSilent(t *testing.T) {
	spec := newSpec(t, `for i in 1 2 3; do echo $i; sleep 0.05; done`)
	spec.NoOutputMs = 60_000
	if exit := runSpec(t, spec); !exit.Success() {
		t.Errorf("got %+v", exit)
	}
}

func TestSuccessThatComesTooSoonIsAFailure(t *testing.T) {
	spec := newSpec(t, `true`)
	spec.MinRuntimeMs = 1000_000
	if exit := runSpec(t, spec); exit.Reason != driver.ReasonTooFast || exit.Success() {
		t.Errorf("got %+v", exit)
	}
	spec = newSpec(t, `exit 3`)
	spec.MinRuntimeMs = 1000_000
	if exit := runSpec(t, spec); exit.Reason != driver.ReasonExited || exit.ExitCode != 3 {
		t.Errorf("a failure stays what it is, got %+v", exit)
	}
}

func TestStopGivesGraceThenKills(t *testing.T) {
	t.Run("grace-used", func(t *testing.T) {
		spec := newSpec(t, `trap 'echo saved; exit 0' USR1; echo ready; while :; do sleep 0.05; done`)
		h := launch(t, newLauncher(t, testGroup), spec)
		awaitLine(t, spec.Dir, logs.Stdout)
		if err := h.Stop(context60(t), syscall.SIGUSR1, time.Hour); err != nil {
			t.Fatal(err)
		}
		exit := wait(t, h)
		if exit.Reason != driver.ReasonStopped || exit.ExitCode != 0 || exit.Success() {
			t.Errorf("got %+v", exit)
		}
		if got := output(t, spec.Dir, logs.Stdout); got != "ready\nsaved\n" {
			t.Errorf("output %q", got)
		}
	})
	t.Run("second-stop-shortens-the-grace", func(t *testing.T) {
		spec := newSpec(t, `trap '' TERM; echo ready; while :; do sleep 0.05; done`)
		h := launch(t, newLauncher(t, testGroup), spec)
		awaitLine(t, spec.Dir, logs.Stdout)
		for _, grace := range []time.Duration{time.Hour, 0} {
			if err := h.Stop(context60(t), syscall.SIGTERM, grace); err != nil {
				t.Fatal(err)
			}
		}
		if exit := wait(t, h); exit.Reason != driver.ReasonStopped || exit.Signal != int(syscall.SIGKILL) {
			t.Errorf("got %+v", exit)
		}
	})
	t.Run("before-the-start", func(t *testing.T) {
		spec := newSpec(t, `sleep 1000`)
		h := launch(t, newLauncher(t, testGroup), spec)
		if err := h.Stop(context60(t), syscall.SIGKILL, 0); err != nil {
			t.Fatal(err)
		}
		if exit := wait(t, h); exit.Reason != driver.ReasonStopped {
			t.Errorf("got %+v", exit)
		}
	})
	t.Run("after-the-end", func(t *testing.T) {
		h := launch(t, newLauncher(t, testGroup), newSpec(t, "exit 3"))
		wait(t, h)
		if err := h.Stop(context60(t), syscall.SIGTERM, 0); err != nil {
			t.Errorf("stop after the end: %v", err)
		}
		if err := h.Signal(context60(t), syscall.SIGTERM); !errors.Is(err, driver.ErrNotRunning) {
			t.Errorf("signal after the end: %v", err)
		}
		if exit := wait(t, h); exit.Reason != driver.ReasonExited || exit.ExitCode != 3 {
			t.Errorf("got %+v", exit)
		}
	})
}

func TestSignalReachesTheTaskWithoutEndingIt(t *testing.T) {
	spec := newSpec(t, `trap 'echo hup' HUP; echo ready; while ! [ -e done ]; do sleep 0.01; done`)
	h := launch(t, newLauncher(t, testGroup), spec)
	awaitLine(t, spec.Dir, logs.Stdout)
	if err := h.Signal(context60(t), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the trap ran", func() bool { return strings.Contains(output(t, spec.Dir, logs.Stdout), "hup") })
	if err := os.WriteFile(filepath.Join(spec.Dir, "work", "done"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if exit := wait(t, h); !exit.Success() {
		t.Errorf("got %+v", exit)
	}
}

func TestNothingTheCommandForkedSurvivesIt(t *testing.T) {
	// A plain child, one in a session of its own, and a double-forked orphan.
	const script = `sleep 1000 & echo $!; setsid sleep 1000 & echo $!; (setsid sh -c 'echo $$; exec sleep 1000' &); sleep 0.2; exit 0`
	for _, parent := range []string{testGroup, ""} {
		t.Run("group="+parent, func(t *testing.T) {
			spec := newSpec(t, script)
			exit := wait(t, launch(t, newLauncher(t, parent), spec))
			if !exit.Success() {
				t.Fatalf("got %+v", exit)
			}
			pids := strings.Fields(output(t, spec.Dir, logs.Stdout))
			if len(pids) != 3 {
				t.Fatalf("pids %q", pids)
			}
			for _, pid := range pids {
				if alive(atoi(t, pid)) {
					t.Errorf("process %s is alive", pid)
				}
			}
			groupIsGone(t, spec.ID)
		})
	}
}

func TestVerifyJudgesSuccess(t *testing.T) {
	for _, tc := range []struct {
		name, verify string
		limitMs      int64
		reason       driver.Reason
		detail       string
	}{
		{"passes", "test -s result && echo fine", 0, driver.ReasonExited, ""},
		{"fails", "echo bad >&2; exit 5", 0, driver.ReasonVerify, "code 5"},
		{"hangs", "sleep 1000", 100, driver.ReasonVerify, "time limit"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := newSpec(t, "echo made > result")
			spec.Verify = &driver.Verify{Argv: []string{"sh", "-c", tc.verify}, TimeLimitMs: tc.limitMs}
			exit := runSpec(t, spec)
			if exit.Reason != tc.reason || exit.ExitCode != 0 || !strings.Contains(exit.Detail, tc.detail) {
				t.Errorf("got %+v", exit)
			}
		})
	}
	t.Run("does-not-run-after-failure", func(t *testing.T) {
		spec := newSpec(t, "exit 2")
		spec.Verify = &driver.Verify{Argv: []string{"sh", "-c", "echo ran"}}
		if exit := runSpec(t, spec); exit.Reason != driver.ReasonExited || exit.ExitCode != 2 || output(t, spec.Dir, logs.Stdout) != "" {
			t.Errorf("got %+v", exit)
		}
	})
}

func TestDeclaredOutputsMustExist(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		reason       driver.Reason
		detail       string
	}{
		{"there", "mkdir f; touch f/1.png f/2.png movie.mp4", driver.ReasonExited, ""},
		{"one-missing", "mkdir f; touch f/1.png", driver.ReasonOutputMissing, "movie.mp4"},
		{"glob-empty", "touch movie.mp4", driver.ReasonOutputMissing, "f/*.png"},
		{"link-out", "mkdir f; touch f/1.png; ln -s /etc/passwd movie.mp4", driver.ReasonOutputMissing, "symbolic link"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := newSpec(t, tc.script)
			spec.Outputs = []driver.Output{{Path: "f/*.png", To: "/somewhere/"}, {Path: "movie.mp4"}}
			exit := runSpec(t, spec)
			if exit.Reason != tc.reason || !strings.Contains(exit.Detail, tc.detail) {
				t.Errorf("got %+v", exit)
			}
		})
	}
}

func TestWithoutControlGroupsTheStatusSaysSo(t *testing.T) {
	spec := newSpec(t, "echo ready; sleep 1000")
	spec.Resources.MemoryBytes = 1 << 30
	h := launch(t, newLauncher(t, ""), spec)
	awaitLine(t, spec.Dir, logs.Stdout)
	status, err := h.Status(t.Context())
	if err != nil || status.Limits != driver.LimitsNone || status.LimitsDetail == "" {
		t.Errorf("got %+v, %v", status, err)
	}
	if err := h.Stop(context60(t), syscall.SIGTERM, time.Hour); err != nil {
		t.Fatal(err)
	}
	if exit := wait(t, h); exit.Reason != driver.ReasonStopped || exit.PeakBytes == 0 {
		t.Errorf("got %+v", exit)
	}
}

func TestUnprivilegedAgentRunsTasksWithoutLimitsAndSaysSo(t *testing.T) {
	const nobody = 65534
	home, err := os.MkdirTemp("", "caravan-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	program := filepath.Join(home, "program")
	if out, err := exec.Command("cp", os.Args[0], program).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if err := errors.Join(os.Chown(home, nobody, nobody), os.Chmod(home, 0o755), os.Chmod(program, 0o755)); err != nil {
		t.Fatal(err)
	}
	spec := newSpec(t, "id -u; (setsid sleep 1000 >&2 &); echo $!")
	spec.Dir = filepath.Join(home, "alloc")
	spec.Resources.MemoryBytes = 1 << 30
	agent := startAgentAs(t, spec, program, home, &syscall.Credential{Uid: nobody, Gid: nobody})
	t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
	exit := wait(t, attach(t, spec.Dir))
	if !exit.Success() || !strings.HasPrefix(output(t, spec.Dir, logs.Stdout), "65534\n") || exit.PeakBytes == 0 {
		t.Errorf("got %+v", exit)
	}
	status, err := attach(t, spec.Dir).Status(t.Context())
	if err != nil || status.Limits != driver.LimitsNone || !strings.Contains(status.LimitsDetail, "run as root") {
		t.Errorf("got %+v, %v", status, err)
	}
}

func TestStatusShowsARunningTask(t *testing.T) {
	spec := newSpec(t, "echo $$; sleep 1000")
	h := launch(t, newLauncher(t, testGroup), spec)
	pid := atoi(t, awaitLine(t, spec.Dir, logs.Stdout))
	eventually(t, "phase running", func() bool {
		s, err := h.Status(t.Context())
		return err == nil && s.Phase == driver.PhaseRunning
	})
	s, err := h.Status(t.Context())
	if err != nil || s.PID != pid || s.Limits != driver.LimitsCgroup || s.Usage.CurrentBytes == 0 || s.StartedMs == 0 || !alive(s.ShimPID) {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestShimLivesInAGroupOfItsOwn(t *testing.T) {
	spec := newSpec(t, "cat /proc/self/cgroup; cat /proc/$PPID/cgroup >&2")
	runSpec(t, spec)
	for _, c := range []string{"memory", "pids", "freezer"} {
		if got := output(t, spec.Dir, logs.Stdout); !strings.Contains(got, c+":"+testGroup+"/task-"+spec.ID) && !strings.Contains(got, "0::"+testGroup) {
			t.Errorf("the task is not in its %s group:\n%s", c, got)
		}
		if got := output(t, spec.Dir, logs.Stderr); !strings.Contains(got, c+":"+testGroup+"/shim") && !strings.Contains(got, "0::"+testGroup+"/shim") {
			t.Errorf("the shim is not in its %s group:\n%s", c, got)
		}
	}
}

func TestSpecsThatCannotRunAreRefused(t *testing.T) {
	l := newLauncher(t, testGroup)
	for name, edit := range map[string]func(*driver.AllocSpec){
		"no command":                func(s *driver.AllocSpec) { s.Argv = nil },
		"id with slash":             func(s *driver.AllocSpec) { s.ID = "../x" },
		"relative dir":              func(s *driver.AllocSpec) { s.Dir = "x" },
		"bad env":                   func(s *driver.AllocSpec) { s.Env = []string{"novalue"} },
		"negative time":             func(s *driver.AllocSpec) { s.TimeLimitMs = -1 },
		"negative limit on silence": func(s *driver.AllocSpec) { s.NoOutputMs = -1 },
	} {
		spec := newSpec(t, "exit 0")
		edit(&spec)
		if _, err := l.Launch(t.Context(), spec); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := shim.Attach(t.TempDir()); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("attach to nothing: %v", err)
	}
}
