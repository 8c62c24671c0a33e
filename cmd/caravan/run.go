package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"caravan/api/jobspec"
	"caravan/api/preset"
)

// inlineFlags describe a job that is written on the command line.
type inlineFlags struct {
	cpu, memory, disk string
	gpus, fpgas       string
	count             int
	array             string
	env               []string
	workdir           string
	timeLimit         string
	retries           int
	here              bool
	image             string
}

func newRunCmd(s *session) *cobra.Command {
	var (
		job    jobFlags
		inline inlineFlags
		detach bool
	)
	cmd := &cobra.Command{
		Use:   "run FILE | run [flags] -- COMMAND ARG...",
		Short: "Run a command or a job file, and follow it",
		Long: `Submit a job, show its progress and print its logs until it ends.

Progress goes to stderr; what the tasks write to stdout and stderr comes out as
such. Ctrl-C stops the job and waits for it; a second Ctrl-C leaves at once.

The exit code is the job's own: 0 if it succeeded; else that of its first task,
by group and index, that failed (128+n if signal n ended it); 1 if that task
failed though its command ended with 0, as when an output is missing, or never
ran; 130 if Ctrl-C stopped it; 143 if somebody else stopped it before it ran.
Codes 2 to 6 may also come from caravan itself, whose message then begins with
"error:".`,
		Example: `  caravan run -- make -j4 test
  caravan run --cpu 4 --memory 8GiB --gpus 1 -- python3 train.py
  caravan run --array 1-250 -- sh -c 'render --frame $CARAVAN_INDEX'
  caravan run --image docker.io/library/debian:12 -- cat /etc/os-release
  caravan run ladder.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case cmd.ArgsLenAtDash() > 0:
				return &usageError{"a job file and a command do not go together", "caravan run FILE, or caravan run -- COMMAND"}
			case cmd.ArgsLenAtDash() < 0 && len(args) > 1:
				return &usageError{"more than one job file", "put -- before a command: caravan run -- " + strings.Join(args, " ")}
			case len(args) == 0:
				return &usageError{"nothing to run", "caravan run FILE, or caravan run -- COMMAND"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := s.runnable(cmd, args, &inline)
			if err != nil {
				return err
			}
			if err := job.apply(cmd, file.Spec); err != nil {
				return err
			}
			if detach {
				_, err := s.submit(cmd, file, job.owner)
				return err
			}
			id, err := s.submitQuietly(cmd, file, job.owner)
			if err != nil {
				return err
			}
			return s.follow(cmd, followConfig{job: id, logs: true, stop: true})
		},
	}
	job.add(s, cmd)
	inline.add(cmd)
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "print the job's id and leave")
	return cmd
}

func (f *inlineFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.cpu, "cpu", "", "cores for each task, e.g. 2, 0.5 or 500m")
	flags.StringVar(&f.memory, "memory", "", "memory for each task, e.g. 4GiB")
	flags.StringVar(&f.disk, "disk", "", "scratch disk for each task, e.g. 10GiB")
	flags.StringVar(&f.gpus, "gpus", "", "GPUs for each task, or a part of one such as 0.25")
	flags.StringVar(&f.fpgas, "fpgas", "", "FPGAs for each task, or a part of one")
	flags.StringVar(&f.image, "image", "", "image of a container to run in, e.g. docker.io/library/debian:12")
	flags.IntVar(&f.count, "count", 0, "number of tasks")
	flags.StringVar(&f.array, "array", "", "indices of the tasks, e.g. 1-250 or 1-9:2%4; a task reads its own from CARAVAN_INDEX")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "environment variable NAME=VALUE, or NAME to pass on; repeatable")
	flags.StringVar(&f.workdir, "workdir", "", "working directory on the node; empty for a fresh private one")
	flags.BoolVar(&f.here, "here", false, "work in this directory, for nodes that share its file system")
	flags.StringVar(&f.timeLimit, "time-limit", "", "stop a task that runs longer, e.g. 2h30m")
	flags.IntVar(&f.retries, "retries", 0, "extra attempts after the first has failed")
	cmd.MarkFlagsMutuallyExclusive("count", "array")
	cmd.MarkFlagsMutuallyExclusive("workdir", "here")
}

// names lists the flags that make sense only for a command.
func (f *inlineFlags) names() []string {
	return []string{"cpu", "memory", "disk", "gpus", "fpgas", "count", "array", "env", "workdir", "here", "time-limit", "retries", "image"}
}

// runnable returns the job that the arguments name or describe.
func (s *session) runnable(cmd *cobra.Command, args []string, inline *inlineFlags) (*jobspec.File, error) {
	if cmd.ArgsLenAtDash() < 0 {
		for _, name := range inline.names() {
			if cmd.Flags().Changed(name) {
				return nil, &usageError{"--" + name + " goes with a command, not with a job file", "change a job file's values with --set"}
			}
		}
		return s.readJob(args[0])
	}
	src, err := inline.file(args, s.env)
	if err != nil {
		return nil, err
	}
	return jobspec.Parse("command line", src)
}

// file writes the job as a job file, so that there is one place for defaults,
// units and checks, and one form of message.
func (f *inlineFlags) file(command []string, getenv func(string) string) ([]byte, error) {
	job := yaml.MapSlice{{Key: "name", Value: nameOf(command[0])}, {Key: "command", Value: command}}
	add := func(key string, value any, set bool) {
		if set {
			job = append(job, yaml.MapItem{Key: key, Value: value})
		}
	}
	resources := yaml.MapSlice{}
	for _, r := range []struct{ name, amount string }{{"cpu", f.cpu}, {"memory", f.memory}, {"disk", f.disk}} {
		if r.amount != "" {
			resources = append(resources, yaml.MapItem{Key: r.name, Value: plainScalar(r.amount)})
		}
	}
	var devices []yaml.MapSlice
	for _, d := range []struct{ kind, amount string }{{"gpu", f.gpus}, {"fpga", f.fpgas}} {
		if d.amount != "" {
			devices = append(devices, yaml.MapSlice{{Key: d.kind, Value: plainScalar(d.amount)}})
		}
	}
	if len(devices) > 0 {
		resources = append(resources, yaml.MapItem{Key: "devices", Value: devices})
	}
	env, err := environment(f.env, getenv)
	if err != nil {
		return nil, err
	}
	workdir := f.workdir
	if f.here {
		if workdir, err = os.Getwd(); err != nil {
			return nil, err
		}
	}
	add("image", f.image, f.image != "")
	add("resources", resources, len(resources) > 0)
	add("count", f.count, f.count != 0)
	add("array", f.array, f.array != "")
	add("env", env, len(env) > 0)
	add("workdir", workdir, workdir != "")
	add("time_limit", f.timeLimit, f.timeLimit != "")
	add("retries", f.retries, f.retries != 0)
	return yaml.Marshal(job)
}

// plainScalar lets a number be written as one, so that it is not put in quotes.
func plainScalar(text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	return text
}

// environment reads NAME=VALUE pairs, and NAMEs to pass on.
func environment(pairs []string, getenv func(string) string) (yaml.MapSlice, error) {
	var env yaml.MapSlice
	for _, pair := range pairs {
		name, value, given := strings.Cut(pair, "=")
		if name == "" {
			return nil, usagef("--env %q has no name", pair)
		}
		if !given {
			value = getenv(name)
		}
		env = append(env, yaml.MapItem{Key: name, Value: value})
	}
	return env, nil
}

// nameOf makes a job's name from a command.
func nameOf(command string) string {
	name := preset.Slug(filepath.Base(command))
	if name == "" {
		return "run"
	}
	return name
}
