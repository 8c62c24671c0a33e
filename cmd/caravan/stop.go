package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/view"
)

func newStopCmd(s *session) *cobra.Command {
	var (
		wait   bool
		filter taskFilter
		matrix []string
	)
	cmd := &cobra.Command{
		Use:   "stop JOB...",
		Short: "Stop jobs, or tasks of one job",
		Long: `Stop jobs: their tasks get SIGTERM, after the group's kill_grace SIGKILL. The
command returns when the request is recorded; --wait waits until nothing runs.
With --group, --state or --frames, only those tasks of one job are stopped; of a
chunk that runs, all is stopped, and what was not meant starts again. With
--matrix, only the points of a sweep that match are stopped, for good.`,
		Example: `  caravan stop film-17
  caravan stop film-17 --group render --frames 10-40
  caravan stop tune-18 --matrix lr=0.1 --matrix seed=3,4`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("JOB is missing")
			}
			return nil
		},
		ValidArgsFunction: s.completeJobs(false, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if filter.given() && len(matrix) == 0 {
				if len(args) != 1 || wait {
					return usagef("--group, --state and --frames go with one JOB, and not with --wait")
				}
				return s.act(cmd, pb.TaskAction_TASK_ACTION_STOP, args[0], &filter, "to stop")
			}
			conditions, err := axisConditions(matrix)
			if err != nil {
				return err
			}
			stopped := &pb.ListJobsResponse{}
			var failures []error
			err = s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				for _, id := range args {
					job, err := c.Jobs.StopJob(ctx, &pb.StopJobRequest{RequestId: client.NewRequestID(), JobId: id, Matrix: conditions, Group: filter.group})
					if err != nil {
						failures = append(failures, err)
						continue
					}
					stopped.Jobs = append(stopped.Jobs, job)
				}
				return nil
			})
			if err != nil {
				return err
			}
			if wait {
				if err := s.waitEnded(cmd, stopped); err != nil {
					failures = append(failures, err)
				}
			}
			if err := s.showStopped(stopped); err != nil {
				return err
			}
			return s.reportAllButLast(failures)
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the jobs have ended")
	filter.flags(s, cmd)
	cmd.Flags().StringArrayVar(&matrix, "matrix", nil, "only points of a sweep with this value of an axis, e.g. lr=0.1, or with one of several, lr=0.1,0.01; repeatable, and all must hold")
	for _, other := range []string{"wait", "state", "frames"} {
		cmd.MarkFlagsMutuallyExclusive(other, "matrix")
	}
	return cmd
}

func (s *session) showStopped(list *pb.ListJobsResponse) error {
	if len(list.Jobs) == 0 && s.human() {
		return nil
	}
	var ids []string
	for _, j := range list.Jobs {
		ids = append(ids, j.Id)
	}
	return s.show(list, ids, func(w io.Writer, _ view.Style) {
		for _, j := range list.Jobs {
			if client.Ended(j.State) {
				fmt.Fprintf(w, "%s %s\n", j.Id, view.Word(j.State))
			} else {
				fmt.Fprintf(w, "%s stopping\n", j.Id)
			}
		}
	})
}

// waitEnded replaces each job by its last version.
func (s *session) waitEnded(cmd *cobra.Command, list *pb.ListJobsResponse) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := s.untilInterrupt(cmd.Context())
	defer cancel()
	for i := range list.Jobs {
		for job, err := range c.WatchJob(ctx, list.Jobs[i].Id) {
			if err != nil {
				return err
			}
			list.Jobs[i] = job
		}
	}
	return nil
}

// untilInterrupt returns a context that Ctrl-C ends with exit code 130.
func (s *session) untilInterrupt(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	interrupts, ignore := s.interrupts()
	go func() {
		select {
		case <-interrupts:
			cancel(interrupted)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		ignore()
		cancel(nil)
	}
}

// reportAllButLast writes all failures but the last, which it returns: its
// kind makes the exit code.
func (s *session) reportAllButLast(failures []error) error {
	if len(failures) == 0 {
		return nil
	}
	last := len(failures) - 1
	for _, err := range failures[:last] {
		s.report(err)
	}
	return failures[last]
}
