package slurmcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/api/slurm"
)

// App is what a command sees of the world.
type App struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	Environ  func() []string
	Now      func() time.Time
	// Connect reaches the servers; the App closes the client.
	Connect func() (*client.Client, error)
	// User is whom jobs belong to that are submitted now.
	User string
}

// timeout bounds how long a command waits for an answer.
const timeout = 30 * time.Second

// Names are the commands there are.
func Names() []string {
	return []string{"sbatch", "srun", "squeue", "scancel", "sinfo", "sacct", "scontrol"}
}

// Known returns the command that a program's name stands for.
func Known(program string) (string, bool) {
	base := filepath.Base(program)
	for _, name := range Names() {
		if base == name {
			return name, true
		}
	}
	return "", false
}

// exitCode ends a command without a message.
type exitCode int

func (c exitCode) Error() string { return "exit code " + strconv.Itoa(int(c)) }

// Run runs a command and returns its exit code.
func (a *App) Run(ctx context.Context, name string, args []string) int {
	run, ok := map[string]func(context.Context, []string) error{
		"sbatch": a.sbatch, "srun": a.srun, "squeue": a.squeue, "scancel": a.scancel,
		"sinfo": a.sinfo, "sacct": a.sacct, "scontrol": a.scontrol,
	}[name]
	if !ok {
		fmt.Fprintf(a.Err, "there is no command %s\n", name)
		return 1
	}
	for _, arg := range args {
		if arg == "--" {
			break
		}
		if arg == "--version" || arg == "-V" && name != "srun" {
			fmt.Fprintln(a.Out, "slurm 23.11.0 (caravan)")
			return 0
		}
	}
	return a.report(name, run(ctx, args))
}

// report writes an error as Slurm's commands do and returns the exit code.
func (a *App) report(name string, err error) int {
	if err == nil {
		return 0
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	if e, ok := errors.AsType[*slurm.Error](err); ok {
		fmt.Fprintf(a.Err, "%s: error: %s\n", name, e)
		return 1
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		fmt.Fprintf(a.Err, "%s: error: %s\n", name, e.Message)
		for _, f := range e.Fields {
			fmt.Fprintf(a.Err, "%s: error:   %s: %s\n", name, f.Path, f.Message)
		}
		if e.Hint != "" {
			fmt.Fprintf(a.Err, "%s: hint: %s\n", name, e.Hint)
		}
		return 1
	}
	fmt.Fprintf(a.Err, "%s: error: %s\n", name, err)
	return 1
}

func (a *App) warn(name string, warnings []slurm.Warning) {
	for _, w := range warnings {
		fmt.Fprintf(a.Err, "%s: %s\n", name, w)
	}
}

// ask runs calls against the servers within the timeout.
func (a *App) ask(ctx context.Context, do func(context.Context, *client.Client) error) error {
	c, err := a.Connect()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return do(ctx, c)
}

// surroundings describes where the command was typed.
func (a *App) surroundings(ctx context.Context) (slurm.Submission, error) {
	dir, err := os.Getwd()
	if err != nil {
		return slurm.Submission{}, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	s := slurm.Submission{Dir: dir, Host: host, Environ: a.Environ(), Now: a.Now()}
	err = a.ask(ctx, func(ctx context.Context, c *client.Client) error {
		nodes, err := c.Nodes.ListNodes(ctx, &pb.ListNodesRequest{})
		if err != nil {
			return err
		}
		for _, n := range nodes.Nodes {
			if i := n.Info; !i.Simulated {
				s.Fleet = append(s.Fleet, slurm.Node{CPUMilli: i.CpuMilli, MemoryMiB: i.MemoryMib})
			}
		}
		queues, err := c.Queues.ListQueues(ctx, &pb.ListQueuesRequest{})
		if err != nil {
			return err
		}
		s.Queues = []string{}
		for _, q := range queues.Queues {
			s.Queues = append(s.Queues, q.Queue.Name)
		}
		return nil
	})
	return s, err
}

// number is the number at the end of a job's id.
func number(id string) int64 {
	n, _ := strconv.ParseInt(id[strings.LastIndexByte(id, '-')+1:], 10, 64) // ids end so
	return n
}
