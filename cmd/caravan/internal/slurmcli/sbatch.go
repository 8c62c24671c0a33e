package slurmcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/api/slurm"
)

// maxScript is one byte more than a script may have.
const maxScript = 256<<10 + 1

// sbatch submits a script.
func (a *App) sbatch(ctx context.Context, args []string) error {
	flags, rest, err := slurm.Flags(args)
	if err != nil {
		return err
	}
	file, script, arguments, err := a.script(flags, rest)
	if err != nil {
		return err
	}
	directives, warnings, err := slurm.Directives(file, script)
	if err != nil {
		return err
	}
	request, more, err := slurm.NewRequest(slices.Concat(directives, slurm.Variables(a.Getenv), flags))
	if err != nil {
		return err
	}
	if !request.Quiet {
		a.warn("sbatch", append(warnings, more...))
	}
	s, err := a.surroundings(ctx)
	if err != nil {
		return err
	}
	s.Script, s.Arguments, s.File = script, arguments, file
	spec, notes, err := request.Job(s)
	if err != nil {
		return err
	}
	if !request.Quiet {
		for _, n := range notes {
			fmt.Fprintf(a.Err, "sbatch: warning: %s\n", n)
		}
	}
	if request.TestOnly {
		return a.testOnly(ctx, spec)
	}
	job, err := a.submit(ctx, "sbatch", spec)
	if err != nil {
		return err
	}
	switch {
	case request.Parsable:
		fmt.Fprintln(a.Out, number(job))
	case !request.Quiet:
		fmt.Fprintf(a.Out, "Submitted batch job %d\n", number(job))
	}
	if !request.Wait {
		return nil
	}
	return a.await(ctx, job)
}

// script reads what is to be submitted: the file, the command of --wrap, or standard input.
func (a *App) script(flags []slurm.Setting, rest []string) (file, script string, arguments []string, err error) {
	for _, f := range flags {
		if f.Name == "wrap" {
			if len(rest) > 0 {
				return "", "", nil, errors.New("a script may not be given with --wrap")
			}
			return "", "#!/bin/sh\n# This script was created by sbatch --wrap.\n\n" + f.Value + "\n", nil, nil
		}
	}
	in := a.In
	if len(rest) > 0 {
		file, arguments = rest[0], rest[1:]
		f, err := os.Open(file)
		if err != nil {
			return "", "", nil, fmt.Errorf("unable to open file %s: %w", file, err)
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxScript))
	if err != nil {
		return "", "", nil, fmt.Errorf("read the script: %w", err)
	}
	script = string(raw)
	switch {
	case len(raw) == maxScript:
		return "", "", nil, errors.New("the script is larger than 256 KiB; put its data into files")
	case script == "":
		return "", "", nil, errors.New("Batch script is empty!") //nolint:staticcheck // as sbatch says it
	case !strings.HasPrefix(script, "#!"):
		return "", "", nil, errors.New("This does not look like a batch script.  The first\nsbatch: error: line must start with #! followed by the path to an interpreter.\nsbatch: error: For instance: #!/bin/sh") //nolint:staticcheck // as sbatch says it
	case strings.Contains(script, "\r\n"):
		return "", "", nil, errors.New("Batch script contains DOS line breaks (\\r\\n)\nsbatch: error: instead of expected UNIX line breaks (\\n).") //nolint:staticcheck // as sbatch says it
	}
	return file, script, arguments, nil
}

// submit sends a job and returns its id.
func (a *App) submit(ctx context.Context, name string, spec *pb.JobSpec) (id string, err error) {
	err = a.ask(ctx, func(ctx context.Context, c *client.Client) error {
		r, err := c.Jobs.SubmitJob(ctx, &pb.SubmitJobRequest{RequestId: client.NewRequestID(), Spec: spec, Owner: a.User})
		if err != nil {
			return err
		}
		id = r.JobId
		for _, w := range r.Warnings {
			fmt.Fprintf(a.Err, "%s: warning: %s\n", name, w)
		}
		return nil
	})
	return id, err
}

// testOnly says where the job would run, and submits nothing.
func (a *App) testOnly(ctx context.Context, spec *pb.JobSpec) error {
	return a.ask(ctx, func(ctx context.Context, c *client.Client) error {
		r, err := c.Jobs.DryRunJob(ctx, &pb.DryRunJobRequest{Spec: spec, Owner: a.User})
		if err != nil {
			return err
		}
		if len(r.Offers) == 0 {
			fmt.Fprintln(a.Err, "sbatch: the job would wait; `caravan why` tells what for once it is submitted")
			return nil
		}
		var nodes []string
		for _, o := range r.Offers {
			nodes = append(nodes, o.Node)
		}
		fmt.Fprintf(a.Err, "sbatch: Job to start at %s on nodes %s in partition %s\n",
			a.Now().Format(time.DateTime), strings.Join(slices.Compact(nodes), ","), spec.Queue)
		return nil
	})
}

// await waits for the end of a job and returns its exit code.
func (a *App) await(ctx context.Context, id string) error {
	c, err := a.Connect()
	if err != nil {
		return err
	}
	defer c.Close()
	var job *pb.Job
	for j, err := range c.WatchJob(ctx, id) {
		if err != nil {
			return err
		}
		job = j
	}
	return outcome(ctx, c, job)
}

// outcome is the exit code of a job that has ended: the highest of its tasks.
func outcome(ctx context.Context, c *client.Client, job *pb.Job) error {
	if job.GetState() == pb.JobState_JOB_STATE_SUCCEEDED {
		return nil
	}
	code := exitCode(1)
	token := ""
	for {
		list, err := c.Jobs.ListTasks(ctx, &pb.ListTasksRequest{JobId: job.GetId(), PageSize: 1000, PageToken: token,
			States: []pb.TaskState{pb.TaskState_TASK_STATE_FAILED, pb.TaskState_TASK_STATE_STOPPED}})
		if err != nil {
			return err
		}
		for _, t := range list.Tasks {
			if g := groupNamed(job, t.Group); g.GetGang() && g.GetBatch() != nil && t.Ordinal != 0 {
				continue // it only held its node for the script
			}
			if n := exitCode(t.Last.GetExit().GetCode()); n > code {
				code = n
			}
		}
		if token = list.NextPageToken; token == "" {
			return code
		}
	}
}
