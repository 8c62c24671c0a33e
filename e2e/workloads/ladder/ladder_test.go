package ladder

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"caravan/e2e/harness"
)

// TestTheLadderIsExactThoughAnAgentDies runs the reference job as a user types
// it, kills an agent with running tasks, and compares every decoded frame.
func TestTheLadderIsExactThoughAnAgentDies(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "cv-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	bin, err := harness.Binary(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	job, err := Prepare(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := harness.Start(ctx, harness.Options{Bin: bin, Dir: dir, Servers: 1, Agents: 2, ServerFlags: []string{"--timing", "lan"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	submit := c.CLI(ctx, "submit", "--wait", job)
	submit.Stdout, submit.Stderr = t.Output(), t.Output()
	if err := submit.Start(); err != nil {
		t.Fatal(err)
	}
	if err := harness.Eventually(ctx, func() (bool, error) { return published(dir) >= 6, nil }); err != nil {
		t.Fatalf("%d chunks published: %v", published(dir), err)
	}
	c.Agents[0].Kill()
	if err := c.Agents[0].Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if err := submit.Wait(); err != nil {
		t.Fatalf("the ladder failed: %v", err)
	}
	proofs, err := Verify(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range proofs {
		if !p.OK() {
			t.Errorf("rung %s differs: %+v", p.Size, p)
		}
	}
}

// TestTheProofSeesADifference plants a wrong rung: an oracle that cannot fail
// proves nothing.
func TestTheProofSeesADifference(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	if _, err := Prepare(ctx, dir); err != nil {
		t.Fatal(err)
	}
	for i := range rungs {
		// The right size and length, but encoded with another quality.
		out := filepath.Join(dir, "out", []string{"rung_0.mp4", "rung_1.mp4", "rung_2.mp4"}[i])
		cmd := exec.Command("ffmpeg", "-v", "error", "-i", filepath.Join(dir, "src.mkv"), "-an", "-vf", "scale="+rungs[i],
			"-c:v", "libx264", "-preset", "veryfast", "-qp", "24", out)
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
	}
	proofs, err := Verify(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range proofs {
		if p.OK() {
			t.Errorf("rung %s was encoded otherwise and passed", p.Size)
		}
	}
}

func published(dir string) int {
	files, _ := filepath.Glob(filepath.Join(dir, "chunks", "chunk_*.mp4"))
	return len(files)
}
