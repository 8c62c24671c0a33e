package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/joblog"
	"caravan/cmd/caravan/internal/taskref"
)

func newLogsCmd(s *session) *cobra.Command {
	var (
		follow, stderr, stdout bool
		tail, attempt          int32
	)
	cmd := &cobra.Command{
		Use:   "logs JOB [GROUP[INDEX]]",
		Short: "Print what a job's tasks wrote",
		Long: `Print what a job's tasks wrote, each line behind its task's name when there are
several. Stdout and stderr of the tasks come out as stdout and stderr.`,
		Example: `  caravan logs -f 17
  caravan logs 17 'encode[3]' --stderr
  caravan logs 17 encode/3 --tail 20`,
		Args:              between(1, "JOB", "GROUP[INDEX]"),
		ValidArgsFunction: s.completeJobs(true, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if stderr && stdout {
				stderr, stdout = false, false
			}
			req := &pb.ReadLogsRequest{JobId: args[0], Follow: follow, TailLines: tail, Attempt: attempt}
			switch {
			case stderr:
				req.Stream = "stderr"
			case stdout:
				req.Stream = "stdout"
			}
			if tail < 0 || attempt < 0 {
				return usagef("--tail and --attempt must not be negative")
			}
			if len(args) == 2 {
				ref, err := taskref.Parse(args[1])
				if err != nil {
					return &usageError{err.Error(), "write encode, encode/3 or 'encode[3]'"}
				}
				req.Group, req.Index = ref.Group, ref.Index
			}
			return s.logs(cmd, req)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&follow, "follow", "f", false, "wait for more until the job has ended")
	flags.Int32Var(&tail, "tail", 0, "only the last so many lines of what is there; 0 for all")
	flags.Int32Var(&attempt, "attempt", 0, "attempt; 0 for the last")
	flags.BoolVar(&stderr, "stderr", false, "only stderr")
	flags.BoolVar(&stdout, "stdout", false, "only stdout")
	return cmd
}

// logs prints logs until their end or Ctrl-C.
func (s *session) logs(cmd *cobra.Command, req *pb.ReadLogsRequest) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := s.untilInterrupt(cmd.Context())
	defer cancel()
	job, err := c.Jobs.GetJob(ctx, &pb.GetJobRequest{JobId: req.JobId})
	if err != nil {
		return err
	}
	cfg := joblog.Config{Out: s.out, Err: s.err}
	if names := taskref.Of(job.Spec); several(names, req) {
		cfg.Name = names.Allocation
	}
	return printLogs(ctx, c, req, joblog.New(cfg))
}

// several reports whether the request may be answered by more than one task.
func several(names taskref.Names, req *pb.ReadLogsRequest) bool {
	switch {
	case req.Index != nil:
		return false
	case req.Group != "":
		return names.Tasks(req.Group) > 1
	default:
		return names.Total() > 1
	}
}

// printLogs prints the logs of a request to its end.
func printLogs(ctx context.Context, c *client.Client, req *pb.ReadLogsRequest, p *joblog.Printer) error {
	for chunk, err := range c.ReadLogs(ctx, req) {
		if err != nil {
			return errors.Join(p.Flush(), err)
		}
		if err := p.Print(chunk); err != nil {
			return fmt.Errorf("print logs: %w", err)
		}
	}
	return p.Flush()
}
