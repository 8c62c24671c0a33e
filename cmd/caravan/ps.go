package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/view"
)

// pageSize is the largest page that servers give.
const pageSize = 1000

func newPsCmd(s *session) *cobra.Command {
	var (
		all          bool
		states       []string
		queue, owner string
		limit        int
	)
	cmd := &cobra.Command{
		Use:     "ps",
		Aliases: []string{"jobs"},
		Short:   "List jobs",
		Long:    "List the jobs that run or wait, newest first; with -a also those that have ended. The tasks of a job: caravan status JOB --tasks.",
		Example: `  caravan ps
  caravan ps -a --owner ana --state failed
  caravan stop $(caravan ps --queue night -o name)`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{"ps takes no job", "the tasks of a job: caravan status " + args[0] + " --tasks"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			req := &pb.ListJobsRequest{Queue: queue, Owner: owner}
			var err error
			if req.States, err = jobStates(states, all); err != nil {
				return err
			}
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				list, err := listJobs(ctx, c, req, limit)
				if err != nil {
					return err
				}
				var names []string
				for _, j := range list.Jobs {
					names = append(names, j.Id)
				}
				return s.show(list, names, func(w io.Writer, style view.Style) { s.jobs(w, style, list, req) })
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&all, "all", "a", false, "also jobs that have ended")
	flags.StringSliceVar(&states, "state", nil, "only these states: pending, running, succeeded, failed, stopped")
	flags.StringVar(&queue, "queue", "", "only this queue")
	flags.StringVar(&owner, "owner", "", "only this owner")
	flags.IntVarP(&limit, "limit", "n", 100, "at most so many jobs; 0 for all")
	must(cmd.RegisterFlagCompletionFunc("queue", s.completeQueues))
	must(cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(stateWords(pb.JobState_name), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (s *session) jobs(w io.Writer, style view.Style, list *pb.ListJobsResponse, req *pb.ListJobsRequest) {
	if len(list.Jobs) == 0 {
		fmt.Fprintln(w, "no jobs that run or wait; `caravan ps -a` lists those that have ended")
		return
	}
	view.Jobs(w, style, list.Jobs)
	if list.NextPageToken != "" {
		fmt.Fprintf(w, "the newest %d; more with -n\n", len(list.Jobs))
	}
}

// listJobs reads pages until it has limit jobs, or all if limit is 0.
func listJobs(ctx context.Context, c *client.Client, req *pb.ListJobsRequest, limit int) (*pb.ListJobsResponse, error) {
	all := &pb.ListJobsResponse{}
	for {
		req.PageSize = pageSize
		if limit > 0 {
			req.PageSize = int32(min(pageSize, limit-len(all.Jobs)))
		}
		page, err := c.Jobs.ListJobs(ctx, req)
		if err != nil {
			return nil, err
		}
		all.Jobs = append(all.Jobs, page.Jobs...)
		all.NextPageToken = page.NextPageToken
		if page.NextPageToken == "" || limit > 0 && len(all.Jobs) >= limit {
			return all, nil
		}
		req.PageToken = page.NextPageToken
	}
}

// jobStates turns words into states. Without words it is those not ended, or
// with all set every one.
func jobStates(words []string, all bool) ([]pb.JobState, error) {
	if len(words) == 0 && !all {
		return []pb.JobState{pb.JobState_JOB_STATE_PENDING, pb.JobState_JOB_STATE_RUNNING}, nil
	}
	var states []pb.JobState
	for _, word := range words {
		v, ok := pb.JobState_value["JOB_STATE_"+strings.ToUpper(word)]
		if !ok || v == 0 {
			return nil, &usageError{fmt.Sprintf("no job state %q", word), "states are " + strings.Join(stateWords(pb.JobState_name), ", ")}
		}
		states = append(states, pb.JobState(v))
	}
	return states, nil
}

func taskStates(words []string) ([]pb.TaskState, error) {
	var states []pb.TaskState
	for _, word := range words {
		v, ok := pb.TaskState_value["TASK_STATE_"+strings.ToUpper(word)]
		if !ok || v == 0 {
			return nil, &usageError{fmt.Sprintf("no task state %q", word), "states are " + strings.Join(stateWords(pb.TaskState_name), ", ")}
		}
		states = append(states, pb.TaskState(v))
	}
	return states, nil
}

// stateWords lists the words of an enum of states, without "unspecified".
func stateWords(names map[int32]string) []string {
	var words []string
	for i := int32(1); int(i) < len(names); i++ {
		_, word, _ := strings.Cut(names[i], "_STATE_")
		words = append(words, strings.ToLower(word))
	}
	return words
}
