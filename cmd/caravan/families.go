package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/view"
	"caravan/scheduler/family"
	"caravan/scheduler/server"
)

func newFamiliesCmd(s *session) *cobra.Command {
	var local bool
	var file string
	cmd := &cobra.Command{
		Use:     "families [NAME]",
		Aliases: []string{"family"},
		Short:   "Show the instance families: types, devices, prices, power and sites",
		Long: `Show the instance families that the servers know: every family, or the types of one
with their devices, prices and what they draw. Prices, power and sites come from the
file that the servers were started with (caravan server --catalogue FILE).`,
		Example: `  caravan families
  caravan families gn4 -o wide
  caravan families --local
  caravan families check my.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			if local || file != "" {
				c, err := readCatalogue(file)
				if err != nil {
					return err
				}
				list, err := server.Families(c, name)
				if err != nil {
					return err
				}
				return s.showFamilies(list, name)
			}
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				list, err := c.Catalogue.ListFamilies(ctx, &pb.ListFamiliesRequest{Name: name})
				if err != nil {
					return err
				}
				return s.showFamilies(list, name)
			})
		},
	}
	cmd.Flags().BoolVar(&local, "local", false, "show what is built into this program, without asking a server")
	cmd.Flags().StringVar(&file, "catalogue", "", "with --local: an operator's file on top of it")
	cmd.AddCommand(newFamiliesCheckCmd(s))
	return cmd
}

func (s *session) showFamilies(list *pb.ListFamiliesResponse, name string) error {
	var names []string
	for _, f := range list.Families {
		if name == "" {
			names = append(names, f.Name)
			continue
		}
		for _, t := range f.Types {
			names = append(names, t.Name)
		}
	}
	return s.show(list, names, func(w io.Writer, style view.Style) { view.Families(w, style, list, name != "") })
}

func newFamiliesCheckCmd(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check an operator's file of families, prices, power and sites",
		Args:  exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := readCatalogue(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.out, "%s is in order: %d families and %s in all\n", args[0], len(c.Families()), view.Count(int64(len(c.Sites())), "site"))
			return err
		},
	}
}

// readCatalogue returns the built-in catalogue with what a file adds; "" for none.
func readCatalogue(file string) (*family.Catalogue, error) {
	c, err := family.Load()
	if err != nil || file == "" {
		return c, err
	}
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	return c.Extend(file, src)
}
