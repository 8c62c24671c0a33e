package slurmcli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"caravan/agent/runner"
	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/api/slurm"
)

// srun starts a step within the job of the script that calls it; elsewhere it makes a job of
// its own, waits for it and returns its code.
func (a *App) srun(ctx context.Context, args []string) error {
	flags, command, err := slurm.Flags(args)
	if err != nil {
		return err
	}
	if len(command) == 0 {
		return errors.New("no command given to execute")
	}
	door := a.Getenv(runner.StepsVariable)
	inside := door != "" && a.Getenv("SLURM_JOB_ID") != ""
	settings := flags
	if !inside {
		settings = slices.Concat(slurm.Variables(a.asSbatch), flags)
	}
	request, warnings, err := slurm.NewRequest(settings)
	if err != nil {
		return err
	}
	a.warn("srun", warnings)
	if inside {
		return a.step(ctx, door, request, command)
	}
	return a.freshJob(ctx, request, flags, command)
}

// asSbatch gives the values of SLURM_ variables, which srun reads, for those of SBATCH_.
func (a *App) asSbatch(name string) string {
	switch name = strings.Replace(name, "SBATCH_", "SLURM_", 1); name {
	case "SLURM_JOB_NAME", "SLURM_GPUS", "SLURM_PARTITION", "SLURM_ACCOUNT", "SLURM_QOS", "SLURM_TIMELIMIT", "SLURM_CPUS_PER_TASK", "SLURM_NTASKS", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU":
		return a.Getenv(name)
	}
	return ""
}

// freshJob runs a command as a job: a script whose only step it is.
func (a *App) freshJob(ctx context.Context, request *slurm.Request, flags []slurm.Setting, command []string) error {
	s, err := a.surroundings(ctx)
	if err != nil {
		return err
	}
	if request.Name == "" {
		request.Name = command[0][strings.LastIndexByte(command[0], '/')+1:]
	}
	// The step writes; the script has nothing to say.
	request.Output, request.Error, request.Input = "none", "", ""
	s.Script = "#!/bin/sh\nexec srun \"$@\"\n"
	s.Arguments = append(stepFlags(flags), command...)
	spec, notes, err := request.Job(s)
	if err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintf(a.Err, "srun: warning: %s\n", n)
	}
	id, err := a.submit(ctx, "srun", spec)
	if err != nil {
		return err
	}
	return a.followJob(ctx, id)
}

// stepFlags are the flags that the step of a fresh job needs; the job itself tells it the rest.
func stepFlags(flags []slurm.Setting) []string {
	var out []string
	for _, f := range flags {
		switch f.Name {
		case "label", "unbuffered", "overlap", "exact":
			out = append(out, "--"+f.Name)
		case "output", "error", "input", "open-mode", "cpus-per-task":
			out = append(out, "--"+f.Name+"="+f.Value)
		case "kill-on-bad-exit":
			out = append(out, strings.TrimSuffix("--"+f.Name+"="+f.Value, "="))
		}
	}
	return append(out, "--")
}

// followJob copies what a job writes until it has ended. The first interrupt stops the job, the
// next one leaves.
func (a *App) followJob(ctx context.Context, id string) error {
	c, err := a.Connect()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() { // ends with the command
		stopping := false
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			if stopping {
				cancel()
				return
			}
			stopping = true
			fmt.Fprintf(a.Err, "srun: stopping job %d; once more to leave it to end alone\n", number(id))
			if _, err := c.Jobs.StopJob(ctx, &pb.StopJobRequest{RequestId: client.NewRequestID(), JobId: id}); err != nil {
				a.report("srun", err)
			}
		}
	}()
	logs := make(chan error, 1)
	go func() { logs <- a.copyLogs(ctx, c, id) }()
	var job *pb.Job
	for j, err := range c.WatchJob(ctx, id) {
		if err != nil {
			return err
		}
		job = j
	}
	if err := <-logs; err != nil {
		return err
	}
	return outcome(ctx, c, job)
}

func (a *App) copyLogs(ctx context.Context, c *client.Client, id string) error {
	for chunk, err := range c.ReadLogs(ctx, &pb.ReadLogsRequest{JobId: id, Follow: true}) {
		if err != nil {
			return err
		}
		w := a.Out
		if chunk.Stream == "stderr" {
			w = a.Err
		}
		if _, err := w.Write(chunk.Data); err != nil {
			return err
		}
	}
	return nil
}

// within reads what a script's environment says of its job.
type within struct {
	nodes  []string
	layout slurm.Layout
	cpus   int
}

func (a *App) within() (w within, err error) {
	if w.nodes, err = expandList(a.Getenv("SLURM_JOB_NODELIST")); err != nil {
		return w, err
	}
	if len(w.nodes) == 0 {
		return w, errors.New("SLURM_JOB_NODELIST is empty: which nodes does the job have?")
	}
	if w.cpus, err = strconv.Atoi(a.Getenv("SLURM_CPUS_ON_NODE")); err != nil {
		return w, fmt.Errorf("SLURM_CPUS_ON_NODE: %w", err)
	}
	return w, nil
}
