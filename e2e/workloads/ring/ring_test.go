package ring

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"caravan/e2e/harness"
)

// bin is the caravan binary under test, built once.
var bin string

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, &bin))
}

// stage is a cluster of two agents and a directory that the ranks share.
type stage struct {
	*harness.Cluster
	t   *testing.T
	ctx context.Context
	// shared is a directory that tasks see, and dir that of the newest job below it.
	shared, dir string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	// Not t.TempDir: its path is too long for the sockets below it.
	dir, err := os.MkdirTemp("", "cv-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c, err := harness.Start(ctx, harness.Options{Bin: bin, Dir: dir, Servers: 1, Agents: 2, ServerFlags: []string{"--timing", "lan"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return &stage{Cluster: c, t: t, ctx: ctx, shared: dir}
}

// start submits a job that works in a fresh directory.
func (s *stage) start(j Job) (submit *exec.Cmd, output *bytes.Buffer) {
	s.t.Helper()
	var err error
	if s.dir, err = os.MkdirTemp(s.shared, "job-"); err != nil {
		s.t.Fatal(err)
	}
	path, err := j.Prepare(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	submit, output = s.CLI(s.ctx, "submit", "--wait", path), &bytes.Buffer{}
	submit.Stdout, submit.Stderr = output, output
	if err := submit.Start(); err != nil {
		s.t.Fatal(err)
	}
	return submit, output
}

// finish waits for a job to succeed and returns its events.
func (s *stage) finish(submit *exec.Cmd, output *bytes.Buffer) []Event {
	s.t.Helper()
	if err := submit.Wait(); err != nil {
		s.t.Fatalf("the job failed: %v\n%s", err, output)
	}
	events, err := Events(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range events {
		switch e.Kind {
		case "foreign-epoch", "out-of-step":
			s.t.Errorf("rank %d of epoch %d: %s", e.Rank, e.Epoch, e.Kind)
		}
	}
	if o := Overlap(events); o != "" {
		s.t.Error(o)
	}
	return events
}

// awaitStep waits until a rank of an epoch has taken a step.
func (s *stage) awaitStep(epoch, step int) {
	s.t.Helper()
	err := harness.Eventually(s.ctx, func() (bool, error) {
		events, err := Events(s.dir)
		for _, e := range events {
			if e.Kind == "step" && e.Epoch == epoch && e.Step >= step {
				return true, nil
			}
		}
		return false, err
	})
	if err != nil {
		s.t.Fatalf("step %d of epoch %d: %v", step, epoch, err)
	}
}

// signal sends a signal to a rank of the newest job, as a user would from beside it.
func (s *stage) signal(job string, rank int, signal string) {
	s.t.Helper()
	cmd := s.CLI(s.ctx, "exec", "-T", job, fmt.Sprintf("main/%d", rank), "--", "sh", "-c", "kill -"+signal+" $(cat pid)")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
}

// undisturbed is what a job logs and ends with when nothing happens to it.
func (s *stage) undisturbed(j Job) (losses string, events []Event) {
	s.t.Helper()
	events = s.finish(s.start(j))
	losses, replayed, err := Losses(s.dir)
	if err != nil || replayed != 0 {
		s.t.Fatalf("%d steps were replayed though nothing happened, %v", replayed, err)
	}
	if n := strings.Count(losses, "\n"); n != j.Steps {
		s.t.Fatalf("%d steps were logged, want %d", n, j.Steps)
	}
	return losses, events
}

func TestRanksFindEachOther(t *testing.T) {
	s := newStage(t)
	_, events := s.undisturbed(Job{Ranks: 4, Steps: 5})
	seen, local, weights := map[string]bool{}, map[string]int{}, map[int64]int{}
	for _, e := range events {
		if e.Kind == "done" {
			weights[e.Weight]++
		}
		if e.Kind != "start" {
			continue
		}
		env := e.Env
		seen[env["RANK"]] = true
		local[env["CARAVAN_NODE"]]++
		for k, want := range map[string]string{
			"WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "CARAVAN_EPOCH": "1", "GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "=lo",
			"CARAVAN_RANK": env["RANK"], "GROUP_RANK": env["NODE_RANK"], "NNODES": strconv.Itoa(len(strings.Fields(env["NODE_IPS"]))),
		} {
			if env[k] != want {
				t.Errorf("rank %d: %s is %q, want %q", e.Rank, k, env[k], want)
			}
		}
		if port, err := strconv.Atoi(env["MASTER_PORT"]); err != nil || port < 20000 || port > 29999 {
			t.Errorf("rank %d meets at %q", e.Rank, env["MASTER_PORT"])
		}
	}
	for _, e := range events {
		if e.Kind != "start" {
			continue
		}
		if got, want := e.Env["LOCAL_WORLD_SIZE"], strconv.Itoa(local[e.Env["CARAVAN_NODE"]]); got != want {
			t.Errorf("rank %d: LOCAL_WORLD_SIZE is %s, and %s ranks are on its node", e.Rank, got, want)
		}
	}
	if len(seen) != 4 || len(weights) != 1 {
		t.Errorf("ranks %v ended with weights %v", seen, weights)
	}
}

func TestAKilledRankTakesTheGangBackToItsCheckpointInANewEpoch(t *testing.T) {
	s, job := newStage(t), Job{Ranks: 2, PerNode: true, Steps: 60, Pace: 0.02, Retries: 2}
	want, _ := s.undisturbed(job)
	for i, rank := range []int{1, 0} {
		submit, output := s.start(job)
		s.awaitStep(1, 25)
		s.signal(fmt.Sprintf("ring-%d", i+2), rank, "KILL")
		// A checkpoint that is torn would fail the ranks that read it, and so make a third epoch.
		events := s.finish(submit, output)
		got, replayed, err := Losses(s.dir)
		if err != nil || got != want {
			t.Errorf("rank %d killed: the log differs from that of an undisturbed run, %v", rank, err)
		}
		ports := map[string]int{}
		for _, e := range events {
			if e.Kind == "start" {
				ports[e.Env["MASTER_PORT"]] = e.Epoch
			}
			if e.Epoch > 2 {
				t.Errorf("one killed rank led to epoch %d", e.Epoch)
			}
		}
		if len(ports) != 2 {
			t.Errorf("the epochs met at ports %v", ports)
		}
		t.Logf("rank %d killed: %d steps replayed", rank, replayed)
	}
}

func TestSIGTERMLosesNoStepAndNoRetry(t *testing.T) {
	// Steps enough to be reached by the signal before the last, on whatever machine.
	s, job := newStage(t), Job{Ranks: 2, PerNode: true, Steps: 200, Pace: 0.02}
	want, _ := s.undisturbed(job)
	submit, output := s.start(job)
	s.awaitStep(1, 25)
	s.signal("ring-2", 1, "TERM")
	events := s.finish(submit, output)
	got, replayed, err := Losses(s.dir)
	if err != nil || got != want || replayed != 0 {
		t.Errorf("%d steps were replayed, the log is the same: %v, %v", replayed, got == want, err)
	}
	saved := 0
	for _, e := range events {
		if e.Kind == "saved" {
			saved++
		}
	}
	if saved != 2 {
		t.Errorf("%d ranks saved before they ended", saved)
	}
}

// TestTheOracleSeesWhatItIsFor: one that cannot fail proves nothing.
func TestTheOracleSeesWhatItIsFor(t *testing.T) {
	if o := Overlap([]Event{{Epoch: 1, NS: 1}, {Epoch: 2, NS: 5}, {Epoch: 1, NS: 6}}); o == "" {
		t.Error("an overlap was not seen")
	}
	if o := Overlap([]Event{{Epoch: 1, NS: 1}, {Epoch: 1, NS: 4}, {Epoch: 2, NS: 5}}); o != "" {
		t.Errorf("seen where there is none: %s", o)
	}
	if got, n, err := Deduplicate("1 a\n2 b\n2 c\n3 d\n"); got != "1 a\n2 c\n3 d\n" || n != 1 || err != nil {
		t.Errorf("%q, %d, %v", got, n, err)
	}
	if _, _, err := Deduplicate("1 a\n2"); err == nil {
		t.Error("a torn line was not seen")
	}
}
