package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// startTimeout bounds how long a process may take to say that it is ready.
const startTimeout = 30 * time.Second

// stopGrace is the time between SIGTERM and SIGKILL.
const stopGrace = 10 * time.Second

// Process is one caravan daemon.
type Process struct {
	// Name is what the daemon is called: s1, a1.
	Name string
	// Args is the command line after the binary's name.
	Args []string
	// Log is the file that collects its output over all its lives.
	Log string
	// Addr is the API address that it serves, known once it is ready.
	Addr string

	// prefix is a program, with its arguments, that becomes the process.
	prefix     []string
	bin, ready string
	cmd        *exec.Cmd
	exited     chan struct{}
}

// start runs the process and waits until it has written its ready file.
func (p *Process) start(ctx context.Context) error {
	if err := os.Remove(p.ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	// The context bounds the waiting, not the process's life: Kill and Stop do that.
	line := slices.Concat(p.prefix, []string{p.bin}, p.Args, []string{"--ready-file", p.ready})
	p.cmd = exec.Command(line[0], line[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for the one who started us
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) { // ends with the process
		_ = cmd.Wait()
		close(exited)
	}(p.cmd, p.exited)
	return p.awaitReady(ctx)
}

func (p *Process) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := Eventually(ctx, func() (bool, error) {
		select {
		case <-p.exited:
			return false, fmt.Errorf("%s ended at once:\n%s", p.Name, tail(p.Log))
		default:
		}
		b, err := os.ReadFile(p.ready)
		p.Addr = strings.TrimSpace(string(b))
		return err == nil && p.Addr != "", nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s was not ready after %v:\n%s", p.Name, startTimeout, tail(p.Log))
	}
	return err
}

// Kill ends the process at once, as a power cut would.
func (p *Process) Kill() {
	if !p.Running() {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// Stop asks the process to end and kills it when it does not.
func (p *Process) Stop() {
	if !p.Running() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopGrace):
		p.Kill()
	}
}

// Restart starts an ended process again with the same arguments and data.
func (p *Process) Restart(ctx context.Context) error { return p.start(ctx) }

// Running reports whether the process lives.
func (p *Process) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// PID returns the process id of the current or last life.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal, e.g. SIGSTOP.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// tail returns the end of a log file.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// Eventually calls f until it reports true or an error, or ctx ends.
func Eventually(ctx context.Context, f func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := f()
		if err != nil || ok {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// freePort returns an address of a host that was free a moment ago.
func freePort(host string) (string, error) {
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Main runs a package's tests with the binary that Binary returns in *bin, and returns the exit code. m is
// a *testing.M.
func Main(m interface{ Run() int }, bin *string) int {
	dir, err := os.MkdirTemp("", "caravan-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if *bin, err = Binary(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Binary returns the caravan binary to test: CARAVAN_BIN, or one built into dir.
func Binary(ctx context.Context, dir string) (string, error) {
	if bin := os.Getenv("CARAVAN_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	bin := filepath.Join(dir, "caravan")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "caravan/cmd/caravan")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building caravan: %w\n%s", err, out)
	}
	return bin, nil
}
