package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/view"
)

func newWhyCmd(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "why JOB",
		Short: "Say why a job does not run",
		Long: `Say why a job's groups do not run: which condition rules out how many nodes, which
node comes nearest and what it lacks, and what would help. -o wide leaves nothing out.`,
		Args:              exactly("JOB"),
		ValidArgsFunction: s.completeJobs(false, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				e, err := c.Jobs.ExplainJob(ctx, &pb.ExplainJobRequest{JobId: args[0]})
				if err != nil {
					return err
				}
				var groups []string
				for _, g := range e.Groups {
					groups = append(groups, g.Group+" "+g.Code)
				}
				return s.show(e, groups, func(w io.Writer, style view.Style) { view.Why(w, style, e) })
			})
		},
	}
}
