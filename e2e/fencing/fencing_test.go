// Package fencing takes agents and servers away from running tasks and checks that a task that
// must not run twice never does, and that one whose node is well is left alone.
package fencing

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/e2e/harness"
)

// bin is the caravan binary under test, built once.
var bin string

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, &bin))
}

// world is a cluster with short leases.
type world struct {
	t    *testing.T
	ctx  context.Context
	c    *harness.Cluster
	sdk  *client.Client
	file string // where tasks leave their marks
}

func newWorld(t *testing.T, agents int, lease string) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	// Not t.TempDir: its path is too long for the sockets below it.
	dir, err := os.MkdirTemp("", "cv-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &world{t: t, ctx: ctx, file: filepath.Join(dir, "marks")}
	w.c, err = harness.Start(ctx, harness.Options{
		Bin: bin, Dir: dir, Servers: 1, Agents: agents,
		ServerFlags: []string{"--timing", "lan", "--lease", lease, "--kill-grace", "1s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.c.Stop)
	if w.sdk, err = client.New(client.Config{Addresses: []string{w.c.Servers[0].Addr}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.sdk.Close() })
	t.Cleanup(func() { w.killTasks(dir) })
	return w
}

// killTasks ends what a test leaves running: nobody comes back for it.
func (w *world) killTasks(dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "a*", "allocs", "*", "status.json"))
	if err != nil {
		w.t.Error(err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(raw), `"shim_pid":`)
		pid, _, _ := strings.Cut(after, ",")
		if n, err := strconv.Atoi(pid); err == nil && !strings.Contains(string(raw), `"ended"`) {
			_ = exec.Command("kill", "-TERM", strconv.Itoa(n)).Run() // it may have ended by now
		}
	}
}

// submit starts a job of one task that marks each moment of its life by its attempt, in spite
// of SIGTERM, and ends when it is told to.
func (w *world) submit(once string) string {
	w.t.Helper()
	script := fmt.Sprintf(`trap '' TERM; while ! [ -e %[1]s.end ]; do echo $CARAVAN_ATTEMPT $CARAVAN_EPOCH >> %[1]s; sleep 0.02; done`, w.file)
	r, err := w.sdk.Jobs.SubmitJob(w.ctx, &pb.SubmitJobRequest{RequestId: client.NewRequestID(), Owner: "e2e", Spec: &pb.JobSpec{
		Name: "marks", Groups: []*pb.TaskGroup{{
			Name: "main", Indices: []*pb.IndexRange{{Step: 1}}, Once: once, KillGraceMs: 60_000,
			Variants: []*pb.Variant{{Name: "cpu", Command: []string{"/bin/sh", "-c", script}, Resources: &pb.Resources{CpuMilli: 100, MemoryMib: 32}}},
		}},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.JobId
}

// marks returns the attempts in the order in which they made their marks, repeats left out.
func (w *world) marks() (order []string) {
	raw, _ := os.ReadFile(w.file) // not there before the first mark
	for l := range strings.Lines(string(raw)) {
		if l = strings.TrimSpace(l); len(order) == 0 || order[len(order)-1] != l {
			order = append(order, l)
		}
	}
	return order
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	if err := harness.Eventually(w.ctx, func() (bool, error) { return ok(), nil }); err != nil {
		w.t.Fatalf("%s: %v; marks %v", what, err, w.marks())
	}
}

// task returns the job's only task.
func (w *world) task(id string) *pb.Task {
	w.t.Helper()
	l, err := w.sdk.Jobs.ListTasks(w.ctx, &pb.ListTasksRequest{JobId: id})
	if err != nil || len(l.Tasks) != 1 {
		w.t.Fatalf("tasks of %s: %v, %v", id, l, err)
	}
	return l.Tasks[0]
}

// running waits for the first mark and returns the agent whose task it is.
func (w *world) running(id string) *harness.Process {
	w.t.Helper()
	w.until("the first mark", func() bool {
		if a := w.task(id); a.State > pb.TaskState_TASK_STATE_RUNNING {
			w.t.Fatalf("the task ended as %v", a.Last)
		}
		return len(w.marks()) > 0
	})
	for _, a := range w.c.Agents {
		if a.Name == w.task(id).Last.GetNode() {
			return a
		}
	}
	w.t.Fatal("the task runs on no agent")
	return nil
}

// end lets the task end and checks its last attempt.
func (w *world) end(id string, attempts int32) {
	w.t.Helper()
	if err := os.WriteFile(w.file+".end", nil, 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.until("the end", func() bool { return w.task(id).State == pb.TaskState_TASK_STATE_SUCCEEDED })
	if got := w.task(id).Attempts; got != attempts {
		w.t.Errorf("%d attempts, want %d", got, attempts)
	}
}

// fates are ways to lose an agent with all that it knows.
func fates() map[string]func(*world, *harness.Process) error {
	return map[string]func(*world, *harness.Process) error{
		"killed":  func(_ *world, a *harness.Process) error { a.Kill(); return nil },
		"stopped": func(_ *world, a *harness.Process) error { return a.Signal(syscall.SIGSTOP) },
	}
}

func TestATaskIsDeadBeforeItIsStartedElsewhere(t *testing.T) {
	for name, befall := range fates() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2, "3s")
			id := w.submit("at_most")
			a := w.running(id)
			if err := befall(w, a); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if a.Running() {
					_ = a.Signal(syscall.SIGCONT) // so that it can be ended
				}
			})
			w.until("the second attempt", func() bool { return len(w.marks()) > 1 })
			w.until("some life of it", func() bool { return lines(w.file, "2 2") > 20 })
			w.end(id, 2)
			if got := w.marks(); strings.Join(got, ",") != "1 1,2 2" {
				t.Errorf("attempt and epoch of the marks: %v", got)
			}
		})
	}
}

func TestATaskIsDeadBeforeServersThatWereAwayStartItAnew(t *testing.T) {
	w := newWorld(t, 2, "3s")
	id := w.submit("at_most")
	w.running(id)
	server := w.c.Servers[0]
	if err := server.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The marks stop although nobody who decides is there.
	before := -1
	w.until("the end of the marks", func() bool {
		now := lines(w.file, "1 1")
		quiet := now == before
		before = now
		<-time.After(200 * time.Millisecond)
		return quiet
	})
	if err := server.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	w.until("the second attempt", func() bool { return len(w.marks()) > 1 })
	w.end(id, 2)
	if got := w.marks(); strings.Join(got, ",") != "1 1,2 2" {
		t.Errorf("attempt and epoch of the marks: %v", got)
	}
}

func TestWhatMayRunTwiceIsStartedElsewhereAtTheLeasesEnd(t *testing.T) {
	w := newWorld(t, 2, "3s")
	id := w.submit("at_least")
	w.running(id).Kill()
	// Both run for a while: nobody is there to end the first.
	w.until("both copies", func() bool {
		first := lines(w.file, "1 1")
		if lines(w.file, "2 2") == 0 {
			return false
		}
		<-time.After(100 * time.Millisecond)
		return lines(w.file, "1 1") > first
	})
	w.end(id, 2)
}

// kills is how often the agent is killed; CARAVAN_KILLS raises it.
func kills(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("CARAVAN_KILLS"))
	if os.Getenv("CARAVAN_KILLS") == "" {
		return 20
	}
	if err != nil || n < 1 {
		t.Fatalf("CARAVAN_KILLS: %v", err)
	}
	return n
}

// Long tasks run through all kills; short ones end while no agent is there.
func TestKilledAgentsLoseNoTaskAndNoExitCode(t *testing.T) {
	w := newWorld(t, 1, "20s")
	long := w.submit("at_most")
	agent := w.running(long)
	n := kills(t)
	script := fmt.Sprintf("echo $CARAVAN_INDEX >> %s.short; sleep 0.1; exit $((CARAVAN_INDEX %% 7))", w.file)
	for i := range n {
		r, err := w.sdk.Jobs.SubmitJob(w.ctx, &pb.SubmitJobRequest{RequestId: client.NewRequestID(), Owner: "e2e", Spec: &pb.JobSpec{
			Name: "short", Groups: []*pb.TaskGroup{{
				Name: "main", Indices: []*pb.IndexRange{{First: int64(i), Last: int64(i), Step: 1}},
				Variants: []*pb.Variant{{Name: "cpu", Command: []string{"/bin/sh", "-c", script}, Resources: &pb.Resources{CpuMilli: 100, MemoryMib: 32}}},
			}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		w.until("a short task's start", func() bool { return lines(w.file+".short", strconv.Itoa(i)) == 1 })
		agent.Kill()
		if err := agent.Restart(w.ctx); err != nil {
			t.Fatal(err)
		}
		w.until("a short task's end", func() bool { return w.task(r.JobId).State > pb.TaskState_TASK_STATE_RUNNING })
		if s := w.task(r.JobId); s.Attempts != 1 || s.Last.GetExit().GetCode() != int32(i%7) { //nolint:gosec // small
			t.Errorf("kill %d: %d attempts, exit %v, want code %d at the first", i, s.Attempts, s.Last.GetExit(), i%7)
		}
	}
	w.end(long, 1)
	if got := w.marks(); len(got) != 1 {
		t.Errorf("the long task was started anew: %v", got)
	}
	if got := lines(w.file+".short", ""); got != n {
		t.Errorf("%d starts of %d short tasks", got, n)
	}
}

// lines counts the lines of a file that are want, or all of them for "".
func lines(file, want string) (n int) {
	raw, _ := os.ReadFile(file) // not there before the first mark
	for l := range strings.Lines(string(raw)) {
		if want == "" || strings.TrimSpace(l) == want {
			n++
		}
	}
	return n
}
