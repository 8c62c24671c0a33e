package shim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"caravan/agent/cgroup"
	"caravan/agent/driver"
	"caravan/agent/logs"
	"caravan/agent/shim"
)

// TestMain lets the test binary play all the parts of a real host: the shim, an agent that
// can be killed, and tasks with a known appetite.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "shim":
			os.Exit(shim.Main(os.Args[2]))
		case "agent":
			playAgent(os.Args[2])
		case "task":
			playTask(os.Args[2:])
		}
	}
	code := m.Run()
	if err := removeTestGroups(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// removeTestGroups leaves the host as it was.
func removeTestGroups() error {
	g, err := cgroup.Open(testGroup)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return errors.Join(g.Kill(ctx), g.Destroy())
}

// playAgent launches the spec in a file, says so, and waits to be killed.
func playAgent(specFile string) {
	raw, err := os.ReadFile(specFile)
	var spec driver.AllocSpec
	if err == nil {
		err = json.Unmarshal(raw, &spec)
	}
	var l *shim.Launcher
	if err == nil {
		l, err = shim.NewLauncher(shim.Config{Command: []string{os.Args[0], "shim"}, CgroupParent: testGroup})
	}
	if err == nil {
		_, err = l.Launch(context.Background(), spec)
	}
	fmt.Println("launched", err)
	select {}
}

// playTask is a task with a known appetite.
func playTask(args []string) {
	switch args[0] {
	case "touch": // bytes of memory, page by page
		n, _ := strconv.Atoi(args[1])
		block, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			os.Exit(9)
		}
		for i := 0; i < n; i += 4096 {
			block[i] = 1
		}
	case "burn": // user CPU time, in milliseconds
		ms, _ := strconv.Atoi(args[1])
		var ru syscall.Rusage
		for ru.Utime.Nano() < int64(ms)*1e6 {
			for range 1_000_000 {
			}
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
		}
	case "flood": // numbered lines, bytes in total
		n, _ := strconv.Atoi(args[1])
		os.Stdout.Write(flood(n))
	}
	os.Exit(0)
}

// flood is n bytes of numbered lines.
func flood(n int) []byte {
	var b strings.Builder
	b.Grow(n + 16)
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "line %09d\n", i)
	}
	return []byte(b.String()[:n])
}

// testGroup holds the groups of these tests, away from a real agent's.
const testGroup = "/caravan-test-shim"

// patience is how long a test waits for what must happen; only broken code reaches it.
const patience = 60 * time.Second

func context60(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func newLauncher(t *testing.T, parent string) *shim.Launcher {
	t.Helper()
	l, err := shim.NewLauncher(shim.Config{Command: []string{os.Args[0], "shim"}, CgroupParent: parent})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// newSpec is a spec of a shell script in a fresh directory.
func newSpec(t *testing.T, script string) driver.AllocSpec {
	t.Helper()
	id := strings.NewReplacer("/", "-", "=", "-", "#", "-").Replace(t.Name())
	return driver.AllocSpec{
		ID: id, Dir: filepath.Join(t.TempDir(), "alloc"), Argv: []string{"sh", "-c", script},
		Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"},
	}
}

// launch begins an allocation that cannot outlive the test.
func launch(t *testing.T, l *shim.Launcher, spec driver.AllocSpec) *shim.Handle {
	t.Helper()
	h, err := l.Launch(context60(t), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.Stop(ctx, syscall.SIGKILL, 0); err != nil {
			t.Errorf("stop at the end of the test: %v", err)
		}
		if _, err := h.Wait(ctx); err != nil {
			t.Errorf("wait at the end of the test: %v", err)
		}
	})
	return h
}

func wait(t *testing.T, h *shim.Handle) driver.Exit {
	t.Helper()
	exit, err := h.Wait(context60(t))
	if err != nil {
		dumpShimLog(t, h.Dir())
		t.Fatal(err)
	}
	return exit
}

func dumpShimLog(t *testing.T, dir string) {
	t.Helper()
	raw, _ := os.ReadFile(filepath.Join(dir, "shim.log"))
	t.Logf("shim.log:\n%s", raw)
}

// runSpec runs an allocation to its end with control groups.
func runSpec(t *testing.T, spec driver.AllocSpec) driver.Exit {
	t.Helper()
	return wait(t, launch(t, newLauncher(t, testGroup), spec))
}

// output returns all that is kept of a stream.
func output(t *testing.T, dir, stream string) string {
	t.Helper()
	r, err := logs.Open(filepath.Join(dir, shim.LogDir), stream, logs.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b strings.Builder
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(t.Context(), buf)
		b.Write(buf[:n])
		if err != nil {
			return b.String()
		}
	}
}

// await follows a stream until it has printed a line, and returns the line.
func awaitLine(t *testing.T, dir, stream string) string {
	t.Helper()
	r, err := logs.Open(filepath.Join(dir, shim.LogDir), stream, logs.ReadOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	line, err := logs.NewLines(r).Next(context60(t))
	if err != nil {
		dumpShimLog(t, dir)
		t.Fatalf("no output: %v", err)
	}
	return string(line.Text)
}

// eventually polls a condition that real processes bring about.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// alive reports whether a process runs (a zombie does not).
func alive(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(raw[strings.LastIndexByte(string(raw), ')'):]), ") Z")
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// groupIsGone checks that nothing of an allocation's control group is left.
func groupIsGone(t *testing.T, id string) {
	t.Helper()
	// In the unified hierarchy or in any of the v1 controllers.
	for _, pattern := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		left, err := filepath.Glob(pattern + testGroup + "/task-" + id + "-*")
		if err != nil {
			t.Fatal(err)
		}
		if len(left) > 0 {
			t.Errorf("control groups still exist: %v", left)
		}
	}
}

// startAgent runs playAgent and returns once it has launched the spec.
func startAgent(t *testing.T, spec driver.AllocSpec) *exec.Cmd {
	t.Helper()
	return startAgentAs(t, spec, os.Args[0], t.TempDir(), nil)
}

// startAgentAs runs a copy of this program as another user, who may read dir.
func startAgentAs(t *testing.T, spec driver.AllocSpec, program, dir string, user *syscall.Credential) *exec.Cmd {
	t.Helper()
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "agent.json")
	if err := os.WriteFile(file, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "agent", file)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said, result string
	if _, err := fmt.Fscan(out, &said, &result); err != nil || result != "<nil>" {
		t.Fatalf("the agent said %q %q: %v", said, result, err)
	}
	return cmd
}
