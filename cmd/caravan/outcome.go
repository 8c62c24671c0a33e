package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/taskref"
	"caravan/cmd/caravan/internal/view"
)

// Exit codes for jobs whose tasks have none to offer.
const (
	// failedWithoutCode: its task failed though its command ended with 0, as
	// when an output was missing, or never ran.
	failedWithoutCode exitCode = 1
	// stoppedWithoutCode: stopped before any task ran; what a shell gives for SIGTERM.
	stoppedWithoutCode exitCode = 143
)

// outcome tells how the job ended and returns its exit code: none if it
// succeeded; 130 if Ctrl-C stopped it; else that of its first task, by group
// and index, that failed or was stopped.
func (f *follower) outcome(cmd *cobra.Command) error {
	if f.job.State == pb.JobState_JOB_STATE_SUCCEEDED {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	code, state := failedWithoutCode, pb.TaskState_TASK_STATE_FAILED
	if f.job.State == pb.JobState_JOB_STATE_STOPPED {
		code, state = stoppedWithoutCode, pb.TaskState_TASK_STATE_STOPPED
	}
	task, err := firstTask(ctx, f.client, f.job, state)
	if err != nil {
		return err
	}
	line := f.job.Id + " " + view.Word(f.job.State)
	if task != nil {
		if c := task.Last.GetExit().GetCode(); c != 0 {
			code = exitCode(c)
		}
		if f.job.State == pb.JobState_JOB_STATE_FAILED {
			line += ": " + taskref.Of(f.job.Spec).Task(task.Group, task.Ordinal) + " " + view.Ending(task.Last.GetExit())
		}
	}
	fmt.Fprintln(f.err, line)
	if f.stopping {
		return interrupted
	}
	return code
}

// firstTask returns the job's first task in a state, nil if there is none.
// Groups come in the order of the job file.
func firstTask(ctx context.Context, c *client.Client, job *pb.Job, state pb.TaskState) (*pb.Task, error) {
	for _, g := range job.Spec.GetGroups() {
		list, err := c.Jobs.ListTasks(ctx, &pb.ListTasksRequest{
			JobId: job.Id, Group: g.Name, States: []pb.TaskState{state}, PageSize: 1,
		})
		if err != nil {
			return nil, err
		}
		if len(list.Tasks) > 0 {
			return list.Tasks[0], nil
		}
	}
	return nil, nil
}
