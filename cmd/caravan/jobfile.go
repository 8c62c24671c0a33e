package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/api/jobspec"
	"caravan/cmd/caravan/internal/override"
)

// jobFlags change a job on the command line, whatever it was read from.
type jobFlags struct {
	name, queue, owner string
	priority           int32
	set                []string
	sync               string
}

func (f *jobFlags) add(s *session, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "name of the job")
	flags.StringVar(&f.queue, "queue", "", "queue to charge it to")
	flags.Int32Var(&f.priority, "priority", 0, "higher runs earlier in its queue, -1000 to 1000")
	flags.StringVar(&f.owner, "owner", s.owner(), "whom the job belongs to")
	flags.StringArrayVar(&f.set, "set", nil, "change a value, e.g. encode.count=4, memory=2GiB, env.SEED=7; repeatable")
	flags.StringVar(&f.sync, "sync", "", syncHelp)
	must(cmd.RegisterFlagCompletionFunc("queue", s.completeQueues))
}

// apply changes the job as the flags say.
func (f *jobFlags) apply(cmd *cobra.Command, spec *pb.JobSpec) error {
	for _, assignment := range f.set {
		if err := override.Set(spec, assignment); err != nil {
			return usagef("--set %s", err)
		}
	}
	if f.name != "" {
		spec.Name = f.name
	}
	if f.queue != "" {
		spec.Queue = f.queue
	}
	if cmd.Flags().Changed("priority") {
		spec.Priority = f.priority
	}
	if f.sync != "" {
		dir, err := filepath.Abs(f.sync)
		if err != nil {
			return err
		}
		spec.Workspace = &pb.Workspace{Path: dir}
	}
	return nil
}

// readJob reads a job file, "-" meaning the standard input.
func (s *session) readJob(path string) (*jobspec.File, error) {
	var in io.Reader
	if path == "-" {
		path, in = "<stdin>", s.in
	} else {
		f, err := os.Open(path)
		if err != nil {
			return nil, &usageError{err.Error(), "name a job file, or - for the standard input"}
		}
		defer f.Close()
		in = f
	}
	// One byte more than allowed lets the parser say that it is too much.
	src, err := io.ReadAll(io.LimitReader(in, jobspec.MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return jobspec.Parse(path, src)
}

// explained turns the faults a server found in a job into places in its file.
func explained(file *jobspec.File, err error) error {
	e, ok := errors.AsType[*client.Error](err)
	if !ok || len(e.Fields) == 0 || file == nil {
		return err
	}
	violations := make([]*pb.FieldViolation, len(e.Fields))
	for i, f := range e.Fields {
		violations[i] = &pb.FieldViolation{Path: f.Path, Message: f.Message, Hint: f.Hint}
	}
	return file.Problems(violations)
}
