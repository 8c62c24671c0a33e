package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"caravan/agent/simfleet"
	pb "caravan/api/caravanv1"
	"caravan/cmd/caravan/internal/simnodes"
	"caravan/e2e/harness"
	"caravan/scheduler/model"
)

// Bounds on a measurement. More servers vote no better, and a machine that
// runs the servers and the nodes at once measures itself beyond the others.
const (
	MaxServers = 7
	MaxNodes   = 50_000
	MaxJobs    = 10_000
	// MaxSubmitters is fewer than the proposals that a leader queues.
	MaxSubmitters = 1000
	// MaxTasks is what MaxJobs jobs of the largest size could hold, cut to what
	// fits the memory of an ordinary machine.
	MaxTasks = 5_000_000
)

// Config describes a measurement of placements.
type Config struct {
	// Bin is the caravan binary that the servers run. Required.
	Bin string
	// Dir holds the servers' data and logs; the caller owns it. Required.
	Dir string
	// Servers, Nodes, Jobs and Tasks are how many there are of each; tasks are
	// spread evenly over the jobs. 1 to the bounds above.
	Servers, Nodes, Jobs, Tasks int
	// Submitters is how many jobs are being submitted at once, 1 to MaxSubmitters.
	Submitters int
	// TaskTime is how long each task pretends to run, 0 or more.
	TaskTime time.Duration
	// ServerFlags are added to every server's command line.
	ServerFlags []string
	// Progress is told what goes on, a line at a time. Default: nobody.
	Progress io.Writer
}

// Placements is what a measurement found.
type Placements struct {
	// CommittedPerS is the tasks divided by the seconds from the first
	// submission until a watch has shown the last placement as committed.
	CommittedPerS float64 `json:"committed_per_s"`
	// CPUMsPerPlacement is the processor time of all servers, in user and
	// system mode, from the first submission until the last task has ended,
	// divided by the tasks: it covers placing, telling the agents, taking in
	// their reports, and heartbeats in the meantime.
	CPUMsPerPlacement float64 `json:"cpu_ms_per_placement"`
	// SubmitToCommitP50Ms and SubmitToCommitP99Ms are quantiles over the tasks
	// of the time from the call that submits a task's job until a watch has
	// shown its placement as committed.
	SubmitToCommitP50Ms float64 `json:"submit_to_commit_p50_ms"`
	SubmitToCommitP99Ms float64 `json:"submit_to_commit_p99_ms"`
	// RSSMB is the leader's resident memory at the end, in MB of 10^6 bytes.
	RSSMB float64 `json:"rss_mb"`
	// RaftBytesPerPlacement is the size of all log entries that were proposed
	// in that time, reports included, divided by the tasks.
	RaftBytesPerPlacement float64 `json:"raft_bytes_per_placement"`
}

func (c *Config) validate() error {
	for _, n := range []struct {
		name       string
		value, max int
	}{{"servers", c.Servers, MaxServers}, {"nodes", c.Nodes, MaxNodes}, {"jobs", c.Jobs, MaxJobs}, {"tasks", c.Tasks, MaxTasks}, {"submitters", c.Submitters, MaxSubmitters}} {
		if n.value < 1 || n.value > n.max {
			return fmt.Errorf("%s: %d, must be 1 to %d", n.name, n.value, n.max)
		}
	}
	switch {
	case c.Tasks < c.Jobs:
		return fmt.Errorf("%d tasks for %d jobs: every job needs one", c.Tasks, c.Jobs)
	case (c.Tasks+c.Jobs-1)/c.Jobs > model.MaxTasks:
		return fmt.Errorf("%d tasks in %d jobs: a job holds %d at most, so use more jobs", c.Tasks, c.Jobs, model.MaxTasks)
	case c.TaskTime < 0:
		return errors.New("tasks cannot run for less than no time")
	case c.Bin == "" || c.Dir == "":
		return errors.New("bench: Bin and Dir are required")
	}
	return nil
}

// RunPlacements starts a cluster, has it place the tasks, and measures it.
func RunPlacements(ctx context.Context, cfg Config) (*Placements, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	nodes, err := fleet(cfg.Nodes)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(cfg.Progress, "starting %d servers\n", cfg.Servers)
	cluster, err := harness.Start(ctx, harness.Options{
		Bin: cfg.Bin, Dir: cfg.Dir, Servers: cfg.Servers,
		ServerFlags: append([]string{"--timing", "lan", "--log-level", "warn"}, cfg.ServerFlags...),
	})
	if err != nil {
		return nil, err
	}
	defer cluster.Stop()

	var found *Placements
	g, ctx := errgroup.WithContext(ctx)
	fleets, endFleets := context.WithCancel(ctx)
	ready, err := runFleets(fleets, g, cluster, nodes)
	if err == nil {
		fmt.Fprintf(cfg.Progress, "registering %d simulated nodes\n", cfg.Nodes)
		g.Go(func() (err error) {
			defer endFleets()
			if err := await(ctx, ready); err != nil {
				return err
			}
			found, err = measure(ctx, &cfg, cluster)
			return err
		})
	} else {
		endFleets()
	}
	return found, errors.Join(err, g.Wait())
}

// fleet describes the nodes: machines without devices, with two GPUs, with
// four and with an FPGA, in a fixed proportion.
func fleet(nodes int) ([]*pb.NodeInfo, error) {
	shares := []struct {
		family string
		nodes  int
	}{{"gn4", nodes * 3 / 10}, {"ga1", nodes * 2 / 10}, {"f1", nodes / 10}, {"c4", 0}}
	line, left := "", nodes
	for _, s := range shares {
		n := s.nodes
		if s.family == "c4" {
			n = left
		}
		if left -= n; n > 0 {
			line += fmt.Sprintf(",%s=%d", s.family, n)
		}
	}
	return simnodes.Parse(line[1:])
}

// runFleets runs the nodes, an equal part of them connected to each server, as
// agents spread themselves. Each channel is closed when its part is registered.
func runFleets(ctx context.Context, g *errgroup.Group, cluster *harness.Cluster, nodes []*pb.NodeInfo) ([]chan struct{}, error) {
	var ready []chan struct{}
	servers := cluster.Servers
	for i, s := range servers {
		part := nodes[i*len(nodes)/len(servers) : (i+1)*len(nodes)/len(servers)]
		if len(part) == 0 {
			continue
		}
		registered := make(chan struct{})
		f, err := simfleet.New(simfleet.Config{
			Nodes: part, Servers: []string{s.Addr}, CallTimeout: 30 * time.Second, Ready: func() { close(registered) },
		})
		if err != nil {
			return nil, err
		}
		ready = append(ready, registered)
		g.Go(func() error { return f.Run(ctx) })
	}
	return ready, nil
}

func await(ctx context.Context, all []chan struct{}) error {
	for _, c := range all {
		select {
		case <-c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
