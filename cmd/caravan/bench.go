package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	measure "caravan/cmd/caravan/internal/bench"
	"caravan/cmd/caravan/internal/output"
)

func newBenchCmd(s *session) *cobra.Command {
	return newGroupCmd("bench", "Measure servers of this version on this machine", newBenchPlacementsCmd(s))
}

func newBenchPlacementsCmd(s *session) *cobra.Command {
	cfg := measure.Config{}
	var keep bool
	cmd := &cobra.Command{
		Use:   "placements",
		Short: "Measure how fast and at what cost tasks are placed",
		Long: `Starts servers of this binary on loopback, with their data in a temporary
directory, registers simulated nodes with them, submits simulated tasks, and
measures until all have ended. Nodes run in this process, so that the servers'
processor time is theirs alone; they share the machine with the servers, though.

  committed_per_s           placements committed a second, from the first submission to the last placement
  cpu_ms_per_placement      processor time of all servers for each task, from its submission to its end
  submit_to_commit_*_ms     from submitting a task to seeing its placement committed
  rss_mb                    memory of the leader at the end
  raft_bytes_per_placement  bytes in the log for each task, those of its reports included`,
		Example: `  caravan bench placements --servers 3 --nodes 5000 --tasks 50000 -o json
  caravan bench placements --jobs 100 --task-time 2s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			if cfg.Bin, err = os.Executable(); err != nil {
				return err
			}
			if cfg.Dir, err = os.MkdirTemp("", "caravan-bench-"); err != nil {
				return err
			}
			if keep {
				fmt.Fprintf(s.err, "the servers' data and logs are in %s\n", cfg.Dir)
			} else {
				defer func() { err = errors.Join(err, os.RemoveAll(cfg.Dir)) }()
			}
			cfg.Progress = s.err
			found, err := measure.RunPlacements(ctx, cfg)
			if ctx.Err() != nil {
				return interrupted
			}
			if err != nil {
				return err
			}
			return showBench(s.out, s.format, found)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&cfg.Servers, "servers", 3, "scheduler servers")
	flags.IntVar(&cfg.Nodes, "nodes", 1000, "simulated nodes")
	flags.IntVar(&cfg.Tasks, "tasks", 20_000, "tasks in all")
	flags.IntVar(&cfg.Jobs, "jobs", 8, "jobs that the tasks are spread over; four demands take turns")
	flags.IntVar(&cfg.Submitters, "submitters", 16, "jobs that are being submitted at once")
	flags.DurationVar(&cfg.TaskTime, "task-time", 0*time.Second, "how long each task pretends to run")
	flags.StringArrayVar(&cfg.ServerFlags, "server-flag", nil, "a further flag for every server, e.g. --server-flag=--log-level=debug; repeat for several")
	flags.BoolVar(&keep, "keep", false, "keep the servers' data and logs")
	return cmd
}

// showBench writes what was measured, to people as a table.
func showBench(w io.Writer, format output.Format, found *measure.Placements) error {
	if format == output.JSON || format == output.YAML {
		raw, err := json.Marshal(found)
		if err != nil {
			return err
		}
		if format == output.YAML {
			if raw, err = yaml.JSONToYAML(raw); err != nil {
				return err
			}
			_, err = w.Write(raw)
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", raw)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "placements committed\t%.1f/s\n", found.CommittedPerS)
	fmt.Fprintf(t, "processor time of all servers\t%.3f ms/placement\n", found.CPUMsPerPlacement)
	fmt.Fprintf(t, "from submission to commit\t%.1f ms median, %.1f ms 99th percentile\n", found.SubmitToCommitP50Ms, found.SubmitToCommitP99Ms)
	fmt.Fprintf(t, "memory of the leader\t%.1f MB\n", found.RSSMB)
	fmt.Fprintf(t, "replicated log\t%.1f bytes/placement\n", found.RaftBytesPerPlacement)
	return t.Flush()
}
