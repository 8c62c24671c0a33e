package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/view"
)

func newLimitCmd(s *session) *cobra.Command {
	cmd := newGroupCmd("limit", "Set how many of a thing there are, such as licences", newLimitListCmd(s), newLimitSetCmd(s), newLimitRemoveCmd(s))
	cmd.Aliases = []string{"limits"}
	return cmd
}

func newLimitListCmd(s *session) *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List limits with what is held of them",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				list, err := c.Limits.ListLimits(ctx, &pb.ListLimitsRequest{})
				if err != nil {
					return err
				}
				var names []string
				for _, l := range list.Limits {
					names = append(names, l.Limit.GetName())
				}
				return s.show(list, names, func(w io.Writer, style view.Style) { view.Limits(w, style, list.Limits) })
			})
		},
	}
}

func newLimitSetCmd(s *session) *cobra.Command {
	var per string
	cmd := &cobra.Command{
		Use:   "set LIMIT COUNT",
		Short: "Make a limit, or change it",
		Long: `Make a limit, or change it. Jobs ask for it with "limits: {LIMIT: 1}", and each of
their attempts holds so much until it ends. A lower count stops nothing that runs.`,
		Example: `  caravan limit set maya 20
  caravan limit set nvenc-sessions 3 --per device`,
		Args: exactly("LIMIT", "COUNT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			count, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return usagef("%q is not a count", args[1])
			}
			scope, ok := map[string]pb.LimitScope{
				"cluster": pb.LimitScope_LIMIT_SCOPE_CLUSTER, "node": pb.LimitScope_LIMIT_SCOPE_NODE, "device": pb.LimitScope_LIMIT_SCOPE_DEVICE,
			}[per]
			if !ok {
				return &usageError{fmt.Sprintf("--per %s: no such thing to count on", per), "it is cluster, node or device"}
			}
			limit := &pb.Limit{Name: args[0], Count: count, Scope: scope}
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				l, err := c.Limits.PutLimit(ctx, &pb.PutLimitRequest{RequestId: client.NewRequestID(), Limit: limit})
				if err != nil {
					return err
				}
				return s.show(l, []string{l.Name}, func(w io.Writer, _ view.Style) { fmt.Fprintf(w, "%s is %d per %s\n", l.Name, l.Count, per) })
			})
		},
	}
	cmd.Flags().StringVar(&per, "per", "cluster", "what it is counted on: cluster, node or device")
	must(cmd.RegisterFlagCompletionFunc("per", cobra.FixedCompletions([]string{"cluster", "node", "device"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func newLimitRemoveCmd(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "rm LIMIT",
		Short: "Remove a limit that no job asks for",
		Args:  exactly("LIMIT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				r, err := c.Limits.RemoveLimit(ctx, &pb.RemoveLimitRequest{RequestId: client.NewRequestID(), Name: args[0]})
				if err != nil {
					return err
				}
				return s.show(r, []string{args[0]}, func(w io.Writer, _ view.Style) { fmt.Fprintf(w, "%s removed\n", args[0]) })
			})
		},
	}
}
