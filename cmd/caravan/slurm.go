package main

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"caravan/cmd/caravan/internal/slurmcli"
)

// slurm makes what the commands of Slurm run on.
func (s *session) slurm() *slurmcli.App {
	return &slurmcli.App{
		In: s.in, Out: s.out, Err: s.err, Getenv: s.env, Environ: os.Environ, Now: s.now, Connect: s.connect, User: s.owner(),
	}
}

// newSlurmCmds makes the commands of Slurm, which read their own flags.
func newSlurmCmds(s *session) []*cobra.Command {
	var cmds []*cobra.Command
	for name, short := range map[string]string{
		"sbatch":   "Submit a batch script, as Slurm's sbatch does",
		"srun":     "Run a command as a job, or as a step within a batch script",
		"squeue":   "List jobs, as Slurm's squeue does",
		"scancel":  "Stop or signal jobs, as Slurm's scancel does",
		"sinfo":    "List nodes and queues, as Slurm's sinfo does",
		"sacct":    "List what jobs used, as Slurm's sacct does",
		"scontrol": "Show and change jobs and nodes, as Slurm's scontrol does",
	} {
		cmds = append(cmds, &cobra.Command{
			Use: name, Short: short, DisableFlagParsing: true,
			Long: short + ".\n\nThe flags are Slurm's. The servers are those of CARAVAN_SERVER. Under a link of the name " +
				name + " this\nprogram is the same command.",
			RunE: func(cmd *cobra.Command, args []string) error {
				if len(args) == 1 && (args[0] == "--help" || args[0] == "-h" && name != "squeue" && name != "sinfo" && name != "sacct") {
					return cmd.Help()
				}
				if code := s.slurm().Run(cmd.Context(), name, args); code != 0 {
					return exitCode(code)
				}
				return nil
			},
		})
	}
	return cmds
}

// runSlurm runs the command that the program was called by, if it is one of Slurm's.
func runSlurm(program string, args []string) (code int, ok bool) {
	name, ok := slurmcli.Known(strings.TrimSuffix(program, "/"))
	if !ok {
		return 0, false
	}
	return newSession().slurm().Run(context.Background(), name, args), true
}
