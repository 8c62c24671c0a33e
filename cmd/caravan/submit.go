package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/api/jobspec"
	"caravan/cmd/caravan/internal/view"
)

func newSubmitCmd(s *session) *cobra.Command {
	var (
		job          jobFlags
		dryRun, wait bool
	)
	cmd := &cobra.Command{
		Use:   "submit FILE|-",
		Short: "Submit a job file",
		Long: `Submit a job file and print the job's id.

--dry-run submits nothing: it shows where the job would run now, for how much,
and why the rest of it would wait.`,
		Example: `  caravan submit ladder.yaml
  caravan submit ladder.yaml --dry-run
  id=$(caravan submit ladder.yaml -o name)
  caravan submit train.yaml --set lr.count=8 --set env.SEED=7`,
		Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := s.readJob(args[0])
			if err != nil {
				return err
			}
			if err := job.apply(cmd, file.Spec); err != nil {
				return err
			}
			if dryRun {
				return s.dryRun(cmd, file, job.owner)
			}
			id, err := s.submit(cmd, file, job.owner)
			if err != nil || !wait {
				return err
			}
			return s.follow(cmd, followConfig{job: id})
		},
	}
	job.add(s, cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show placement, price and warnings; submit nothing")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the job has ended; exit with its code")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "wait")
	return cmd
}

// submit submits a job and tells its id and what to type next.
func (s *session) submit(cmd *cobra.Command, file *jobspec.File, owner string) (id string, err error) {
	r, err := s.send(cmd, file, owner)
	if err != nil {
		return "", err
	}
	if !s.human() {
		view.Warnings(s.err, view.Style{}, r.Warnings)
	}
	return r.JobId, s.show(r, []string{r.JobId}, func(w io.Writer, style view.Style) { view.Submitted(w, style, r) })
}

// submitQuietly submits a job and leaves stdout to its tasks.
func (s *session) submitQuietly(cmd *cobra.Command, file *jobspec.File, owner string) (id string, err error) {
	r, err := s.send(cmd, file, owner)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(s.err, "submitted %s\n", r.JobId)
	view.Warnings(s.err, view.Style{}, r.Warnings)
	return r.JobId, nil
}

func (s *session) send(cmd *cobra.Command, file *jobspec.File, owner string) (r *pb.SubmitJobResponse, err error) {
	if err := s.sync(cmd, file, true); err != nil {
		return nil, err
	}
	err = s.ask(cmd, func(ctx context.Context, c *client.Client) error {
		r, err = c.Jobs.SubmitJob(ctx, &pb.SubmitJobRequest{RequestId: client.NewRequestID(), Spec: file.Spec, Owner: owner})
		return explained(file, err)
	})
	return r, err
}

func (s *session) dryRun(cmd *cobra.Command, file *jobspec.File, owner string) error {
	if err := s.sync(cmd, file, false); err != nil {
		return err
	}
	return s.ask(cmd, func(ctx context.Context, c *client.Client) error {
		r, err := c.Jobs.DryRunJob(ctx, &pb.DryRunJobRequest{Spec: file.Spec, Owner: owner})
		if err != nil {
			return explained(file, err)
		}
		var nodes []string
		for _, o := range r.Offers {
			nodes = append(nodes, o.Node)
		}
		return s.show(r, nodes, func(w io.Writer, style view.Style) { view.DryRun(w, style, file.Spec.Name, r) })
	})
}

// exactly asks for as many arguments as there are names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return fmt.Errorf("%s is missing", names[len(args)])
		}
		if len(args) > len(names) {
			return fmt.Errorf("%q is one argument too many", args[len(names)])
		}
		return nil
	}
}

// between asks for at least the required and at most all of the named arguments.
func between(required int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= required && len(args) < len(names) {
			return nil
		}
		return exactly(names...)(cmd, args)
	}
}
