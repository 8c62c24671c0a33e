package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/taskref"
	"caravan/cmd/caravan/internal/view"
)

// statusTasks is how many tasks "status" shows unasked.
const statusTasks = 12

func newStatusCmd(s *session) *cobra.Command {
	var (
		tasks  bool
		group  string
		states []string
		limit  int
	)
	cmd := &cobra.Command{
		Use:   "status JOB",
		Short: "Show a job, its groups and its tasks",
		Long: `Show a job, its groups, and the tasks worth a look: those that failed or run.
--tasks lists every task with its last attempt: node, variant, exit code, processor
time and peak memory.`,
		Example: `  caravan status 17
  caravan status ladder-17 --tasks --group encode --state failed`,
		Args:              exactly("JOB"),
		ValidArgsFunction: s.completeJobs(true, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen, err := taskStates(states)
			if err != nil {
				return err
			}
			req := &pb.ListTasksRequest{JobId: args[0], Group: group, States: chosen}
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				if tasks || group != "" || len(states) > 0 {
					return s.listTasks(ctx, c, req, limit)
				}
				return s.status(ctx, c, args[0])
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&tasks, "tasks", false, "list the tasks")
	flags.StringVar(&group, "group", "", "only tasks of this group")
	flags.StringSliceVar(&states, "state", nil, "only tasks in these states: blocked, pending, running, succeeded, failed, stopped")
	flags.IntVarP(&limit, "limit", "n", 100, "at most so many tasks; 0 for all")
	must(cmd.RegisterFlagCompletionFunc("group", s.completeGroupFlag))
	must(cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(stateWords(pb.TaskState_name), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// status shows a job; as JSON and YAML it is the job alone.
func (s *session) status(ctx context.Context, c *client.Client, id string) error {
	job, err := c.Jobs.GetJob(ctx, &pb.GetJobRequest{JobId: id})
	if err != nil {
		return err
	}
	var tasks []*pb.Task
	var usage *pb.ListUsageResponse
	if s.human() {
		if tasks, err = notable(ctx, c, job); err != nil {
			return err
		}
		usage = s.usage(ctx, c, job, "")
	}
	view.Scrub(&pb.ListTasksResponse{Tasks: tasks})
	return s.show(job, []string{job.Id}, func(w io.Writer, style view.Style) {
		view.Status(w, style, job, tasks)
		view.Usage(w, style, job, tasks, usage.GetTasks(), style.Wide)
	})
}

// usage asks the agents what the job's tasks were given and use. It is an extra: a job whose agents are
// out of reach is shown without.
func (s *session) usage(ctx context.Context, c *client.Client, job *pb.Job, group string) *pb.ListUsageResponse {
	if job.Simulated || job.StartedMs == 0 {
		return nil
	}
	usage, err := c.Jobs.ListUsage(ctx, &pb.ListUsageRequest{JobId: job.Id, Group: group, Limit: statusTasks})
	if err != nil {
		return nil
	}
	view.Scrub(usage)
	return usage
}

// notable returns the tasks worth a look: all of a small job, or else those
// that failed and those that run.
func notable(ctx context.Context, c *client.Client, job *pb.Job) ([]*pb.Task, error) {
	req := &pb.ListTasksRequest{JobId: job.Id, PageSize: statusTasks}
	if taskref.Of(job.Spec).Total() > statusTasks {
		req.States = []pb.TaskState{pb.TaskState_TASK_STATE_FAILED}
	}
	list, err := c.Jobs.ListTasks(ctx, req)
	if err != nil || len(req.States) == 0 {
		return list.GetTasks(), err
	}
	tasks := list.Tasks
	if room := statusTasks - len(tasks); room > 0 {
		req.States, req.PageSize = []pb.TaskState{pb.TaskState_TASK_STATE_RUNNING}, int32(room)
		if list, err = c.Jobs.ListTasks(ctx, req); err != nil {
			return nil, err
		}
		tasks = append(tasks, list.Tasks...)
	}
	return tasks, nil
}

func (s *session) listTasks(ctx context.Context, c *client.Client, req *pb.ListTasksRequest, limit int) error {
	job, err := c.Jobs.GetJob(ctx, &pb.GetJobRequest{JobId: req.JobId})
	if err != nil {
		return err
	}
	all, err := pageTasks(ctx, c, req, limit)
	if err != nil {
		return err
	}
	var usage *pb.ListUsageResponse
	if s.human() {
		usage = s.usage(ctx, c, job, req.Group)
	}
	names := taskref.Of(job.Spec)
	var list []string
	for _, t := range all.Tasks {
		list = append(list, names.Task(t.Group, t.Ordinal))
	}
	return s.show(all, list, func(w io.Writer, style view.Style) {
		if len(all.Tasks) == 0 {
			fmt.Fprintln(w, "no such tasks")
			return
		}
		view.Tasks(w, style, job, all.Tasks)
		view.Usage(w, style, job, all.Tasks, usage.GetTasks(), style.Wide)
		if all.NextPageToken != "" {
			fmt.Fprintf(w, "the first %d; more with -n\n", len(all.Tasks))
		}
	})
}

// pageTasks reads pages until it has limit tasks, or all if limit is 0.
func pageTasks(ctx context.Context, c *client.Client, req *pb.ListTasksRequest, limit int) (*pb.ListTasksResponse, error) {
	all := &pb.ListTasksResponse{}
	for {
		req.PageSize = pageSize
		if limit > 0 {
			req.PageSize = int32(min(pageSize, limit-len(all.Tasks)))
		}
		page, err := c.Jobs.ListTasks(ctx, req)
		if err != nil {
			return nil, err
		}
		all.Tasks = append(all.Tasks, page.Tasks...)
		all.NextPageToken = page.NextPageToken
		if page.NextPageToken == "" || limit > 0 && len(all.Tasks) >= limit {
			return all, nil
		}
		req.PageToken = page.NextPageToken
	}
}
