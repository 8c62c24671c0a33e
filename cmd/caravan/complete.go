package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/view"
)

// Completion asks the server, but a shell's user waits for it: it gives up
// soon, and offers nothing rather than an error.
const (
	completeWithin = 2 * time.Second
	completeJobs   = 200
)

type completion = []cobra.Completion

// lookUp asks the server for candidates and keeps those that begin with prefix.
func (s *session) lookUp(prefix string, ask func(context.Context, *client.Client) (completion, error)) (completion, cobra.ShellCompDirective) {
	c, err := s.connectWith(client.Config{Retry: client.Retry{Attempts: 1, First: time.Millisecond, Max: time.Millisecond}})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), completeWithin)
	defer cancel()
	all, err := ask(ctx, c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var kept completion
	for _, candidate := range all {
		if strings.HasPrefix(candidate, prefix) {
			kept = append(kept, candidate)
		}
	}
	return kept, cobra.ShellCompDirectiveNoFileComp
}

// completeJobs completes a job as first argument, those that have ended only
// if ended is set; as second, if there may be one, the job's groups. A limit
// below 0 means that every argument is a job.
func (s *session) completeJobs(ended bool, limit int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, prefix string) (completion, cobra.ShellCompDirective) {
		switch {
		case limit < 0 || len(args) == 0:
			return s.lookUp(prefix, func(ctx context.Context, c *client.Client) (completion, error) { return jobIDs(ctx, c, ended) })
		case len(args) == 1 && limit > 1:
			return s.lookUp(prefix, func(ctx context.Context, c *client.Client) (completion, error) { return groupNames(ctx, c, args[0]) })
		default:
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
}

func jobIDs(ctx context.Context, c *client.Client, ended bool) (completion, error) {
	states, err := jobStates(nil, ended)
	if err != nil {
		return nil, err
	}
	list, err := listJobs(ctx, c, &pb.ListJobsRequest{States: states}, completeJobs)
	if err != nil {
		return nil, err
	}
	var ids completion
	for _, j := range list.Jobs {
		ids = append(ids, cobra.CompletionWithDesc(j.Id, strings.TrimSpace(view.Word(j.State)+" "+j.Owner)))
	}
	return ids, nil
}

func groupNames(ctx context.Context, c *client.Client, job string) (completion, error) {
	j, err := c.Jobs.GetJob(ctx, &pb.GetJobRequest{JobId: job})
	if err != nil {
		return nil, err
	}
	var names completion
	for _, g := range j.Groups {
		names = append(names, cobra.CompletionWithDesc(g.Name, fmt.Sprintf("%d/%d done", g.Succeeded, g.Tasks)))
	}
	return names, nil
}

// completeGroupFlag completes the value of --group by the job given as argument.
func (s *session) completeGroupFlag(_ *cobra.Command, args []string, prefix string) (completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return s.lookUp(prefix, func(ctx context.Context, c *client.Client) (completion, error) { return groupNames(ctx, c, args[0]) })
}

func (s *session) completeNodes(_ *cobra.Command, args []string, prefix string) (completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return s.lookUp(prefix, func(ctx context.Context, c *client.Client) (completion, error) {
		list, err := c.Nodes.ListNodes(ctx, &pb.ListNodesRequest{})
		if err != nil {
			return nil, err
		}
		var names completion
		for _, n := range list.Nodes {
			names = append(names, cobra.CompletionWithDesc(n.Info.GetName(), n.Info.GetInstanceType()))
		}
		return names, nil
	})
}

func (s *session) completeQueues(_ *cobra.Command, args []string, prefix string) (completion, cobra.ShellCompDirective) {
	return s.lookUp(prefix, func(ctx context.Context, c *client.Client) (completion, error) {
		list, err := c.Queues.ListQueues(ctx, &pb.ListQueuesRequest{})
		if err != nil {
			return nil, err
		}
		var names completion
		for _, q := range list.Queues {
			names = append(names, q.Queue.GetName())
		}
		return names, nil
	})
}
