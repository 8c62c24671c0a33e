package containers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"caravan/e2e/harness"
)

// bin and store are the binaries under test, caravan and caravan-container.
var bin, store string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "caravan-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		ctx := context.Background()
		if bin, err = harness.Binary(ctx, dir); err == nil {
			store, err = storeBinary(ctx, dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// storeBinary is the one beside caravan, or one built into dir.
func storeBinary(ctx context.Context, dir string) (string, error) {
	beside := filepath.Join(filepath.Dir(bin), "caravan-container")
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	built := filepath.Join(dir, "caravan-container")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", built, "caravan/cmd/caravan-container")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building caravan-container: %w\n%s", err, out)
	}
	return built, nil
}

// world is a containerd and a cluster of one node that takes containers.
type world struct {
	t      *testing.T
	ctx    context.Context
	dir    string
	c      *harness.Cluster
	socket string
	daemon *exec.Cmd // nil while it is away
}

// patience bounds a test, on a loaded machine.
const patience = 90 * time.Second

func newWorld(t *testing.T) *world {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Fatal("the image of these tests is for amd64")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	// Not t.TempDir: its path is too long for the sockets below it.
	dir, err := os.MkdirTemp("", "cvc-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, ctx: ctx, dir: dir, socket: filepath.Join(dir, "containerd.sock")}
	w.startDaemon()
	t.Cleanup(w.stopDaemon)
	w.importImage()
	w.c, err = harness.Start(ctx, harness.Options{
		Bin: bin, Dir: dir, Servers: 1, Agents: 1, ServerFlags: []string{"--timing", "lan"},
		AgentFlags: []string{"--task-user", "auto", "--isolation", "standard", "--containers", store + " -address " + w.socket},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.c.Stop)
	return w
}

// startDaemon starts a containerd whose files are the test's, and waits until it answers.
func (w *world) startDaemon() {
	w.t.Helper()
	config := filepath.Join(w.dir, "containerd.toml")
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = %q\n",
		filepath.Join(w.dir, "root"), filepath.Join(w.dir, "state"), w.socket)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(w.dir, "containerd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	w.daemon = exec.Command("containerd", "--config", config)
	w.daemon.Stdout, w.daemon.Stderr = log, log
	if err := w.daemon.Start(); err != nil {
		w.t.Fatalf("%v (run tools/install containerd)", err)
	}
	err = harness.Eventually(w.ctx, func() (bool, error) {
		return exec.CommandContext(w.ctx, "ctr", "--address", w.socket, "version").Run() == nil, nil
	})
	if err != nil {
		raw, _ := os.ReadFile(log.Name())
		w.t.Fatalf("containerd does not answer: %v\n%s", err, raw)
	}
}

func (w *world) stopDaemon() {
	if w.daemon == nil {
		return
	}
	_ = w.daemon.Process.Signal(syscall.SIGTERM)
	_ = w.daemon.Wait()
	w.daemon = nil
}

func (w *world) ctr(args ...string) string {
	w.t.Helper()
	out, err := exec.CommandContext(w.ctx, "ctr", append([]string{"--address", w.socket, "--namespace", "caravan"}, args...)...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("ctr %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func (w *world) importImage() {
	w.t.Helper()
	file := filepath.Join(w.dir, "image.tar")
	if err := os.WriteFile(file, image(w.t), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.ctr("images", "import", file)
}

// cli runs a caravan command and returns what it writes and its exit code.
func (w *world) cli(args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	var out, errs bytes.Buffer
	cmd := w.c.CLI(w.ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), errs.String(), exit.ExitCode()
	}
	if err != nil {
		w.t.Fatalf("caravan %q: %v", args, err)
	}
	return out.String(), errs.String(), 0
}

// job runs a job file to its end.
func (w *world) job(text string) (stdout, stderr string, code int) {
	w.t.Helper()
	return w.cli("run", w.file(text))
}

// start submits a job file and returns the job's id.
func (w *world) start(text string) string {
	w.t.Helper()
	out, errs, code := w.cli("submit", "-o", "name", w.file(text))
	if code != 0 {
		w.t.Fatalf("submit: %s", errs)
	}
	return strings.TrimPrefix(strings.TrimSpace(out), "job/")
}

func (w *world) file(text string) string {
	w.t.Helper()
	file := filepath.Join(w.dir, "job.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// eventually waits for an output of a command to contain a text.
func (w *world) eventually(text string, args ...string) {
	w.t.Helper()
	var last string
	err := harness.Eventually(w.ctx, func() (bool, error) {
		out, errs, _ := w.cli(args...)
		last = out + errs
		return strings.Contains(last, text), nil
	})
	if err != nil {
		w.t.Fatalf("%q never in what caravan %q says: %v\n%s", text, args, err, last)
	}
}
