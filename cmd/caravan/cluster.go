package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/version"
	"caravan/cmd/caravan/internal/view"
)

func newClusterCmd(s *session) *cobra.Command {
	status := &cobra.Command{
		Use:   "status",
		Short: "Show the servers and who leads",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				cl, err := c.Operator.GetCluster(ctx, &pb.GetClusterRequest{})
				if err != nil {
					return err
				}
				var ids []string
				for _, m := range cl.Servers {
					ids = append(ids, m.Id)
				}
				return s.show(cl, ids, func(w io.Writer, style view.Style) { view.Cluster(w, style, cl) })
			})
		},
	}
	return newGroupCmd("cluster", "Look at the servers", status)
}

func newVersionCmd(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(s.out, "caravan", version.Version)
			return err
		},
	}
}
