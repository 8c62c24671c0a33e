package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/api/jobspec"
	"caravan/cmd/caravan/internal/view"
)

func newQueueCmd(s *session) *cobra.Command {
	cmd := newGroupCmd("queue", "List queues, and set their shares and limits", newQueueListCmd(s), newQueuePutCmd(s))
	cmd.Aliases = []string{"queues"}
	return cmd
}

func newQueueListCmd(s *session) *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List queues with what their jobs hold",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				list, err := c.Queues.ListQueues(ctx, &pb.ListQueuesRequest{})
				if err != nil {
					return err
				}
				var names []string
				for _, q := range list.Queues {
					names = append(names, q.Queue.GetName())
				}
				return s.show(list, names, func(w io.Writer, style view.Style) { view.Queues(w, style, list.Queues) })
			})
		},
	}
}

// queueFlags are the settings of a queue as text; empty leaves one as it is.
type queueFlags struct {
	weight               int64
	cpu, memory, devices string
	parent               string
}

func newQueuePutCmd(s *session) *cobra.Command {
	var f queueFlags
	cmd := &cobra.Command{
		Use:               "put QUEUE",
		Short:             "Create a queue, or change what is given of one",
		Example:           "  caravan queue put night --weight 2 --max-cpu 64 --max-memory 256GiB --max-devices 4",
		Args:              exactly("QUEUE"),
		ValidArgsFunction: s.completeQueues,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
				q, err := currentQueue(ctx, c, args[0])
				if err != nil {
					return err
				}
				if err := f.apply(cmd, q); err != nil {
					return err
				}
				q, err = c.Queues.PutQueue(ctx, &pb.PutQueueRequest{RequestId: client.NewRequestID(), Queue: q})
				if err != nil {
					return err
				}
				return s.show(q, []string{q.Name}, func(w io.Writer, _ view.Style) { fmt.Fprintf(w, "%s set\n", q.Name) })
			})
		},
	}
	flags := cmd.Flags()
	flags.Int64Var(&f.weight, "weight", 1, "share against its siblings when work waits")
	flags.StringVar(&f.cpu, "max-cpu", "", "most cores its running tasks hold; 0 for no limit")
	flags.StringVar(&f.memory, "max-memory", "", "most memory its running tasks hold; 0 for no limit")
	flags.StringVar(&f.devices, "max-devices", "", "most devices its running tasks hold; 0 for no limit")
	flags.StringVar(&f.parent, "parent", "", "queue that this one is part of")
	must(cmd.RegisterFlagCompletionFunc("parent", s.completeQueues))
	return cmd
}

// currentQueue returns a queue's settings, or those of a new queue.
func currentQueue(ctx context.Context, c *client.Client, name string) (*pb.Queue, error) {
	list, err := c.Queues.ListQueues(ctx, &pb.ListQueuesRequest{})
	if err != nil {
		return nil, err
	}
	for _, q := range list.Queues {
		if q.Queue.GetName() == name {
			return q.Queue, nil
		}
	}
	return &pb.Queue{Name: name, Weight: 1}, nil
}

// apply changes the settings whose flags were given.
func (f *queueFlags) apply(cmd *cobra.Command, q *pb.Queue) error {
	if cmd.Flags().Changed("weight") {
		q.Weight = f.weight
	}
	if cmd.Flags().Changed("parent") {
		q.Parent = f.parent
	}
	for _, limit := range []struct {
		flag, text string
		parse      func(string) (int64, error)
		to         *int64
	}{
		{"max-cpu", f.cpu, jobspec.ParseCPU, &q.MaxCpuMilli},
		{"max-memory", f.memory, jobspec.ParseSize, &q.MaxMemoryMib},
		{"max-devices", f.devices, wholeDevices, &q.MaxDevicesMilli},
	} {
		switch limit.text {
		case "":
		case "0", "none":
			*limit.to = 0
		default:
			n, err := limit.parse(limit.text)
			if err != nil {
				return usagef("--%s: %s", limit.flag, err)
			}
			*limit.to = n
		}
	}
	return nil
}

func wholeDevices(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, errors.New(strconv.Quote(text) + " is not a number of devices")
	}
	return n * 1000, nil
}
