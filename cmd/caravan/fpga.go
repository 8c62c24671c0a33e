package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/view"
)

func newFPGACmd(s *session) *cobra.Command {
	return newGroupCmd("fpga", "List programmable devices, and load images into them", newFPGAListCmd(s), newFPGAProgramCmd(s))
}

func newFPGAListCmd(s *session) *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List regions with their state, what they run and what could be loaded",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				list, err := c.Nodes.ListNodes(ctx, &pb.ListNodesRequest{})
				if err != nil {
					return err
				}
				var names []string
				for _, n := range list.Nodes {
					for _, d := range n.Info.GetDevices() {
						if view.Programmable(d) {
							names = append(names, n.Info.Name+" "+d.Id)
						}
					}
				}
				return s.show(list, names, func(w io.Writer, style view.Style) {
					if len(names) == 0 {
						fmt.Fprintln(w, "no programmable devices")
						return
					}
					view.Regions(w, style, list.Nodes)
				})
			})
		},
	}
}

func newFPGAProgramCmd(s *session) *cobra.Command {
	var image string
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "program NODE DEVICE[/REGION]",
		Short: "Load an image into a region that nobody uses, and wait until it is loaded",
		Long: `Load an image of the node's store (caravan agent --images DIR) into a region. The
region must be free. An image that was built for another shell is refused, and so is
a card that runs its golden image. A region that could not be programmed takes no
tasks until it has been calm for a while or an image has been loaded.`,
		Example:           `  caravan fpga program n7 fpga-0000:3b:00.0/port0 --image aes128`,
		Args:              exactly("NODE", "DEVICE"),
		ValidArgsFunction: s.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &pb.ProgramDeviceRequest{
				Node: args[0], DeviceId: strings.ReplaceAll(args[1], "/", "-"), Image: image, TimeoutMs: limit.Milliseconds(),
			}
			c, err := s.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			return s.program(cmd.Context(), c, req)
		},
	}
	cmd.Flags().StringVar(&image, "image", "", "the image's name in the node's store")
	cmd.Flags().DurationVar(&limit, "limit", 0, "how long each of two tries may take (default: the agent's limit)")
	must(cmd.MarkFlagRequired("image"))
	return cmd
}

// program loads an image and shows how far it is.
func (s *session) program(ctx context.Context, c *client.Client, req *pb.ProgramDeviceRequest) error {
	stream, err := c.Nodes.ProgramDevice(ctx, req)
	if err != nil {
		return err
	}
	_, tty := s.terminal(s.err)
	for {
		p, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("node %s ended without saying whether the image is loaded; see `caravan node show %s`", req.Node, req.Node)
		case err != nil:
			return err
		case p.Done:
			return s.show(p, []string{req.DeviceId}, func(w io.Writer, _ view.Style) {
				fmt.Fprintf(w, "%s on %s runs %s; loaded in %s\n", req.DeviceId, req.Node, req.Image, view.Duration(time.Duration(p.TookMs)*time.Millisecond))
			})
		case tty && s.human():
			fmt.Fprintf(s.err, "\r%3d %% %-20s", p.DoneThousandths/10, p.Step)
		}
	}
}
