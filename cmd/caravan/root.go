package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"caravan/cmd/caravan/internal/output"
)

// newRootCmd builds the whole command tree. A new command is one line in its list.
func newRootCmd(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:   "caravan",
		Short: "Run jobs on a fleet of CPUs, GPUs and FPGAs",
		Long: `Caravan runs training, rendering and transcoding jobs on a mixed fleet.

  caravan submit job.yaml     submit a job
  caravan run -- make test    run a command and follow it
  caravan ps                  what runs and what waits
  caravan why JOB             why it does not run yet

A job is named by its id (ladder-17) or by the number at its end (17); a task
by its group and index, as encode[3] or encode/3.

Exit codes: 0 done, 1 failed, 2 wrong usage or invalid job, 3 not found,
4 conflict, 5 no server could answer, 6 denied, 130 left by Ctrl-C.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		// execute turns suggestions into hints.
		DisableSuggestions:         true,
		SuggestionsMinimumDistance: 2,
	}
	s.format = output.Table
	flags := root.PersistentFlags()
	flags.StringArrayVar(&s.servers, "server", nil, "server as host:port; repeat for several (CARAVAN_SERVER, default "+defaultServer+")")
	flags.VarP(&s.format, "output", "o", "table, wide, name, json or yaml")
	flags.BoolVar(&s.noColor, "no-color", false, "no colours, also on a terminal")
	flags.DurationVar(&s.timeout, "timeout", 15*time.Second, "how long to wait for an answer")
	must(root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(output.Formats(), cobra.ShellCompDirectiveNoFileComp)))
	root.AddCommand(
		newSubmitCmd(s),
		newRunCmd(s),
		newTranscodeCmd(s),
		newRenderCmd(s),
		newTrainCmd(s),
		newPsCmd(s),
		newStatusCmd(s),
		newLogsCmd(s),
		newExecCmd(s),
		newPortForwardCmd(s),
		newStopCmd(s),
		newRetryCmd(s),
		newEatCmd(s),
		newPauseCmd(s),
		newResumeCmd(s),
		newReorderCmd(s),
		newStaggerCmd(s),
		newPriorityCmd(s),
		newWhyCmd(s),
		newExplainCmd(s),
		newNodeCmd(s),
		newFamiliesCmd(s),
		newHealthCmd(s),
		newFPGACmd(s),
		newQueueCmd(s),
		newLimitCmd(s),
		newEventsCmd(s),
		newClusterCmd(s),
		newServerCmd(s),
		newAgentCmd(s),
		newDevCmd(s),
		newPluginCmd(s),
		newSimulateCmd(s),
		newBenchCmd(s),
		newVersionCmd(s),
	)
	root.AddCommand(newSlurmCmds(s)...)
	noteStart(root, s)
	return root
}

// noteStart makes every command of the tree note that its work has begun.
func noteStart(cmd *cobra.Command, s *session) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			s.started = true
			return run(cmd, args)
		}
	}
	for _, child := range cmd.Commands() {
		noteStart(child, s)
	}
}

// newGroupCmd makes a command that only has subcommands.
func newGroupCmd(use, short string, children ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use: use, Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{"unknown command " + cmd.CommandPath() + " " + args[0], "see `" + cmd.CommandPath() + " --help`"}
			}
			return cmd.Help()
		},
	}
	group.AddCommand(children...)
	return group
}

// must stops the program on an error that only a mistake in it can cause.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// splitList splits a list at commas and spaces.
func splitList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
