package slurmcli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/api/slurm"
)

func cancelFlags() []flagSpec {
	return []flagSpec{
		{"user", 'u', true}, {"name", 'n', true}, {"jobname", 0, true}, {"state", 't', true}, {"partition", 'p', true}, {"account", 'A', true},
		{"nodelist", 'w', true}, {"signal", 's', true}, {"batch", 'b', false}, {"full", 'f', false}, {"me", 0, false}, {"quiet", 'Q', false},
		{"verbose", 'v', false}, {"hurry", 'H', false}, {"ctld", 0, false}, {"interactive", 'i', false}, {"qos", 'q', true},
	}
}

// scancel stops jobs and tasks of arrays, or sends them signals.
func (a *App) scancel(ctx context.Context, args []string) error {
	f, ids, err := parse(cancelFlags(), args)
	if err != nil {
		return err
	}
	f["name"] = append(f["name"], f["jobname"]...)
	filtered := false
	for _, name := range []string{"user", "name", "state", "partition", "account", "nodelist", "me", "qos"} {
		filtered = filtered || f.has(name)
	}
	if len(ids) == 0 && !filtered {
		return errors.New("No job identification provided") //nolint:staticcheck // as scancel says it
	}
	if f.has("interactive") {
		return errors.New("--interactive is not there; look with squeue first")
	}
	sel, err := a.selection(f)
	if err != nil {
		return err
	}
	if sel.ids, err = readIDs(ids); err != nil {
		return err
	}
	k := &canceller{app: a, flags: f}
	if f.has("signal") {
		if k.signal, err = slurm.Signal(f.last("signal")); err != nil {
			return err
		}
	}
	return a.ask(ctx, func(ctx context.Context, c *client.Client) error {
		k.client = c
		if filtered {
			return k.selected(ctx, sel)
		}
		var failures []error
		for _, w := range sel.ids {
			failures = append(failures, k.one(ctx, w))
		}
		return errors.Join(failures...)
	})
}

// canceller carries out one scancel.
type canceller struct {
	app    *App
	client *client.Client
	flags  flags
	signal int32 // 0 to stop
}

// selected deals with what a filter finds; whole jobs where all of one matches.
func (k *canceller) selected(ctx context.Context, sel selection) error {
	found, err := rows(ctx, k.client, sel, k.app.Now())
	if err != nil {
		return err
	}
	var failures []error
	for _, r := range found {
		if _, short := r.state(); short == "CD" || short == "CA" || short == "F" || short == "TO" {
			continue
		}
		w := wanted{job: r.job.Id}
		if r.arrayed() && r.task != nil {
			at := r.task.Indices[0]
			w.indices = []*pb.IndexRange{{First: at, Last: at, Step: 1}}
		}
		waiting := r.arrayed() && r.task == nil
		failures = append(failures, k.job(ctx, r.job, w, waiting))
	}
	return errors.Join(failures...)
}

func (k *canceller) one(ctx context.Context, w wanted) error {
	job, err := k.client.Jobs.GetJob(ctx, &pb.GetJobRequest{JobId: w.job})
	if e, ok := errors.AsType[*client.Error](err); ok && e.Kind == client.KindNotFound {
		return fmt.Errorf("Kill job error on job id %s: Invalid job id specified", w.job) //nolint:staticcheck // as scancel says it
	}
	if err != nil {
		return err
	}
	return k.job(ctx, job, element(job, w), false)
}

// job stops or signals a job, or some tasks of it. waiting means only those that wait.
func (k *canceller) job(ctx context.Context, job *pb.Job, w wanted, waiting bool) error {
	if k.flags.has("verbose") {
		fmt.Fprintf(k.app.Err, "scancel: Terminating job %d\n", number(job.Id))
	}
	if client.Ended(job.State) {
		return nil
	}
	if k.signal != 0 && k.signal != int32(syscall.SIGKILL) {
		return k.send(ctx, job, w)
	}
	if len(w.indices) == 0 && !waiting {
		_, err := k.client.Jobs.StopJob(ctx, &pb.StopJobRequest{RequestId: client.NewRequestID(), JobId: job.Id})
		return err
	}
	req := &pb.ActOnTasksRequest{RequestId: client.NewRequestID(), JobId: job.Id, Action: pb.TaskAction_TASK_ACTION_STOP, Indices: w.indices}
	if waiting {
		req.States = []pb.TaskState{pb.TaskState_TASK_STATE_PENDING, pb.TaskState_TASK_STATE_BLOCKED}
	}
	_, err := k.client.Jobs.ActOnTasks(ctx, req)
	return err
}

// send sends the signal to what runs: the steps, the script with --batch, both with --full. A
// job that has no script takes it itself.
func (k *canceller) send(ctx context.Context, job *pb.Job, w wanted) error {
	running, err := tasks(ctx, k.client, job)
	if err != nil {
		return err
	}
	var failures []error
	for _, t := range running {
		g := groupNamed(job, t.Group)
		if t.State != pb.TaskState_TASK_STATE_RUNNING || g.GetGang() && g.GetBatch() != nil && t.Ordinal != 0 || !meant(w, t) {
			continue
		}
		script := g.GetBatch() == nil || k.flags.has("batch") || k.flags.has("full")
		steps := g.GetBatch() != nil && !k.flags.has("batch")
		if steps {
			if err := k.exec(ctx, job, t, true); err != nil && !script {
				failures = append(failures, err)
			}
		}
		if script {
			failures = append(failures, k.exec(ctx, job, t, false))
		}
	}
	return errors.Join(failures...)
}

func meant(w wanted, t *pb.Task) bool {
	if len(w.indices) == 0 {
		return true
	}
	for _, x := range w.indices {
		if len(t.Indices) > 0 && within1(x, t.Indices[0]) {
			return true
		}
	}
	return false
}

func groupNamed(job *pb.Job, name string) *pb.TaskGroup {
	for _, g := range job.GetSpec().GetGroups() {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// exec delivers the signal.
func (k *canceller) exec(ctx context.Context, job *pb.Job, t *pb.Task, steps bool) error {
	stream, err := k.client.Jobs.Exec(ctx)
	if err != nil {
		return err
	}
	start := &pb.ExecStart{JobId: job.Id, Group: t.Group, Signal: k.signal, SignalSteps: steps}
	if len(t.Indices) > 0 {
		start.Index = &t.Indices[0]
	}
	if err := stream.Send(&pb.ExecRequest{Message: &pb.ExecRequest_Start{Start: start}}); err != nil {
		return fmt.Errorf("signal job %s: %w", strconv.FormatInt(number(job.Id), 10), err)
	}
	_, err = stream.Recv()
	return err
}
