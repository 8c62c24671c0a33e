package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"caravan/api/preset/train"
)

func newTrainCmd(s *session) *cobra.Command {
	var (
		preset presetFlags
		dir    string
		o      train.Options
	)
	cmd := &cobra.Command{
		Use:   "train SCRIPT [-- ARG...]",
		Short: "Train with a Python script, on one worker or many",
		Long: `Send the script's directory along and run the script on one worker or a gang of
them, which find each other by RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT; or
once for each point of a sweep. What is submitted is an ordinary job file, which
--print shows: begin your own with it.

A gang that has lost a worker starts again whole: the script should begin from
its checkpoint if there is one, and on SIGTERM save and exit with 75.`,
		Example: `  caravan train train.py --gpus 1 -- --epochs 10
  caravan train train.py --workers 4 --gpus 1 --gpu-memory '>=16GiB'
  caravan train train.py --per-node --workers 2 --gpus 8
  caravan train train.py --sweep lr=0.1,0.01 --sweep seed=0..9`,
		Args: func(cmd *cobra.Command, args []string) error {
			before := args
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				before = args[:n]
			}
			if len(before) > 1 {
				return &usageError{"more than one script", "put -- before the script's arguments: caravan train " + before[0] + " -- " + strings.Join(before[1:], " ")}
			}
			return exactly("SCRIPT")(cmd, before)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			script, err := regular(args[0])
			if err != nil {
				return err
			}
			if dir == "" {
				dir = filepath.Dir(script)
			}
			if o.Dir, err = filepath.Abs(dir); err != nil {
				return err
			}
			if o.Script, err = filepath.Rel(o.Dir, script); err != nil {
				return err
			}
			o.Args = args[1:]
			text, err := train.Job(o)
			if err != nil {
				return usagef("%s", err)
			}
			return preset.do(s, cmd, text)
		},
	}
	preset.add(s, cmd)
	flags := cmd.Flags()
	flags.StringVar(&dir, "dir", "", "directory to send along (default: the script's)")
	flags.IntVar(&o.Workers, "workers", 1, "workers that train together")
	flags.BoolVar(&o.PerNode, "per-node", false, "a worker is a node, on which torchrun starts a rank for each GPU")
	flags.StringVar(&o.GPUs, "gpus", "0", "GPUs for each worker, or a part of one such as 0.5")
	flags.StringVar(&o.GPUMemory, "gpu-memory", "", "condition on the memory of each GPU, e.g. '>=16GiB'")
	flags.IntVar(&o.CPU, "cpu", 4, "cores for each worker")
	flags.StringVar(&o.Memory, "memory", "16GiB", "memory for each worker")
	flags.StringArrayVar(&o.Sweep, "sweep", nil, "axis of a sweep, NAME=VALUE,VALUE or NAME=0..9, handed to the script as --NAME VALUE; repeatable")
	flags.StringVar(&o.Python, "python", "python3", "interpreter")
	flags.IntVar(&o.Retries, "retries", 3, "extra attempts after failures")
	must(cmd.Flags().MarkHidden("sync")) // --dir says what is sent
	return cmd
}
