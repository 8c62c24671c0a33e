// Package cluster breaks real clusters on purpose and checks that nothing that
// was acknowledged is lost, doubled or run again.
package cluster

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
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

// cluster starts servers and agents, and ends them with the test.
func cluster(t *testing.T, servers, agents int) (*harness.Cluster, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	// Not t.TempDir: its path is too long for the sockets below it.
	dir, err := os.MkdirTemp("", "cv-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c, err := harness.Start(ctx, harness.Options{
		Bin: bin, Dir: dir, Servers: servers, Agents: agents, ServerFlags: []string{"--timing", "lan"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c, ctx
}

func sdk(t *testing.T, c *harness.Cluster) *client.Client {
	t.Helper()
	var addrs []string
	for _, s := range c.Servers {
		addrs = append(addrs, s.Addr)
	}
	cl, err := client.New(client.Config{Addresses: addrs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// sleepers is a job of n real tasks: each leaves a line in the file when it
// starts, sleeps, and exits with its index modulo 7.
func sleepers(name, file string, n int64, seconds string) *pb.JobSpec {
	script := fmt.Sprintf("echo $CARAVAN_INDEX >> %s; sleep %s; exit $((CARAVAN_INDEX %% 7))", file, seconds)
	return &pb.JobSpec{Name: name, Groups: []*pb.TaskGroup{{
		Name: "main", Indices: []*pb.IndexRange{{First: 0, Last: n - 1, Step: 1}},
		Variants: []*pb.Variant{{
			Name: "cpu", Command: []string{"/bin/sh", "-c", script},
			Resources: &pb.Resources{CpuMilli: 50, MemoryMib: 32},
		}},
	}}}
}

func TestNoAcknowledgedJobIsLostOrDoubledWhenTheLeaderIsKilled(t *testing.T) {
	const (
		clients = 8
		total   = 1000
	)
	c, ctx := cluster(t, 3, 0)
	leader, err := c.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var (
		acked  atomic.Int64
		ids    sync.Map // job id -> name
		failed atomic.Pointer[error]
		wg     sync.WaitGroup
	)
	for w := range clients {
		cl := sdk(t, c)
		wg.Go(func() {
			for i := w; i < total; i += clients {
				name := fmt.Sprintf("j%d", i)
				r, err := cl.Jobs.SubmitJob(ctx, &pb.SubmitJobRequest{RequestId: client.NewRequestID(), Spec: sleepers(name, "/dev/null", 10, "0"), Owner: "e2e"})
				if err != nil {
					failed.Store(&err)
					return
				}
				if _, twice := ids.LoadOrStore(r.JobId, name); twice {
					err := fmt.Errorf("job id %s was given twice", r.JobId)
					failed.Store(&err)
					return
				}
				acked.Add(1)
			}
		})
	}
	if err := harness.Eventually(ctx, func() (bool, error) { return acked.Load() >= total/3, ctx.Err() }); err != nil {
		t.Fatalf("%d acknowledged: %v", acked.Load(), err)
	}
	leader.Kill()
	t.Logf("killed %s after %d acknowledgements", leader.Name, acked.Load())
	wg.Wait()
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
	// The killed server comes back with its log and must agree.
	if err := leader.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	byName := listAll(ctx, t, sdk(t, c))
	if len(byName) != total {
		t.Errorf("%d different jobs exist, want %d", len(byName), total)
	}
	ids.Range(func(id, name any) bool {
		if got := byName[name.(string)]; len(got) != 1 || got[0] != id {
			t.Errorf("job %s was acknowledged as %s and exists as %v", name, id, got)
		}
		return true
	})
}

// listAll returns the ids of every job by name, page by page.
func listAll(ctx context.Context, t *testing.T, cl *client.Client) map[string][]string {
	t.Helper()
	byName := make(map[string][]string)
	for token := ""; ; {
		l, err := cl.Jobs.ListJobs(ctx, &pb.ListJobsRequest{PageSize: 1000, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range l.Jobs {
			byName[j.Spec.Name] = append(byName[j.Spec.Name], j.Id)
		}
		if token = l.NextPageToken; token == "" {
			return byName
		}
	}
}

func TestTasksLiveThroughTheDeathOfTheirAgent(t *testing.T) {
	const tasks = 20
	c, ctx := cluster(t, 1, 1)
	cl := sdk(t, c)
	starts := c.Agents[0].Log + ".starts"
	r, err := cl.Jobs.SubmitJob(ctx, &pb.SubmitJobRequest{RequestId: client.NewRequestID(), Spec: sleepers("sleep", starts, tasks, "12"), Owner: "e2e"})
	if err != nil {
		t.Fatal(err)
	}
	// All started: kill the agent, let some tasks end while it is dead.
	if err := harness.Eventually(ctx, func() (bool, error) { return lines(starts) == tasks, nil }); err != nil {
		t.Fatalf("%d of %d tasks started: %v", lines(starts), tasks, err)
	}
	c.Agents[0].Kill()
	if err := c.Agents[0].Restart(ctx); err != nil {
		t.Fatal(err)
	}
	awaitEnd(ctx, t, cl, r.JobId)
	l, err := cl.Jobs.ListTasks(ctx, &pb.ListTasksRequest{JobId: r.JobId, PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range l.Tasks {
		if task.Attempts != 1 || task.Last.GetExit().GetCode() != int32(task.Ordinal%7) { //nolint:gosec // small
			t.Errorf("task %d: %d attempts, exit %v, want code %d at the first", task.Ordinal, task.Attempts, task.Last.GetExit(), task.Ordinal%7)
		}
	}
	if n := lines(starts); n != tasks {
		t.Errorf("%d starts of %d tasks", n, tasks)
	}
}

func TestTasksGoOnWhileTheOnlyServerRestarts(t *testing.T) {
	c, ctx := cluster(t, 1, 1)
	cl := sdk(t, c)
	starts := c.Agents[0].Log + ".starts"
	r, err := cl.Jobs.SubmitJob(ctx, &pb.SubmitJobRequest{RequestId: client.NewRequestID(), Spec: sleepers("sleep", starts, 5, "4"), Owner: "e2e"})
	if err != nil {
		t.Fatal(err)
	}
	if err := harness.Eventually(ctx, func() (bool, error) { return lines(starts) == 5, nil }); err != nil {
		t.Fatalf("%d of 5 tasks started: %v", lines(starts), err)
	}
	c.Servers[0].Kill()
	if err := c.Servers[0].Restart(ctx); err != nil {
		t.Fatal(err)
	}
	j := awaitEnd(ctx, t, cl, r.JobId)
	if g := j.Groups[0]; g.Succeeded != 1 || g.Failed != 4 || lines(starts) != 5 {
		t.Errorf("after the server's restart: %v, %d starts", g, lines(starts))
	}
}

// awaitEnd waits until a job has ended.
func awaitEnd(ctx context.Context, t *testing.T, cl *client.Client, id string) *pb.Job {
	t.Helper()
	var job *pb.Job
	err := harness.Eventually(ctx, func() (bool, error) {
		j, err := cl.Jobs.GetJob(ctx, &pb.GetJobRequest{JobId: id})
		job = j
		return err == nil && j.State > pb.JobState_JOB_STATE_RUNNING, err
	})
	if err != nil {
		t.Fatalf("waiting for %s: %v (%v)", id, err, job)
	}
	return job
}

func lines(file string) int {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	return strings.Count(string(b), "\n")
}
