package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/view"
)

func newNodeCmd(s *session) *cobra.Command {
	cmd := newGroupCmd("node", "List nodes, and take them out of service", newNodeListCmd(s), newNodeShowCmd(s), newNodeDrainCmd(s), newNodeHealthCmd(s))
	cmd.Aliases = []string{"nodes"}
	return cmd
}

func newNodeListCmd(s *session) *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List nodes with what they have and what is used",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				list, err := c.Nodes.ListNodes(ctx, &pb.ListNodesRequest{})
				if err != nil {
					return err
				}
				var names []string
				for _, n := range list.Nodes {
					names = append(names, n.Info.GetName())
				}
				return s.show(list, names, func(w io.Writer, style view.Style) {
					if len(list.Nodes) == 0 {
						fmt.Fprintln(w, "no nodes; start one with `caravan agent`")
						return
					}
					view.Nodes(w, style, list.Nodes)
				})
			})
		},
	}
}

func newNodeShowCmd(s *session) *cobra.Command {
	return &cobra.Command{
		Use:               "show NODE",
		Short:             "Show a node with its devices and attributes",
		Args:              exactly("NODE"),
		ValidArgsFunction: s.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				n, err := c.Nodes.GetNode(ctx, &pb.GetNodeRequest{Name: args[0]})
				if err != nil {
					return err
				}
				return s.show(n, []string{n.Info.GetName()}, func(w io.Writer, style view.Style) { view.Node(w, style, n) })
			})
		},
	}
}

func newNodeDrainCmd(s *session) *cobra.Command {
	var off bool
	cmd := &cobra.Command{
		Use:               "drain NODE",
		Short:             "Place nothing new on a node; --off takes it back into service",
		Args:              exactly("NODE"),
		ValidArgsFunction: s.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				n, err := c.Nodes.DrainNode(ctx, &pb.DrainNodeRequest{RequestId: client.NewRequestID(), Name: args[0], Drain: !off})
				if err != nil {
					return err
				}
				return s.show(n, []string{n.Info.GetName()}, func(w io.Writer, _ view.Style) {
					if off {
						fmt.Fprintf(w, "%s is in service\n", n.Info.GetName())
						return
					}
					fmt.Fprintf(w, "%s takes no new tasks; %s on it\n", n.Info.GetName(), view.Count(n.Allocations, "task"))
				})
			})
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "take the node back into service")
	return cmd
}
