package bench

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"caravan/agent/link"
	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/e2e/harness"
	"caravan/scheduler/model"
)

// measure submits the jobs, follows them to their ends, and compares the
// servers' counters before and after.
func measure(ctx context.Context, cfg *Config, cluster *harness.Cluster) (*Placements, error) {
	leader, err := cluster.Leader(ctx)
	if err != nil {
		return nil, err
	}
	api, err := client.New(client.Config{Addresses: []string{leader.Addr}})
	if err != nil {
		return nil, err
	}
	defer api.Close()
	before, err := readCounters(ctx, cluster)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(cfg.Progress, "submitting %d tasks in %d jobs\n", cfg.Tasks, cfg.Jobs)
	w := watch{jobs: api.Jobs}
	begin := time.Now()
	submitting, following := errgroup.Group{}, errgroup.Group{}
	submitting.SetLimit(cfg.Submitters)
	for i := range cfg.Jobs {
		submitting.Go(func() error {
			submitted := time.Now()
			id, err := w.submit(ctx, spec(cfg, i))
			if err == nil {
				following.Go(func() error { return w.follow(ctx, id, submitted) })
			}
			return err
		})
	}
	err = submitting.Wait()
	if followed := following.Wait(); err == nil {
		err = followed
	}
	if err != nil {
		return nil, err
	}
	after, err := readCounters(ctx, cluster)
	if err != nil {
		return nil, err
	}
	if before.leader != after.leader {
		fmt.Fprintf(cfg.Progress, "leadership moved from %s to %s: the figures contain an election\n", before.leader, after.leader)
	}
	return w.result(cfg, begin, before, after)
}

// spec is the i-th job: an array of tasks alike, of one of four demands.
func spec(cfg *Config, i int) *pb.JobSpec {
	first, last := i*cfg.Tasks/cfg.Jobs, (i+1)*cfg.Tasks/cfg.Jobs
	demands := []*pb.Resources{
		{CpuMilli: 1000, MemoryMib: 1024},
		{CpuMilli: 2000, MemoryMib: 4096},
		{CpuMilli: 1000, MemoryMib: 2048, Devices: []*pb.DeviceRequest{{Kind: model.KindGPU, Count: 1, Thousandths: 250}}},
		{CpuMilli: 4000, MemoryMib: 8192},
	}
	return &pb.JobSpec{Name: "bench", Groups: []*pb.TaskGroup{{
		Name: "work", Indices: []*pb.IndexRange{{First: 0, Last: int64(last - first - 1), Step: 1}},
		Variants: []*pb.Variant{{Name: "sim", Driver: model.DriverSim, SimDurationMs: cfg.TaskTime.Milliseconds(), Resources: demands[i%len(demands)]}},
	}}}
}

// watch follows jobs through the leader.
type watch struct {
	jobs pb.JobServiceClient

	mu        sync.Mutex // guards what follows
	latencies latencies
	last      time.Time // when the last placement was seen
}

func (w *watch) submit(ctx context.Context, spec *pb.JobSpec) (string, error) {
	r, err := w.jobs.SubmitJob(ctx, &pb.SubmitJobRequest{RequestId: link.NewRequestID(), Owner: "bench", Spec: spec})
	if err != nil {
		return "", fmt.Errorf("submit a job: %w", err)
	}
	return r.JobId, nil
}

// follow watches one job until it has ended, and notes when it saw how many of
// its tasks as placed.
func (w *watch) follow(ctx context.Context, id string, submitted time.Time) error {
	stream, err := w.jobs.WatchJob(ctx, &pb.WatchJobRequest{JobId: id})
	if err != nil {
		return fmt.Errorf("watch job %s: %w", id, err)
	}
	var seen int64
	for {
		j, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("watch job %s: %w", id, err)
		}
		now := time.Now()
		g := j.Groups[0]
		if placed := g.Running + g.Succeeded + g.Failed + g.Stopped; placed > seen {
			w.note(now, now.Sub(submitted), placed-seen)
			seen = placed
		}
		if j.State == pb.JobState_JOB_STATE_SUCCEEDED {
			return nil
		}
		if j.State > pb.JobState_JOB_STATE_SUCCEEDED {
			return fmt.Errorf("job %s did not succeed: %d tasks failed, %d were stopped", id, g.Failed, g.Stopped)
		}
	}
}

func (w *watch) note(now time.Time, since time.Duration, tasks int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latencies.add(since, tasks)
	if now.After(w.last) {
		w.last = now
	}
}

func (w *watch) result(cfg *Config, begin time.Time, before, after counters) (*Placements, error) {
	if w.latencies.count != int64(cfg.Tasks) {
		return nil, fmt.Errorf("%d of %d tasks were seen as placed", w.latencies.count, cfg.Tasks)
	}
	tasks := float64(cfg.Tasks)
	ms := func(d time.Duration) float64 { return round(float64(d.Microseconds())/1000, 1) }
	return &Placements{
		CommittedPerS:         round(tasks/w.last.Sub(begin).Seconds(), 1),
		CPUMsPerPlacement:     round(float64((after.cpu-before.cpu).Microseconds())/1000/tasks, 4),
		SubmitToCommitP50Ms:   ms(w.latencies.quantile(0.50)),
		SubmitToCommitP99Ms:   ms(w.latencies.quantile(0.99)),
		RSSMB:                 round(float64(after.leaderRSS)/1e6, 1),
		RaftBytesPerPlacement: round((after.raftBytes-before.raftBytes)/tasks, 1),
	}, nil
}

// round keeps a number of decimals: more would pretend to a precision that
// there is not.
func round(x float64, decimals int) float64 {
	scale := math.Pow10(decimals)
	return math.Round(x*scale) / scale
}
