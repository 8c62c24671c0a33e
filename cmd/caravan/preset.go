package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"caravan/api/jobspec"
)

// presetFlags are what all commands share that write a job file themselves.
type presetFlags struct {
	job                 jobFlags
	print, dryRun, wait bool
}

func (f *presetFlags) add(s *session, cmd *cobra.Command) {
	f.job.add(s, cmd)
	cmd.Flags().BoolVar(&f.print, "print", false, "print the job file and submit nothing")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show placement, price and warnings; submit nothing")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until the job has ended; exit with its code")
	cmd.MarkFlagsMutuallyExclusive("print", "dry-run", "wait")
}

// do prints the job file that a preset has written, or submits it.
func (f *presetFlags) do(s *session, cmd *cobra.Command, text []byte) error {
	// Also what is only printed must be a job file.
	file, err := jobspec.Parse(cmd.CommandPath(), text)
	if err != nil {
		return err
	}
	if f.print {
		_, err := s.out.Write(text)
		return err
	}
	if err := f.job.apply(cmd, file.Spec); err != nil {
		return err
	}
	if f.dryRun {
		return s.dryRun(cmd, file, f.job.owner)
	}
	id, err := s.submit(cmd, file, f.job.owner)
	if err != nil || !f.wait {
		return err
	}
	return s.follow(cmd, followConfig{job: id})
}

// regular returns the absolute path of a file that a preset is to work on.
func regular(path string) (string, error) {
	st, err := os.Stat(path)
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		return "", &usageError{err.Error(), "name a file that all nodes see under the same path"}
	}
	return filepath.Abs(path)
}
