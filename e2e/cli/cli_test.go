package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// within bounds every wait on the cluster.
const within = 60 * time.Second

// TestMain builds the binary once for all sessions.
func TestMain(m *testing.M) {
	code, err := build(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

func build(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "caravan-cli-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cmd := exec.Command("go", "build", "-o", dir, "caravan/cmd/caravan")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("build caravan: %w", err)
	}
	if err := os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// Each session has a cluster of its own: one real node and two simulated ones.
// Besides testscript's own commands, sessions have
//
//	status CODE caravan ...  runs a command that must exit with CODE
//	await TEXT caravan ...   repeats a command until it prints TEXT
func TestSessions(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			address, err := startDev(env)
			env.Setenv("CARAVAN_SERVER", address)
			env.Setenv("USER", "ana")
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status,
			"await":  await,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// startDev starts a cluster that ends with the session.
func startDev(env *testscript.Env) (address string, err error) {
	dir, err := os.MkdirTemp("", "caravan-cli-")
	if err != nil {
		return "", err
	}
	env.Defer(func() { _ = os.RemoveAll(dir) }) // not worth a failure
	ready := filepath.Join(dir, "ready")
	var log bytes.Buffer
	cmd := exec.Command("caravan", "dev", "--port", "0", "--ready-file", ready, "--fleet", "c4=1,gn4=1")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		return "", err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t := env.T()
	env.Defer(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // if it is gone already, the wait below tells
		select {
		case err := <-exited:
			if err != nil {
				t.Fatal("caravan dev: ", err, "\n", log.String())
			}
		case <-time.After(within):
			_ = cmd.Process.Kill() // the failure below says what matters
			t.Fatal("caravan dev does not end")
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := poll(ctx, func() bool { _, err := os.Stat(ready); return err == nil }); err != nil {
		return "", fmt.Errorf("caravan dev is not ready: %w", err)
	}
	text, err := os.ReadFile(ready)
	return strings.TrimSpace(string(text)), err
}

// poll asks until the answer is yes.
func poll(ctx context.Context, yes func() bool) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
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
	err := poll(ctx, func() bool {
		cmd := exec.CommandContext(ctx, args[1], args[2:]...)
		cmd.Env, cmd.Dir = append(os.Environ(), "CARAVAN_SERVER="+ts.Getenv("CARAVAN_SERVER")), ts.Getenv("WORK")
		out, err := cmd.Output()
		return err == nil && strings.Contains(string(out), args[0])
	})
	if err != nil {
		ts.Fatalf("%s never printed %q: %v", strings.Join(args[1:], " "), args[0], err)
	}
}
