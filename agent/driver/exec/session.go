package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/creack/pty"

	"caravan/agent/cgroup"
	"caravan/agent/driver"
	"caravan/agent/shim/spawn"
)

// Exec starts a command in the running task's control group and sandbox, with its environment,
// user and work directory.
func (t *Task) Exec(ctx context.Context, req driver.ExecRequest) (driver.Session, error) {
	if err := driver.ValidateCommand(req.Argv); err != nil {
		return nil, err
	}
	status, err := t.handle.Status(ctx)
	if err != nil {
		return nil, err
	}
	if status.Phase != driver.PhaseRunning {
		return nil, fmt.Errorf("exec in a task that is %s: %w", status.Phase, driver.ErrNotRunning)
	}
	c, err := t.command(status, req)
	if err != nil {
		return nil, err
	}
	if req.Terminal {
		return startTerminal(c, req.Size)
	}
	return startPipes(c)
}

// command is what the request becomes beside this task.
func (t *Task) command(status driver.Status, req driver.ExecRequest) (spawn.Command, error) {
	spec, err := t.handle.Spec()
	if err != nil {
		return spawn.Command{}, err
	}
	env, dir, err := t.handle.Environment()
	if err != nil {
		return spawn.Command{}, err
	}
	c := spawn.Command{
		Argv: req.Argv, Env: over(env, req.Env), Dir: dir,
		Umask: driver.DefaultUmask, OOMScoreAdj: spec.OOMScoreAdj,
	}
	for _, r := range spec.Rlimits {
		c.Rlimits = append(c.Rlimits, spawn.Rlimit{Resource: r.Resource, Soft: r.Soft, Hard: r.Hard})
	}
	if req.Dir != "" {
		c.Dir = req.Dir
	}
	if spec.Umask != nil {
		c.Umask = *spec.Umask
	}
	c.Sandbox = status.SandboxPID
	if u := spec.User; u != nil {
		c.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
	if status.Cgroup != "" {
		group, err := cgroup.Open(status.Cgroup)
		if err != nil {
			return spawn.Command{}, err
		}
		c.Place = group.Add
	}
	return c, nil
}

// session is a command beside a task. Its parent's ends of the streams are closed by Close.
type session struct {
	proc           *spawn.Process
	stdin          io.WriteCloser
	stdout, stderr io.Reader
	terminal       *os.File // nil without one
	closers        []io.Closer
	closeOnce      sync.Once
}

var _ driver.Session = (*session)(nil)

// startPipes connects the command by three pipes.
func startPipes(c spawn.Command) (driver.Session, error) {
	var theirs, ours []*os.File
	closeAll := func(files []*os.File) {
		for _, f := range files {
			f.Close()
		}
	}
	defer func() { closeAll(theirs) }()
	for i := range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(ours)
			return nil, fmt.Errorf("exec: %w", err)
		}
		if i == 0 {
			r, w = w, r // stdin flows the other way
		}
		ours, theirs = append(ours, r), append(theirs, w)
	}
	c.Files = theirs
	p, err := spawn.Start(c)
	if err != nil {
		closeAll(ours)
		return nil, fmt.Errorf("exec: %w", err)
	}
	return &session{
		proc: p, stdin: ours[0], stdout: ours[1], stderr: ours[2],
		closers: []io.Closer{ours[0], ours[1], ours[2]},
	}, nil
}

// startTerminal connects the command by a pseudo-terminal.
func startTerminal(c spawn.Command, size driver.TerminalSize) (driver.Session, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("exec: open a terminal: %w", err)
	}
	defer slave.Close()
	s := &session{terminal: master, stdin: terminalInput{master}, stdout: terminalOutput{master}, stderr: eof{}, closers: []io.Closer{master}}
	if size != (driver.TerminalSize{}) {
		if err := s.Resize(size); err != nil {
			return nil, errors.Join(err, master.Close())
		}
	}
	if c.Credential != nil {
		if err := slave.Chown(int(c.Credential.Uid), int(c.Credential.Gid)); err != nil {
			return nil, errors.Join(fmt.Errorf("exec: give the terminal to the user: %w", err), master.Close())
		}
	}
	c.Files, c.Terminal = []*os.File{slave, slave, slave}, true
	if s.proc, err = spawn.Start(c); err != nil {
		return nil, errors.Join(fmt.Errorf("exec: %w", err), master.Close())
	}
	return s, nil
}

func (s *session) Stdin() io.WriteCloser { return s.stdin }
func (s *session) Stdout() io.Reader     { return s.stdout }
func (s *session) Stderr() io.Reader     { return s.stderr }

// Resize changes the terminal's size; the kernel tells the command by SIGWINCH.
func (s *session) Resize(size driver.TerminalSize) error {
	if s.terminal == nil {
		return fmt.Errorf("resize a session without a terminal: %w", driver.ErrUnsupported)
	}
	return pty.Setsize(s.terminal, &pty.Winsize{Rows: size.Rows, Cols: size.Cols})
}

// Signal reaches the command's process group.
func (s *session) Signal(sig syscall.Signal) error { return s.proc.SignalGroup(sig) }

// Wait blocks until the command has ended. Its streams may still hold output.
func (s *session) Wait(ctx context.Context) (int, error) {
	select {
	case <-s.proc.Done():
		return s.proc.Result().Code(), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Close kills the command if it still runs and releases the streams.
func (s *session) Close() error {
	var err error
	s.closeOnce.Do(func() {
		if killErr := s.proc.SignalGroup(syscall.SIGKILL); !errors.Is(killErr, os.ErrProcessDone) {
			err = killErr
		}
		for _, c := range s.closers {
			if cerr := c.Close(); cerr != nil && !errors.Is(cerr, os.ErrClosed) {
				err = errors.Join(err, cerr)
			}
		}
	})
	return err
}

// endOfFile is what the terminal driver takes for the end of input (VEOF, termios(3)).
const endOfFile = 4

// terminalInput turns closing the input into an end of file for the command; closing the
// terminal itself would cut the output off.
type terminalInput struct{ master *os.File }

func (t terminalInput) Write(p []byte) (int, error) { return t.master.Write(p) }
func (t terminalInput) Close() error {
	_, err := t.master.Write([]byte{endOfFile})
	return err
}

// terminalOutput ends like a pipe: Linux reports EIO when the last process has closed the
// terminal.
type terminalOutput struct{ master *os.File }

func (t terminalOutput) Read(p []byte) (int, error) {
	n, err := t.master.Read(p)
	if errors.Is(err, syscall.EIO) {
		err = io.EOF
	}
	return n, err
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// over returns an environment with further variables, which win: of two entries programs see
// the first.
func over(env, more []string) []string {
	set := make(map[string]bool, len(more))
	for _, kv := range more {
		k, _, _ := strings.Cut(kv, "=")
		set[k] = true
	}
	out := slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		k, _, _ := strings.Cut(kv, "=")
		return set[k]
	})
	return append(out, more...)
}
