package perf

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"caravan/e2e/harness"
)

// placements prepares `caravan bench placements` with a temporary directory of
// its own, so that it can be seen what it leaves behind.
func placements(t *testing.T, args ...string) (cmd *exec.Cmd, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	bin, err := harness.Binary(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	cmd = exec.CommandContext(ctx, bin, append([]string{"bench", "placements"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	return cmd, dir
}

func TestAMeasurementReportsEveryFigureAndLeavesNothingBehind(t *testing.T) {
	cmd, dir := placements(t, "--servers", "3", "--nodes", "20", "--tasks", "200", "--jobs", "5", "-o", "json")
	var diagnostics bytes.Buffer
	cmd.Stderr = &diagnostics
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &diagnostics)
	}
	var figures map[string]float64
	if err := json.Unmarshal(out, &figures); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for _, key := range []string{
		"committed_per_s", "cpu_ms_per_placement", "submit_to_commit_p50_ms", "submit_to_commit_p99_ms", "rss_mb", "raft_bytes_per_placement",
	} {
		if figures[key] <= 0 {
			t.Errorf("%s is %v", key, figures[key])
		}
		delete(figures, key)
	}
	if len(figures) > 0 {
		t.Errorf("more figures than there should be: %v", figures)
	}
	requireNothingLeft(t, dir)
}

func TestCtrlCEndsTheServersOfAMeasurement(t *testing.T) {
	cmd, dir := placements(t, "--servers", "3", "--nodes", "5", "--tasks", "5", "--jobs", "1", "--task-time", "10m")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := harness.Eventually(ctx, func() (bool, error) {
		ready, err := filepath.Glob(filepath.Join(dir, "caravan-bench-*", "s3.ready"))
		return len(ready) == 1, err
	})
	if err != nil {
		t.Errorf("the servers do not start: %v", err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("left by Ctrl-C with %v", err)
	}
	requireNothingLeft(t, dir)
}

// requireNothingLeft demands that no file is left, and no process that was told
// to work in the directory.
func requireNothingLeft(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("files are left: %v %v", left, err)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range lines {
		line, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(line), dir) {
			t.Errorf("%s still runs: %s", filepath.Dir(file), bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
}
