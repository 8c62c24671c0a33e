package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"caravan/plugins/sdk/client"
	"caravan/plugins/sdk/conformance"
)

func newPluginCmd(s *session) *cobra.Command {
	return newGroupCmd("plugin", "Device plugins", newPluginTestCmd(s))
}

// pluginTestFlags say how a plugin is tested.
type pluginTestFlags struct {
	ill, well string
	deadline  time.Duration
	verbose   bool
}

func newPluginTestCmd(s *session) *cobra.Command {
	f := &pluginTestFlags{}
	cmd := &cobra.Command{
		Use:   "test PLUGIN [-- ARGUMENT...]",
		Short: "Hold a device plugin against the contract, rule by rule",
		Long: `Start a device plugin and try every rule of the contract on it.

PLUGIN is the path of a program, or amd, fpga, nvidia or sim. What it is given follows
behind "--". It is started several times and killed once; run it on a host
whose devices no agent uses. With --ill and --well, commands that make a device
ill and well again, it is also tried whether the plugin tells.

  caravan plugin test ./my-plugin
  caravan plugin test sim -- -machine gn4`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			return f.run(ctx, s, args)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.ill, "ill", "", "shell command that makes a device ill")
	fl.StringVar(&f.well, "well", "", "shell command that makes it well again")
	fl.DurationVar(&f.deadline, "deadline", 5*time.Second, "how long an answer may take")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "show the plugin's messages")
	return cmd
}

func (f *pluginTestFlags) run(ctx context.Context, s *session, args []string) error {
	command, err := pluginCommand(args)
	if err != nil {
		return &usageError{err.Error(), "see `caravan plugin test --help`"}
	}
	if (f.ill == "") != (f.well == "") {
		return &usageError{"--ill and --well go together", "give both or neither"}
	}
	cfg := conformance.Config{Client: client.Config{Command: command, CallTimeout: f.deadline}}
	if f.verbose {
		cfg.Client.Logger = hclog.New(&hclog.LoggerOptions{Name: "plugin", Output: s.err, Level: hclog.Debug})
	}
	if f.ill != "" {
		cfg.Fault = f.fault
	}
	results, err := conformance.Run(ctx, cfg)
	if err != nil {
		return err
	}
	failed := 0
	for _, r := range results {
		fmt.Fprintf(s.out, "%-8s %-20s %s\n", r.Outcome, r.Rule, r.Demand)
		if r.Detail != "" {
			fmt.Fprintf(s.out, "%-29s %s\n", "", r.Detail)
		}
		if r.Outcome == conformance.Failed {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d rules are broken", failed, len(results))
	}
	return nil
}

// fault makes a device ill or well.
func (f *pluginTestFlags) fault(ctx context.Context, ill bool) error {
	script := f.well
	if ill {
		script = f.ill
	}
	if out, err := exec.CommandContext(ctx, "sh", "-c", script).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", script, err, out)
	}
	return nil
}
