package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/cmd/caravan/internal/joblog"
	"caravan/cmd/caravan/internal/progress"
	"caravan/cmd/caravan/internal/taskref"
)

// followConfig says what following a job includes.
type followConfig struct {
	job string
	// logs prints what the tasks write.
	logs bool
	// stop makes the first Ctrl-C stop the job; otherwise it only leaves.
	stop bool
}

// follower shows one job until it ends. Its fields belong to the goroutine of
// run; the goroutines that run starts report through channels.
type follower struct {
	*session
	client  *client.Client
	cfg     followConfig
	display *progress.Display

	job      *pb.Job // the latest
	logging  bool    // logs are being printed, or have been
	stopping bool    // Ctrl-C asked for the job to stop

	jobs    chan *pb.Job
	watched chan error // the watch is over
	logged  chan error // all logs are printed
	asked   chan error // the request to stop was answered
}

// follow shows a job until it ends, and returns the job's exit code.
func (s *session) follow(cmd *cobra.Command, cfg followConfig) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	f := &follower{
		session: s, client: c, cfg: cfg, display: progress.New(s.err, s.columns()),
		jobs: make(chan *pb.Job), watched: make(chan error, 1), logged: make(chan error, 1), asked: make(chan error, 1),
	}
	err = f.run(cmd.Context())
	f.display.Clear()
	if err != nil {
		fmt.Fprintf(s.err, "%s goes on without this command: caravan status %[1]s\n", cfg.job)
		return err
	}
	return f.outcome(cmd)
}

// run shows the job until it has ended and its logs are printed.
func (f *follower) run(ctx context.Context) error {
	interrupts, ignore := f.interrupts()
	defer ignore()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { f.watched <- f.watch(ctx) })
	watching, printing := true, false
	for watching || printing {
		select {
		case f.job = <-f.jobs:
			f.show()
			if f.cfg.logs && !f.logging && mayHaveLogs(f.job) {
				f.logging, printing = true, true
				job := f.job
				running.Go(func() { f.logged <- f.print(ctx, job) })
			}
		case err := <-f.watched:
			if err != nil {
				return err
			}
			watching = false
		case err := <-f.logged:
			if err != nil {
				return err
			}
			printing = false
		case err := <-f.asked:
			if err != nil {
				return err
			}
		case <-interrupts:
			if !f.cfg.stop || f.stopping {
				return interrupted
			}
			f.stopping = true
			fmt.Fprintf(f.around(f.err), "stopping %s; Ctrl-C again leaves it to stop alone\n", f.cfg.job)
			running.Go(func() { f.asked <- f.stopJob(ctx) })
		}
	}
	return nil
}

// watch hands over the job at each change, until it has ended.
func (f *follower) watch(ctx context.Context) error {
	for job, err := range f.client.WatchJob(ctx, f.cfg.job) {
		if err != nil {
			return err
		}
		select {
		case f.jobs <- job:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (f *follower) stopJob(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	_, err := f.client.Jobs.StopJob(ctx, &pb.StopJobRequest{RequestId: client.NewRequestID(), JobId: f.cfg.job})
	if e, ok := errors.AsType[*client.Error](err); ok && e.Kind == client.KindConflict {
		return nil // it ended by itself meanwhile
	}
	return err
}

// mayHaveLogs reports whether a task runs or has run.
func mayHaveLogs(j *pb.Job) bool { return j.StartedMs != 0 }

// show displays progress. A single task whose output passes through has the
// terminal to itself once it runs.
func (f *follower) show() {
	single := f.cfg.logs && taskref.Of(f.job.Spec).Total() == 1
	if single && mayHaveLogs(f.job) && f.columns() != nil {
		f.display.Clear()
		return
	}
	f.display.Update(f.job, f.now())
}

// print prints the logs, taking turns with the display.
func (f *follower) print(ctx context.Context, job *pb.Job) error {
	names := taskref.Of(job.Spec)
	cfg := joblog.Config{Out: f.out, Err: f.err}
	if names.Total() > 1 {
		cfg = joblog.Config{Out: f.around(f.out), Err: f.around(f.err), Name: names.Allocation}
	}
	return printLogs(ctx, f.client, &pb.ReadLogsRequest{JobId: job.Id, Follow: true}, joblog.New(cfg))
}

// around lets a stream that goes to a terminal take turns with the display.
func (f *follower) around(w io.Writer) io.Writer {
	if _, tty := f.terminal(w); !tty {
		return w
	}
	return f.display.Writer(w)
}

// columns returns how to learn the width of the terminal that progress goes
// to; nil if it is none.
func (s *session) columns() func() int {
	f, tty := s.terminal(s.err)
	if !tty {
		return nil
	}
	return func() int { return terminalSize(f).width }
}

type dimensions struct{ width, height int }

// terminalSize returns the size of a terminal, 80 by 24 if it does not know.
func terminalSize(f *os.File) dimensions {
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return dimensions{80, 24}
	}
	return dimensions{width, height}
}
