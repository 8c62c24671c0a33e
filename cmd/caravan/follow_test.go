package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "caravan/api/caravanv1"
	"caravan/api/client/clienttest"
)

// script moves a job on whenever the command under test has printed a line.
type script struct {
	mu    sync.Mutex // guards the rest
	text  bytes.Buffer
	steps []step
}

// step does something once some text has been printed.
type step struct {
	after string
	do    func()
}

func (s *script) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	for len(s.steps) > 0 && strings.Contains(s.text.String(), s.steps[0].after) {
		do := s.steps[0].do
		s.steps = s.steps[1:]
		do()
	}
	return len(p), nil
}

func (s *script) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// move changes a job's state and the counts of its only group.
func move(c *clienttest.Cluster, id string, state pb.JobState, counts *pb.GroupStatus) {
	j := proto.CloneOf(c.Job(id))
	j.State, j.StartedMs = state, 999_999_000
	counts.Name, counts.Tasks = j.Groups[0].Name, j.Groups[0].Tasks
	j.Groups = []*pb.GroupStatus{counts}
	c.SetJob(j)
}

// follow runs a command whose stderr drives the script and returns what it
// wrote and its exit code.
func follow(t *testing.T, b *bench, steps []step, interrupts <-chan os.Signal, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out bytes.Buffer
	errs := &script{steps: steps}
	s := b.session(strings.NewReader(""), &out, errs)
	s.interrupts = func() (<-chan os.Signal, func()) { return interrupts, func() {} }
	code = s.execute(args)
	return out.String(), errs.String(), code
}

func TestRunPrintsTheLogAndExitsWithTheTasksCode(t *testing.T) {
	b := newBench(t, clienttest.State{})
	const id = "make-1"
	steps := []step{
		{"submitted make-1", func() {}},
		{"make-1 pending", func() {
			b.cluster.Log("make-1.main.0.1", "stdout", "compiling")
			move(b.cluster, id, pb.JobState_JOB_STATE_RUNNING, &pb.GroupStatus{Running: 1})
		}},
		{"make-1 running", func() {
			b.cluster.Log("make-1.main.0.1", "stderr", "warning: slow\n")
			b.cluster.SetTask(&pb.Task{JobId: id, Group: "main", State: pb.TaskState_TASK_STATE_FAILED, Last: &pb.Allocation{Exit: &pb.Exit{Code: 42, Reason: "exited"}}})
			move(b.cluster, id, pb.JobState_JOB_STATE_FAILED, &pb.GroupStatus{Failed: 1})
		}},
	}
	out, errs, code := follow(t, b, steps, nil, "run", "--", "/usr/bin/make", "-j4")
	if out != "compiling" || code != 42 {
		t.Errorf("stdout %q, exit code %d", out, code)
	}
	for _, want := range []string{
		"submitted make-1\n", "make-1 pending; main 0/1\n", "make-1 running; main 0/1, 1 running\n", "warning: slow\n",
		"make-1 failed; main 0/1, 1 failed\n", "make-1 failed: main exit code 42\n",
	} {
		if !strings.Contains(errs, want) {
			t.Errorf("stderr lacks %q:\n%s", want, errs)
		}
	}
}

func TestRunSurvivesTheLossOfItsServer(t *testing.T) {
	b := newBench(t, clienttest.State{})
	b.server.LoseAnswers("SubmitJob", 1)
	b.server.Cut("WatchJob", 1, 1)
	b.server.Cut("ReadLogs", 1, 1)
	for range 3 {
		b.cluster.Log("make-1.main.0.1", "stdout", "line\n")
	}
	steps := []step{{"make-1 pending", func() { move(b.cluster, "make-1", pb.JobState_JOB_STATE_SUCCEEDED, &pb.GroupStatus{Succeeded: 1}) }}}
	out, errs, code := follow(t, b, steps, nil, "run", "--", "make")
	if out != "line\nline\nline\n" || code != 0 {
		t.Errorf("stdout %q, exit code %d, stderr:\n%s", out, code, errs)
	}
	if n := b.cluster.Applied("SubmitJob"); n != 1 {
		t.Errorf("%d jobs were submitted", n)
	}
}

func TestCtrlCDuringRun(t *testing.T) {
	for _, tc := range []struct {
		name    string
		command []string
		presses int
		stops   int
		want    string
	}{
		{"once stops the job and waits", []string{"run", "--", "sleep", "9"}, 1, 1, "stopping sleep-1; Ctrl-C again leaves it to stop alone\n"},
		{"while waiting only leaves", []string{"submit", "--wait", "-"}, 1, 0, "sleep-1 goes on without this command: caravan status sleep-1\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, clienttest.State{})
			interrupts := make(chan os.Signal, 2)
			steps := []step{{"sleep-1 pending", func() {
				for range tc.presses {
					interrupts <- os.Interrupt
				}
			}}}
			var out bytes.Buffer
			errs := &script{steps: steps}
			s := b.session(strings.NewReader("name: sleep\nrun: sleep 9\n"), &out, errs)
			s.interrupts = func() (<-chan os.Signal, func()) { return interrupts, func() {} }
			if code := s.execute(tc.command); code != int(interrupted) {
				t.Errorf("exit code %d", code)
			}
			if !strings.Contains(errs.String(), tc.want) {
				t.Errorf("stderr lacks %q:\n%s", tc.want, errs)
			}
			if n := b.cluster.Applied("StopJob"); n != tc.stops {
				t.Errorf("stopped %d times, want %d", n, tc.stops)
			}
		})
	}
}

func TestASecondCtrlCLeavesTheJobToStopAlone(t *testing.T) {
	b := newBench(t, clienttest.State{})
	b.server.Hang("StopJob", 1)
	interrupts := make(chan os.Signal, 2)
	steps := []step{
		{"sleep-1 pending", func() { interrupts <- os.Interrupt }},
		{"stopping sleep-1", func() { interrupts <- os.Interrupt }},
	}
	_, errs, code := follow(t, b, steps, interrupts, "run", "--", "sleep", "9")
	if code != int(interrupted) || !strings.Contains(errs, "sleep-1 goes on without this command") {
		t.Errorf("exit code %d, stderr:\n%s", code, errs)
	}
}

func TestAJobStoppedByOthersEndsAsIfTerminated(t *testing.T) {
	b := newBench(t, clienttest.State{})
	steps := []step{{"sleep-1 pending", func() { move(b.cluster, "sleep-1", pb.JobState_JOB_STATE_STOPPED, &pb.GroupStatus{Stopped: 1}) }}}
	if _, errs, code := follow(t, b, steps, nil, "run", "--", "sleep", "9"); code != int(stoppedWithoutCode) {
		t.Errorf("exit code %d, stderr:\n%s", code, errs)
	}
}

func TestInlineJobs(t *testing.T) {
	b := newBench(t, clienttest.State{})
	_, errs, code := b.run("", "run", "-d", "--cpu", "2", "--memory", "8GiB", "--gpus", "0.5", "--array", "1-9:2%3", "-e", "A=b c", "-e", "TOKEN",
		"--time-limit", "2h", "--retries", "2", "--name", "train", "--", "Python3.11", "train.py", "--lr", "1e-3")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	g := b.cluster.Job("1").Spec.Groups[0]
	v := g.Variants[0]
	if !proto.Equal(v.Resources, &pb.Resources{CpuMilli: 2000, MemoryMib: 8192, Devices: []*pb.DeviceRequest{{Kind: "gpu", Count: 1, Thousandths: 500}}}) {
		t.Errorf("resources %v", v.Resources)
	}
	if strings.Join(v.Command, "|") != "Python3.11|train.py|--lr|1e-3" || g.MaxRunning != 3 || g.Retries != 2 || g.TimeLimitMs != 7_200_000 {
		t.Errorf("group %v", g)
	}
	if g.Env["A"] != "b c" || g.Env["TOKEN"] != "s3cret" {
		t.Errorf("env %v", g.Env)
	}
	for command, want := range map[string]string{"./My Script.sh": "my-script-sh", "/": "run", strings.Repeat("x", 60): strings.Repeat("x", 48)} {
		if got := nameOf(command); got != want {
			t.Errorf("a job of %q is named %q, want %q", command, got, want)
		}
	}
}

func TestCompletionAsksTheServer(t *testing.T) {
	b := newBench(t, fixture())
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"stop", ""}, "ladder-17\trunning ana\ntrain-16\tpending bo\n:4\n"},
		{[]string{"status", "s"}, "shot-3\tfailed ana\n:4\n"},
		{[]string{"logs", "17", "e"}, "encode\t12/18 done\n:4\n"},
		{[]string{"logs", "17", "encode", ""}, ":4\n"},
		{[]string{"status", "17", "--group", ""}, "encode\t12/18 done\nmux\t0/1 done\n:4\n"},
		{[]string{"node", "show", ""}, "c4-01\tC4\ngn4-01\tGN4\n:4\n"},
		{[]string{"ps", "--queue", "v"}, "video\n:4\n"},
		{[]string{"ps", "--state", ""}, "pending\nrunning\nsucceeded\nfailed\nstopped\n:4\n"},
		{[]string{"--server", "nowhere:1", "stop", ""}, ":4\n"},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			var out bytes.Buffer
			s := b.session(strings.NewReader(""), &out, io.Discard)
			if code := s.execute(append([]string{"__complete"}, tc.args...)); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if out.String() != tc.want {
				t.Errorf("got %q, want %q", out.String(), tc.want)
			}
		})
	}
}
