package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/view"
)

func newExplainCmd(s *session) *cobra.Command {
	var next int32
	cmd := &cobra.Command{
		Use:   "explain ALLOCATION",
		Short: "Say why a task is on its node and which nodes would be next",
		Long: `Say why a task is on its node and which nodes would be next. Nodes are compared
as they are now, with what the allocation holds taken out: what they were like
when it was placed is not kept. An allocation is JOB.GROUP.ORDINAL.ATTEMPT;
without the attempt the task's last one is meant.

Columns, less being better, the first that differs deciding:
  OTHER KINDS   kinds of device on the node that the task has no use for
  SPLITS        untouched devices that its fraction would split
  REST          what is left on the devices that it takes in part
  DEVICES LEFT  what is left on all devices of the node
  DEVICE MEM    memory left over on, or bound up in, the devices that it takes
  HOST LEFT     cores and memory left, each as a share of the largest node's, added up`,
		Example: `  caravan explain ladder-17.encode.3.1
  caravan explain 17.encode.3 --next 10`,
		Args: exactly("ALLOCATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				e, err := c.Jobs.ExplainAllocation(ctx, &pb.ExplainAllocationRequest{AllocationId: args[0], Next: next})
				if err != nil {
					return err
				}
				names := []string{e.Chosen.GetNode()}
				for _, n := range e.Next {
					names = append(names, n.Node)
				}
				return s.show(e, names, func(w io.Writer, style view.Style) { view.Explain(w, style, e) })
			})
		},
	}
	cmd.Flags().Int32Var(&next, "next", 5, "how many other nodes to list, at most 100")
	return cmd
}
