package slurm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"caravan/e2e/harness"
)

// within bounds every wait on the cluster.
const within = 90 * time.Second

// cluster is where all sessions run.
var cluster struct {
	dir, servers string
}

// TestMain starts one server and two agents, whose names are addresses, so that scripts which
// look a node up by its name find it.
func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if cluster.dir, err = os.MkdirTemp("", "caravan-slurm-"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(cluster.dir)) }()
	// The toolchain takes as long as it takes; what is waited for is the cluster.
	bin, err := harness.Binary(context.Background(), cluster.dir)
	if err != nil {
		return 1, err
	}
	links := filepath.Join(cluster.dir, "links")
	if err := os.Mkdir(links, 0o755); err != nil {
		return 1, err
	}
	for _, name := range []string{"caravan", "sbatch", "srun", "squeue", "scancel", "sinfo", "sacct", "scontrol"} {
		if err := os.Symlink(bin, filepath.Join(links, name)); err != nil {
			return 1, err
		}
	}
	if err := os.Setenv("PATH", links+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return 1, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	c, err := harness.Start(ctx, harness.Options{
		Bin: bin, Dir: cluster.dir, Servers: 1, Agents: 2,
		FlagsOfAgent: func(i int) []string {
			return []string{"--name", fmt.Sprintf("127.0.0.%d", i+1)}
		},
	})
	if err != nil {
		return 1, err
	}
	defer c.Stop()
	cluster.servers = c.Servers[0].Addr
	return m.Run(), nil
}

// TestScripts runs the sessions. Besides testscript's own commands they have
//
//	status CODE COMMAND...  runs a command that must exit with CODE
//	await TEXT COMMAND...   repeats a command until it prints TEXT
func TestScripts(t *testing.T) {
	work := filepath.Join(cluster.dir, "work")
	if err := os.MkdirAll(work, 0o755); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", WorkdirRoot: work,
		Setup: func(env *testscript.Env) error {
			env.Setenv("CARAVAN_SERVER", cluster.servers)
			env.Setenv("USER", "ana")
			return nil
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"status": status, "await": await},
		RequireExplicitExec: true,
	})
}

// status runs a command and checks its exit code.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE COMMAND ...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// await runs a command until its output holds a text.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await TEXT COMMAND ...")
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var last bytes.Buffer
	err := harness.Eventually(ctx, func() (bool, error) {
		cmd := exec.CommandContext(ctx, args[1], args[2:]...)
		last.Reset()
		cmd.Stdout, cmd.Stderr = &last, &last
		cmd.Env, cmd.Dir = append(os.Environ(), "CARAVAN_SERVER="+cluster.servers, "USER=ana"), ts.MkAbs(".")
		return cmd.Run() == nil && strings.Contains(last.String(), args[0]), nil
	})
	if err != nil {
		ts.Fatalf("%s never printed %q: %v\n%s", strings.Join(args[1:], " "), args[0], err, last.String())
	}
}
