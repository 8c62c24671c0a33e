//go:build full

package ddp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"caravan/e2e/harness"
	"caravan/e2e/workloads/ring"
)

// agents is one more than the job needs, so that it can go on while one is cut off.
const agents = 3

// inside is set, to the network's prefix, in the process that runs the tests.
const inside = "CARAVAN_E2E_NETWORK"

// bin is the caravan binary under test.
var bin string

// TestMain makes a network, runs this program again on its servers' host, and removes it.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		bin = os.Getenv("CARAVAN_BIN")
		os.Exit(m.Run())
	}
	code, err := onNetwork()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func onNetwork() (code int, err error) {
	dir, err := os.MkdirTemp("", "caravan-ddp-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	bin, err := harness.Binary(context.Background(), dir)
	if err != nil {
		return 0, err
	}
	prefix := fmt.Sprintf("cv%d", os.Getpid())
	n, err := harness.NewNetwork(prefix, agents)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	line := append(n.EnterServers(), os.Args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(os.Environ(), inside+"="+prefix, "CARAVAN_BIN="+bin)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Run(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode(), nil
		}
		return 0, err
	}
	return 0, nil
}

type stage struct {
	*harness.Cluster
	t       *testing.T
	ctx     context.Context
	network *harness.Network
	// shared is a directory that tasks see, and dir that of the newest job below it.
	shared, dir string
	// jobs counts what was submitted to the cluster.
	jobs *int
}

func newStage(t *testing.T) *stage {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Minute)
	t.Cleanup(cancel)
	dir, err := os.MkdirTemp("", "cv-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	n := harness.Attach(os.Getenv(inside), agents)
	c, err := harness.Start(ctx, harness.Options{
		Bin: bin, Dir: dir, Servers: 1, Agents: agents, Network: n,
		ServerFlags: []string{"--timing", "lan", "--lease", "6s", "--kill-grace", "2s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return &stage{Cluster: c, t: t, ctx: ctx, network: n, shared: dir, jobs: new(int)}
}

// twoNodes is a gang of two ranks on two nodes.
const twoNodes = "gang: node\ncount: 2\nretries: 2"

// start submits a job in a fresh directory.
func (s *stage) start(head, options string) (submit *exec.Cmd, output *bytes.Buffer) {
	s.t.Helper()
	var err error
	if s.dir, err = os.MkdirTemp(s.shared, "job-"); err != nil {
		s.t.Fatal(err)
	}
	*s.jobs++
	path, err := Prepare(s.dir, head, options)
	if err != nil {
		s.t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.Contains(head, "gang: node") {
		raw = bytes.Replace(raw, []byte("run: "), []byte("run: export RANK=$NODE_RANK WORLD_SIZE=$NNODES; "), 1)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		s.t.Fatal(err)
	}
	submit, output = s.CLI(s.ctx, "submit", "--wait", path), &bytes.Buffer{}
	submit.Stdout, submit.Stderr = output, output
	if err := submit.Start(); err != nil {
		s.t.Fatal(err)
	}
	return submit, output
}

func (s *stage) events() []ring.Event {
	s.t.Helper()
	events, err := ring.Events(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	return events
}

// finish waits for success and checks what holds of every run: the ranks agree on the
// weights, the model has learned, and no two epochs were alive at once.
func (s *stage) finish(submit *exec.Cmd, output *bytes.Buffer) (log string, replayed int) {
	s.t.Helper()
	if err := submit.Wait(); err != nil {
		s.t.Fatalf("the job failed: %v\n%s", err, output)
	}
	events := s.events()
	if o := ring.Overlap(events); o != "" {
		s.t.Error(o)
	}
	weights := map[string]int{}
	for _, e := range events {
		if e.Kind == "done" {
			weights[e.Weights]++
		}
	}
	if len(weights) != 1 {
		s.t.Errorf("the ranks ended with weights %v", weights)
	}
	log, replayed, err := ring.Losses(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(log), "\n")
	if first, last := lossOf(s.t, lines[0]), lossOf(s.t, lines[len(lines)-1]); last >= 0.7*first || len(lines) != 80 {
		s.t.Errorf("%d steps, loss %v at first and %v at last", len(lines), first, last)
	}
	return log, replayed
}

func lossOf(t *testing.T, line string) (loss float64) {
	t.Helper()
	var step int
	if _, err := fmt.Sscanf(line, "%d %f", &step, &loss); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return loss
}

// await waits until an event has been seen.
func (s *stage) await(what string, is func(ring.Event) bool) ring.Event {
	s.t.Helper()
	var found ring.Event
	if err := harness.Eventually(s.ctx, func() (bool, error) {
		events, err := ring.Events(s.dir)
		for _, e := range events {
			if is(e) {
				found = e
				return true, nil
			}
		}
		return false, err
	}); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
	return found
}

func (s *stage) awaitStep(step int) {
	s.t.Helper()
	s.await(fmt.Sprintf("step %d", step), func(e ring.Event) bool { return e.Kind == "step" && e.Epoch == 1 && e.Step >= step })
}

func (s *stage) signal(rank int, signal string) {
	s.t.Helper()
	cmd := s.CLI(s.ctx, "exec", "-T", fmt.Sprintf("ddp-%d", *s.jobs), fmt.Sprintf("main/%d", rank), "--", "sh", "-c", "kill -"+signal+" $(cat pid)")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
}

func TestTrainingSurvivesWhatHappensToIt(t *testing.T) {
	s := newStage(t)
	began := time.Now()
	want, replayed := s.finish(s.start(twoNodes, ""))
	t.Logf("undisturbed: %v, %d steps replayed", time.Since(began).Round(time.Second/10), replayed)
	if replayed != 0 {
		t.Errorf("%d steps were replayed though nothing happened", replayed)
	}
	for name, test := range map[string]func(*stage) (submit *exec.Cmd, output *bytes.Buffer){
		"kill-9-of-rank-1":     func(s *stage) (*exec.Cmd, *bytes.Buffer) { return s.killed(1) },
		"kill-9-of-rank-0":     func(s *stage) (*exec.Cmd, *bytes.Buffer) { return s.killed(0) },
		"SIGTERM":              (*stage).asked,
		"kill-9-within-a-save": (*stage).torn,
		"partition":            (*stage).cutOff,
	} {
		t.Run(name, func(t *testing.T) {
			s := &stage{Cluster: s.Cluster, t: t, ctx: s.ctx, network: s.network, jobs: s.jobs}
			got, replayed := s.finish(test(s))
			t.Logf("%s: %d steps replayed", name, replayed)
			if want != got {
				t.Errorf("the log differs from an undisturbed run's:\n%s\nwant\n%s", got, want)
			}
			if name == "SIGTERM" && replayed != 0 {
				t.Errorf("%d steps were replayed", replayed)
			}
		})
	}
}

// killed kills a rank half way.
func (s *stage) killed(rank int) (submit *exec.Cmd, output *bytes.Buffer) {
	submit, output = s.start(twoNodes, "")
	s.awaitStep(34)
	s.signal(rank, "KILL")
	return submit, output
}

// asked asks a rank to leave, of a gang that may not fail once.
func (s *stage) asked() (submit *exec.Cmd, output *bytes.Buffer) {
	submit, output = s.start(strings.Replace(twoNodes, "retries: 2", "retries: 0", 1), "")
	s.awaitStep(34)
	s.signal(1, "TERM")
	return submit, output
}

// torn kills rank 0 while it writes its second checkpoint, which takes a while.
func (s *stage) torn() (submit *exec.Cmd, output *bytes.Buffer) {
	submit, output = s.start(twoNodes, "--slow-save 2")
	s.awaitStep(19)
	if err := harness.Eventually(s.ctx, func() (bool, error) {
		_, err := os.Stat(filepath.Join(s.dir, "checkpoint.tmp"))
		return err == nil, nil
	}); err != nil {
		s.t.Fatal(err)
	}
	s.signal(0, "KILL")
	return submit, output
}

// cutOff takes the node of rank 1 off the network. The gang must be dead there before its next
// epoch begins elsewhere, which finish looks at.
func (s *stage) cutOff() (submit *exec.Cmd, output *bytes.Buffer) {
	submit, output = s.start(twoNodes, "")
	s.awaitStep(20)
	at := s.await("the start of rank 1", func(e ring.Event) bool { return e.Kind == "start" && e.Rank == 1 })
	var agent int
	if _, err := fmt.Sscanf(at.Env["CARAVAN_NODE"], "a%d", &agent); err != nil {
		s.t.Fatal(err)
	}
	began := time.Now()
	if err := s.network.Cut(agent - 1); err != nil {
		s.t.Fatal(err)
	}
	next := s.await("the next epoch", func(e ring.Event) bool { return e.Kind == "start" && e.Epoch == 2 })
	var last [2]ring.Event // by rank
	for _, e := range s.events() {
		if e.Epoch == 1 && e.NS > last[e.Rank].NS {
			last[e.Rank] = e
		}
	}
	after := func(e ring.Event) time.Duration { return time.Unix(0, e.NS).Sub(began).Round(time.Second / 10) }
	s.t.Logf("cut off a%d: the last sign of rank 1, there, came %v later, that of rank 0 %v later, epoch 2 began %v later",
		agent, after(last[1]), after(last[0]), after(next))
	if err := s.network.Heal(agent - 1); err != nil {
		s.t.Fatal(err)
	}
	return submit, output
}

func TestASweepOfLearningRates(t *testing.T) {
	s := newStage(t)
	submit, output := s.start("matrix: {lr: [0.0003, 0.001, 0.003, 0.01]}", "--steps 8 --every 100 --lr ${matrix.lr}")
	if err := submit.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	losses := map[float64]float64{}
	raw, err := os.ReadFile(filepath.Join(s.dir, "events"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var e struct {
			Kind     string
			LR, Loss float64
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Kind == "done" {
			losses[e.LR] = e.Loss
		}
	}
	t.Logf("losses by learning rate: %v", losses)
	if len(losses) != 4 || losses[0.003] >= losses[0.0003] {
		t.Errorf("losses by learning rate: %v", losses)
	}
}
