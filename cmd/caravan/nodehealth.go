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

// newNodeHealthCmd groups the orders about health.
func newNodeHealthCmd(s *session) *cobra.Command {
	return newGroupCmd("device", "Take a device, or a whole host, out of service, or give it back",
		newQuarantineCmd(s), newReturnCmd(s))
}

func newQuarantineCmd(s *session) *cobra.Command {
	var finish bool
	cmd := s.orderCmd("quarantine NODE [DEVICE]", "Take a device out of service until it is returned; without DEVICE the host",
		pb.HealthVerb_HEALTH_VERB_QUARANTINE, &finish)
	cmd.Flags().BoolVar(&finish, "finish", false, "let what runs on it end by itself (default: it is stopped, and tried again elsewhere at no charge)")
	return cmd
}

func newReturnCmd(s *session) *cobra.Command {
	return s.orderCmd("return NODE [DEVICE]", "Say that a device is well again: it is tested, watched, and takes work",
		pb.HealthVerb_HEALTH_VERB_RETURN, new(bool))
}

// orderCmd is a command that gives an order about a device or a host.
func (s *session) orderCmd(use, short string, verb pb.HealthVerb, finish *bool) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.RangeArgs(1, 2),
		ValidArgsFunction: s.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			device := ""
			if len(args) > 1 {
				device = args[1]
			}
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				n, err := c.Nodes.OrderHealth(ctx, &pb.OrderHealthRequest{
					RequestId: client.NewRequestID(), Node: args[0], Device: device, Verb: verb, Reason: reason, Finish: *finish, By: s.owner(),
				})
				if err != nil {
					return err
				}
				return s.show(n, []string{n.Info.GetName()}, func(w io.Writer, _ view.Style) {
					what := "host " + args[0]
					if device != "" {
						what = "device " + device + " of " + args[0]
					}
					fmt.Fprintf(w, "%s of %s is ordered; `caravan node show %s` shows what comes of it\n", cmd.Name(), what, args[0])
				})
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who ask later (required)")
	_ = cmd.MarkFlagRequired("reason") // it is a flag of the command
	return cmd
}
