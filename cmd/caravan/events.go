package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/cmd/caravan/internal/output"
	"caravan/cmd/caravan/internal/view"
)

func newEventsCmd(s *session) *cobra.Command {
	var (
		follow bool
		from   uint64
	)
	cmd := &cobra.Command{
		Use:   "events [JOB]",
		Short: "Show what happened in the cluster, or to a job",
		Long: `Show the events that the cluster still keeps, oldest first; -f waits for more.
With -o json each event is one line.`,
		Args:              between(0, "JOB"),
		ValidArgsFunction: s.completeJobs(true, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &pb.StreamEventsRequest{FromIndex: max(1, from), NoFollow: !follow}
			if len(args) == 1 {
				req.JobId = args[0]
			}
			return s.events(cmd, req)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more until Ctrl-C")
	cmd.Flags().Uint64Var(&from, "from", 0, "first index of the log to show; 0 for all that is kept")
	return cmd
}

func (s *session) events(cmd *cobra.Command, req *pb.StreamEventsRequest) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := s.untilInterrupt(cmd.Context())
	defer cancel()
	for e, err := range c.StreamEvents(ctx, req) {
		if errors.Is(err, interrupted) {
			return nil // the way to end it
		}
		if err == nil {
			err = s.event(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *session) event(e *pb.Event) error {
	switch s.format {
	case output.JSON:
		return output.Line(s.out, e)
	case output.YAML:
		fmt.Fprintln(s.out, "---")
		return output.Message(s.out, s.format, e)
	case output.Name:
		_, err := fmt.Fprintln(s.out, e.Type)
		return err
	default:
		view.Scrub(e)
		view.Event(s.out, s.style(), e)
		return nil
	}
}
