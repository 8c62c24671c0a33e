package shim_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"caravan/agent/driver"
	"caravan/agent/logs"
	"caravan/agent/shim"
)

// release is a script that ends with code 3 once the test creates a file.
const release = `echo $$; while ! [ -e go ]; do sleep 0.01; done; echo after; exit 3`

func letGo(t *testing.T, spec driver.AllocSpec) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(spec.Dir, "work", "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func attach(t *testing.T, dir string) *shim.Handle {
	t.Helper()
	h, err := shim.Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestTaskSurvivesKillOfTheAgent(t *testing.T) {
	spec := newSpec(t, release)
	agent := startAgent(t, spec)
	pid := atoi(t, awaitLine(t, spec.Dir, logs.Stdout))
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait()
	if !alive(pid) {
		t.Fatal("the task died with the agent")
	}
	h := attach(t, spec.Dir)
	letGo(t, spec)
	if exit := wait(t, h); exit.Reason != driver.ReasonExited || exit.ExitCode != 3 {
		t.Errorf("got %+v", exit)
	}
	if got := output(t, spec.Dir, logs.Stdout); !strings.HasSuffix(got, "after\n") {
		t.Errorf("output after the kill was lost: %q", got)
	}
}

func TestExitOfATaskThatEndedWithoutAnAgentIsKept(t *testing.T) {
	spec := newSpec(t, release)
	agent := startAgent(t, spec)
	awaitLine(t, spec.Dir, logs.Stdout)
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait()
	letGo(t, spec)
	eventually(t, "the exit is written", func() bool {
		_, err := os.Stat(filepath.Join(spec.Dir, "exit.json"))
		return err == nil
	})
	if exit := wait(t, attach(t, spec.Dir)); exit.ExitCode != 3 {
		t.Errorf("got %+v", exit)
	}
}

func TestLaunchIsIdempotentPerDirectory(t *testing.T) {
	spec := newSpec(t, "echo once >> ../ran; "+release)
	l := newLauncher(t, testGroup)
	var together sync.WaitGroup
	for range 8 {
		together.Go(func() { launch(t, l, spec) })
	}
	together.Wait()
	h := launch(t, l, spec)
	letGo(t, spec)
	if exit := wait(t, h); exit.ExitCode != 3 {
		t.Errorf("got %+v", exit)
	}
	if exit := wait(t, launch(t, l, spec)); exit.ExitCode != 3 {
		t.Errorf("launch after the end: %+v", exit)
	}
	if raw, err := os.ReadFile(filepath.Join(spec.Dir, "ran")); err != nil || string(raw) != "once\n" {
		t.Errorf("the command ran like this: %q, %v", raw, err)
	}
}

func TestDeadShimIsReportedAfterItsProcessesAreKilled(t *testing.T) {
	for _, parent := range []string{testGroup, ""} {
		t.Run("group="+parent, func(t *testing.T) {
			// The second process is in a session of its own and no child of the command any more.
			spec := newSpec(t, `(setsid sh -c 'echo $$ > orphan.tmp; mv orphan.tmp orphan; exec sleep 1000' &); while ! [ -e orphan ]; do sleep 0.01; done; echo $$; sleep 1000`)
			h := launch(t, newLauncher(t, parent), spec)
			main := atoi(t, awaitLine(t, spec.Dir, logs.Stdout))
			raw, err := os.ReadFile(filepath.Join(spec.Dir, "work", "orphan"))
			if err != nil {
				t.Fatal(err)
			}
			orphan := atoi(t, string(raw))
			status, err := h.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(status.ShimPID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			exit := wait(t, h)
			if exit.Reason != driver.ReasonShimLost || exit.ExitCode != -1 || exit.Success() {
				t.Errorf("got %+v", exit)
			}
			if alive(main) || alive(orphan) {
				t.Errorf("still alive: command %v, orphan %v", alive(main), alive(orphan))
			}
			groupIsGone(t, spec.ID)
			// Followers end, and a later agent reads the same.
			if got := output(t, spec.Dir, logs.Stdout); atoi(t, got) != main {
				t.Errorf("output %q", got)
			}
			if x, err := logs.ReadIndex(filepath.Join(spec.Dir, shim.LogDir), logs.Stdout); err != nil || !x.Closed {
				t.Errorf("the log is not sealed: %+v, %v", x, err)
			}
			if again := wait(t, attach(t, spec.Dir)); again != exit {
				t.Errorf("first %+v, then %+v", exit, again)
			}
		})
	}
}

func TestCommandDiesWithItsShimBeforeAnybodyLooks(t *testing.T) {
	spec := newSpec(t, "echo $$; exec sleep 1000")
	h := launch(t, newLauncher(t, testGroup), spec)
	pid := atoi(t, awaitLine(t, spec.Dir, logs.Stdout))
	status, err := h.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(status.ShimPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the kernel kills the command", func() bool { return !alive(pid) })
}

func TestRebootIsReportedWithoutTouchingPIDs(t *testing.T) {
	spec := newSpec(t, "sleep 1000")
	if err := os.MkdirAll(filepath.Join(spec.Dir, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	const status = `{"phase":"running","boot_id":"another","pid":1,"shim_pid":1,"started_ms":5}`
	if err := os.WriteFile(filepath.Join(spec.Dir, "status.json"), []byte(status), 0o600); err != nil {
		t.Fatal(err)
	}
	exit := wait(t, attach(t, spec.Dir))
	if exit.Reason != driver.ReasonShimLost || exit.StartedMs != 5 || !strings.Contains(exit.Detail, "restarted") {
		t.Errorf("got %+v", exit)
	}
}

func TestSigtermToTheShimStopsTheTaskGracefully(t *testing.T) {
	spec := newSpec(t, `trap 'echo saved; exit 75' TERM; echo ready; while :; do sleep 0.05; done`)
	h := launch(t, newLauncher(t, testGroup), spec)
	awaitLine(t, spec.Dir, logs.Stdout)
	status, err := h.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(status.ShimPID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if exit := wait(t, h); exit.Reason != driver.ReasonStopped || exit.ExitCode != 75 {
		t.Errorf("got %+v", exit)
	}
}
