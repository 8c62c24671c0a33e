package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"caravan/agent/device/health"
)

// newHealthCmd groups what needs no server: the policy of devices' health.
func newHealthCmd(s *session) *cobra.Command {
	return newGroupCmd("health", "The policy that says what signs of illness in devices amount to",
		newHealthPolicyCmd(s), newHealthCheckCmd(s))
}

func newHealthPolicyCmd(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "policy",
		Short: "Print the built-in policy, to begin one of your own with",
		Long: `Print the built-in policy. A file of this form is what "caravan agent --health-policy"
takes; it replaces the built-in one as a whole.`,
		Example: `  caravan health policy > policy.yaml
  caravan health check policy.yaml`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := s.out.Write(health.Text())
			return err
		},
	}
}

func newHealthCheckCmd(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a policy, and show in what it differs from the built-in one",
		Args:  exactly("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			policy, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			lines, err := policy.Differences()
			if err != nil {
				return err
			}
			fmt.Fprintf(s.out, "%s is in order; %d of its codes are treated otherwise than in the built-in policy\n", args[0], len(lines))
			for _, line := range lines {
				fmt.Fprintln(s.out, "  "+line)
			}
			return nil
		},
	}
}
