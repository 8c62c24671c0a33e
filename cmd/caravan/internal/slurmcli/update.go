package slurmcli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"caravan/api/hostlist"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
)

// update changes a job's priority, or whether a node takes work.
func (a *App) update(ctx context.Context, words []string) error {
	values := make(map[string]string)
	var order []string
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok {
			return fmt.Errorf("%q is not KEY=VALUE", w)
		}
		k = strings.ToLower(k)
		values[k] = v
		order = append(order, k)
	}
	switch {
	case values["jobid"] != "" || values["job"] != "":
		return a.updateJob(ctx, values["jobid"]+values["job"], order, values)
	case values["nodename"] != "":
		return a.updateNode(ctx, values)
	}
	return errors.New("say JobId=ID or NodeName=NAME")
}

func (a *App) updateJob(ctx context.Context, id string, order []string, values map[string]string) error {
	for _, k := range order {
		n, err := strconv.ParseInt(values[k], 10, 32)
		switch k {
		case "jobid", "job":
			continue
		case "nice":
			n = -n
		case "priority":
		default:
			return fmt.Errorf("%s of a job that was submitted cannot be changed; Priority and Nice can", k)
		}
		if err != nil {
			return fmt.Errorf("%s=%s: no number", k, values[k])
		}
		if err := a.act(ctx, []string{id}, pb.TaskAction_TASK_ACTION_PRIORITY, nil, int32(max(-1000, min(1000, n)))); err != nil { //nolint:gosec // at most 1000
			return err
		}
	}
	return nil
}

func (a *App) updateNode(ctx context.Context, values map[string]string) error {
	var drain bool
	switch strings.ToUpper(values["state"]) {
	case "DRAIN":
		drain = true
	case "RESUME", "UNDRAIN", "IDLE":
	default:
		return fmt.Errorf("State=%s: a node's state can be set to DRAIN or RESUME", values["state"])
	}
	names, err := hostlist.Expand(values["nodename"])
	if err != nil {
		return err
	}
	return a.ask(ctx, func(ctx context.Context, c *client.Client) error {
		for _, name := range names {
			if _, err := c.Nodes.DrainNode(ctx, &pb.DrainNodeRequest{RequestId: client.NewRequestID(), Name: name, Drain: drain}); err != nil {
				return err
			}
		}
		return nil
	})
}
