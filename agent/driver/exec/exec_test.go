package exec_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"caravan/agent/cgroup"
	"caravan/agent/driver"
	"caravan/agent/driver/exec"
	"caravan/agent/shim"
)

const testGroup = "/caravan-test-exec"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "shim" {
		os.Exit(shim.Main(os.Args[2]))
	}
	code := m.Run()
	g, err := cgroup.Open(testGroup)
	if err == nil {
		// A shim may still be about to end after its task has.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err = errors.Join(g.Kill(ctx), g.Destroy())
		cancel()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// start runs a script as a task that cannot outlive the test.
func start(t *testing.T, script string) (driver.Task, driver.AllocSpec) {
	t.Helper()
	d, err := exec.New(exec.Config{Config: shim.Config{Command: []string{os.Args[0], "shim"}, CgroupParent: testGroup}})
	if err != nil {
		t.Fatal(err)
	}
	if c := d.Capabilities(); !c.Limits || !c.Exec || !c.Real {
		t.Fatalf("capabilities %+v", c)
	}
	spec := driver.AllocSpec{
		ID: strings.ReplaceAll(t.Name(), "/", "-"), Dir: filepath.Join(t.TempDir(), "a"),
		Argv: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin", "A=task"},
	}
	task, err := d.Start(patient(t), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, waitErr := task.Wait(ctx)
		if err := errors.Join(task.Stop(ctx, syscall.SIGKILL, 0), waitErr); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { _ = task.Stop(context.Background(), syscall.SIGKILL, 0) })
	return task, spec
}

// running is a task that runs until it is stopped.
func running(t *testing.T) (driver.Task, driver.AllocSpec) {
	t.Helper()
	task, spec := start(t, "exec sleep 1000")
	for s := (driver.Status{}); s.Phase != driver.PhaseRunning; {
		var err error
		if s, err = task.Status(patient(t)); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Millisecond)
	}
	return task, spec
}

// open starts a command beside a task.
func open(t *testing.T, task driver.Task, req driver.ExecRequest) driver.Session {
	t.Helper()
	s, err := task.Exec(patient(t), req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func shell(script string) driver.ExecRequest {
	return driver.ExecRequest{Argv: []string{"sh", "-c", script}}
}

func TestDriverRunsAndAttaches(t *testing.T) {
	task, spec := start(t, "exit 3")
	d, err := exec.New(exec.Config{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.Attach(spec.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range []driver.Task{task, again} {
		if exit, err := task.Wait(patient(t)); err != nil || exit.ExitCode != 3 {
			t.Errorf("got %+v, %v", exit, err)
		}
	}
	if _, err := d.Attach(t.TempDir()); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("attach to nothing: %v", err)
	}
}

func TestCommandSharesTheTasksPlace(t *testing.T) {
	task, spec := running(t)
	req := shell(`pwd; echo $A $B; cat /proc/self/cgroup; echo oops >&2; cat; exit 5`)
	req.Env = []string{"B=extra"}
	s := open(t, task, req)
	fmt.Fprint(s.Stdin(), "typed")
	if err := s.Stdin().Close(); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(s.Stdout())
	if err != nil {
		t.Fatal(err)
	}
	errOut, _ := io.ReadAll(s.Stderr())
	code, err := s.Wait(patient(t))
	if err != nil || code != 5 || string(errOut) != "oops\n" {
		t.Errorf("code %d, stderr %q, %v", code, errOut, err)
	}
	if !strings.HasPrefix(string(out), filepath.Join(spec.Dir, "work")+"\ntask extra\n") || !strings.HasSuffix(string(out), "typed") {
		t.Errorf("output %q", out)
	}
	if !strings.Contains(string(out), testGroup+"/task-"+spec.ID) {
		t.Errorf("not in the task's control group: %s", out)
	}
	if err := s.Resize(driver.TerminalSize{Rows: 1, Cols: 1}); !errors.Is(err, driver.ErrUnsupported) {
		t.Errorf("resize without a terminal: %v", err)
	}
}

func TestTerminal(t *testing.T) {
	task, _ := running(t)
	req := shell(`tty -s && stty size; trap 'stty size; exit 6' WINCH; echo ready; while :; do sleep 0.01; done`)
	req.Terminal, req.Size = true, driver.TerminalSize{Rows: 24, Cols: 80}
	s := open(t, task, req)
	lines := bufio.NewScanner(s.Stdout())
	expect := func(want string) {
		t.Helper()
		if !lines.Scan() || strings.TrimSpace(lines.Text()) != want {
			t.Fatalf("got %q, %v; want %q", lines.Text(), lines.Err(), want)
		}
	}
	expect("24 80")
	expect("ready")
	if err := s.Resize(driver.TerminalSize{Rows: 50, Cols: 132}); err != nil {
		t.Fatal(err)
	}
	expect("50 132")
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("after the end: %q, %v", lines.Text(), lines.Err())
	}
	if code, err := s.Wait(patient(t)); err != nil || code != 6 {
		t.Errorf("code %d, %v", code, err)
	}
}

func TestClosingTheInputOfATerminalIsAnEndOfFile(t *testing.T) {
	task, _ := running(t)
	req := shell(`stty -echo; echo ready; cat; echo end`)
	req.Terminal = true
	s := open(t, task, req)
	r := bufio.NewReader(s.Stdout())
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(s.Stdin(), "typed\n")
	if err := s.Stdin().Close(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if err != nil || string(rest) != "typed\r\nend\r\n" {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestCommandDiesWithItsTask(t *testing.T) {
	task, _ := running(t)
	s := open(t, task, shell("echo ready; sleep 1000"))
	if _, err := bufio.NewReader(s.Stdout()).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := task.Stop(patient(t), syscall.SIGTERM, time.Hour); err != nil {
		t.Fatal(err)
	}
	if exit, err := task.Wait(patient(t)); err != nil || exit.Reason != driver.ReasonStopped {
		t.Errorf("got %+v, %v", exit, err)
	}
	if code, err := s.Wait(patient(t)); err != nil || code != 137 {
		t.Errorf("code %d, %v", code, err)
	}
	if _, err := task.Exec(patient(t), shell("true")); !errors.Is(err, driver.ErrNotRunning) {
		t.Errorf("exec after the end: %v", err)
	}
}

func TestSignalAndCloseEndACommandAndNotTheTask(t *testing.T) {
	task, _ := running(t)
	s := open(t, task, shell("trap 'exit 9' INT; echo ready; while :; do sleep 0.01; done"))
	if _, err := bufio.NewReader(s.Stdout()).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := s.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code, err := s.Wait(patient(t)); err != nil || code != 9 {
		t.Errorf("code %d, %v", code, err)
	}
	s = open(t, task, shell("sleep 1000"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if code, err := s.Wait(patient(t)); err != nil || code != 137 {
		t.Errorf("code %d, %v", code, err)
	}
	if st, err := task.Status(patient(t)); err != nil || st.Phase != driver.PhaseRunning {
		t.Errorf("the task is %+v, %v", st, err)
	}
}

func TestCommandThatDoesNotExist(t *testing.T) {
	task, _ := running(t)
	if _, err := task.Exec(patient(t), driver.ExecRequest{Argv: []string{"no-such-program"}}); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("got %v", err)
	}
	if _, err := task.Exec(patient(t), driver.ExecRequest{}); err == nil {
		t.Error("an empty command was accepted")
	}
}
