package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/api/jobspec"
	"caravan/cmd/caravan/internal/view"
)

// taskFilter says which tasks of a job an action is for.
type taskFilter struct {
	group  string
	states []string
	frames string
	// stride and priority are what some actions need beside.
	stride, priority int32
}

// flags adds the filter's flags to a command.
func (f *taskFilter) flags(s *session, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.group, "group", "", "only tasks of this group")
	flags.StringSliceVar(&f.states, "state", nil, "only tasks in these states: blocked, pending, running, succeeded, failed, stopped")
	flags.StringVar(&f.frames, "frames", "", "only tasks with these indices, as in 10-40 or 1-9:2,20")
	must(cmd.RegisterFlagCompletionFunc("group", s.completeGroupFlag))
	must(cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(stateWords(pb.TaskState_name), cobra.ShellCompDirectiveNoFileComp)))
}

func (f *taskFilter) given() bool { return f.group != "" || len(f.states) > 0 || f.frames != "" }

// request returns the call that does something to the tasks that match.
func (f *taskFilter) request(action pb.TaskAction, job string) (*pb.ActOnTasksRequest, error) {
	r := &pb.ActOnTasksRequest{
		RequestId: client.NewRequestID(), JobId: job, Action: action, Group: f.group, Stride: f.stride, Priority: f.priority,
	}
	var err error
	if r.States, err = taskStates(f.states); err != nil {
		return nil, err
	}
	if f.frames == "" {
		return r, nil
	}
	ranges, limit, err := jobspec.ParseArray(f.frames)
	switch {
	case err != nil:
		return nil, usagef("--frames: %s", err)
	case limit != 0:
		return nil, usagef("--frames: a limit on running tasks has no meaning here")
	}
	r.Indices = ranges
	return r, nil
}

// act does something to the tasks of a job that match, and says to how many.
func (s *session) act(cmd *cobra.Command, action pb.TaskAction, job string, f *taskFilter, what string) error {
	req, err := f.request(action, job)
	if err != nil {
		return err
	}
	return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
		r, err := c.Jobs.ActOnTasks(ctx, req)
		if err != nil {
			return err
		}
		return s.show(r, []string{r.Job.GetId()}, func(w io.Writer, _ view.Style) {
			fmt.Fprintf(w, "%s: %s %s\n", r.Job.GetId(), view.Count(r.Tasks, "task"), what)
		})
	})
}

func newRetryCmd(s *session) *cobra.Command {
	var f taskFilter
	cmd := &cobra.Command{
		Use:   "retry JOB [GROUP]",
		Short: "Run failed and stopped tasks again",
		Long: `Give the tasks of a job that failed or were stopped a new set of attempts. Tasks
that succeeded or run are left alone, unless --state names them; one that runs is
stopped first, and starts again when it has ended.`,
		Example: `  caravan retry film-17
  caravan retry film-17 --group render --frames 10-40
  caravan retry film-17 --state succeeded --frames 7`,
		Args:              between(1, "JOB", "GROUP"),
		ValidArgsFunction: s.completeJobs(true, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				f.group = args[1]
			}
			return s.act(cmd, pb.TaskAction_TASK_ACTION_RETRY, args[0], &f, "to run again")
		},
	}
	f.flags(s, cmd)
	return cmd
}

func newEatCmd(s *session) *cobra.Command {
	return s.newActCmd("eat", "Count tasks as succeeded without running them",
		`Count tasks of a job as succeeded, so that what waits for them can start. A task
that runs counts once it has ended; an attempt all of whose indices are eaten is
stopped. Without a filter all tasks of the job that have not succeeded are meant.`,
		pb.TaskAction_TASK_ACTION_EAT, "counted as succeeded")
}

func newPauseCmd(s *session) *cobra.Command {
	cmd := s.newActCmd("pause", "Keep tasks from starting",
		`Keep tasks of a job from starting until "caravan resume". What runs goes on. Without
a filter the whole job is paused.`, pb.TaskAction_TASK_ACTION_PAUSE, "paused")
	cmd.Aliases = []string{"hold"}
	return cmd
}

func newResumeCmd(s *session) *cobra.Command {
	cmd := s.newActCmd("resume", "Let paused tasks start", "Let tasks that were paused start again.", pb.TaskAction_TASK_ACTION_RESUME, "resumed")
	cmd.Aliases = []string{"release"}
	return cmd
}

// newActCmd makes a command that does one thing to the tasks of a job.
func (s *session) newActCmd(name, short, long string, action pb.TaskAction, what string) *cobra.Command {
	var f taskFilter
	cmd := &cobra.Command{
		Use: name + " JOB", Short: short, Long: long,
		Example:           "  caravan " + name + " film-17 --group render --frames 10-40",
		Args:              exactly("JOB"),
		ValidArgsFunction: s.completeJobs(false, 1),
		RunE:              func(cmd *cobra.Command, args []string) error { return s.act(cmd, action, args[0], &f, what) },
	}
	f.flags(s, cmd)
	return cmd
}

// orders are what "reorder" can do, in the order in which they are listed.
func orders() ([]string, map[string]pb.TaskAction) {
	return []string{"first", "last", "forward", "reverse", "interleave", "first-middle-last"}, map[string]pb.TaskAction{
		"first": pb.TaskAction_TASK_ACTION_FIRST, "last": pb.TaskAction_TASK_ACTION_LAST,
		"forward": pb.TaskAction_TASK_ACTION_FORWARD, "reverse": pb.TaskAction_TASK_ACTION_REVERSE,
		"interleave": pb.TaskAction_TASK_ACTION_INTERLEAVE, "first-middle-last": pb.TaskAction_TASK_ACTION_FIRST_MIDDLE_LAST,
	}
}

func newReorderCmd(s *session) *cobra.Command {
	var f taskFilter
	words, actions := orders()
	cmd := &cobra.Command{
		Use:   "reorder JOB ORDER",
		Short: "Change which tasks start first",
		Long: `Change which tasks of a job start first. "first" and "last" put the tasks that match
before, or after, all others of their group. The other words set the order of whole
groups: forward, reverse, interleave (every tenth first) and first-middle-last.`,
		Example: `  caravan reorder film-17 first --group render --frames 100-110
  caravan reorder film-17 first-middle-last`,
		Args:              exactly("JOB", "ORDER"),
		ValidArgsFunction: s.completeJobs(false, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			action, ok := actions[args[1]]
			if !ok {
				return &usageError{fmt.Sprintf("no order %q", args[1]), "orders are " + view.Some(words)}
			}
			return s.act(cmd, action, args[0], &f, "reordered")
		},
	}
	f.flags(s, cmd)
	return cmd
}

func newStaggerCmd(s *session) *cobra.Command {
	var f taskFilter
	cmd := &cobra.Command{
		Use:               "stagger JOB N",
		Short:             "Start every Nth task first",
		Long:              "Let every Nth task of a job's groups start first, then the ones after them, and so on.",
		Example:           "  caravan stagger film-17 5 --group render",
		Args:              exactly("JOB", "N"),
		ValidArgsFunction: s.completeJobs(false, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[1], 10, 32)
			if err != nil {
				return usagef("%q is not a number of tasks", args[1])
			}
			f.stride = int32(n)
			return s.act(cmd, pb.TaskAction_TASK_ACTION_STAGGER, args[0], &f, "reordered")
		},
	}
	cmd.Flags().StringVar(&f.group, "group", "", "only this group")
	must(cmd.RegisterFlagCompletionFunc("group", s.completeGroupFlag))
	return cmd
}

func newPriorityCmd(s *session) *cobra.Command {
	return &cobra.Command{
		Use:               "priority JOB N",
		Short:             "Set a job's priority",
		Long:              "Set a job's priority, -1000 to 1000: higher is served earlier.",
		Example:           "  caravan priority film-17 50",
		Args:              exactly("JOB", "N"),
		ValidArgsFunction: s.completeJobs(false, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[1], 10, 32)
			if err != nil {
				return usagef("%q is not a priority", args[1])
			}
			f := taskFilter{priority: int32(n)}
			return s.act(cmd, pb.TaskAction_TASK_ACTION_PRIORITY, args[0], &f, "with priority "+args[1])
		},
	}
}
