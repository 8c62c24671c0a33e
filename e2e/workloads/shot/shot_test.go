package shot

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"caravan/e2e/harness"
)

// stage is a cluster of two agents and the directory that they share.
type stage struct {
	*harness.Cluster
	t   *testing.T
	ctx context.Context
	dir string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	t.Cleanup(cancel)
	// Not t.TempDir: its path is too long for the sockets below it.
	dir, err := os.MkdirTemp("", "cv-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bin, err := harness.Binary(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := harness.Start(ctx, harness.Options{Bin: bin, Dir: dir, Servers: 1, Agents: 2, ServerFlags: []string{"--timing", "lan"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	s := &stage{Cluster: c, t: t, ctx: ctx, dir: dir}
	s.write(scene)
	return s
}

func (s *stage) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "scene.pov"), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// caravan runs a command that must end well, and returns what it prints.
func (s *stage) caravan(args ...string) []byte {
	s.t.Helper()
	cmd := s.CLI(s.ctx, args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("caravan %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out
}

// render is the command of all tests with flags of their own.
func (s *stage) render(frames, out string, flags ...string) *exec.Cmd {
	args := []string{
		"render", filepath.Join(s.dir, "scene.pov"), "--frames", frames, "--size", "160x90", "--cpu", "1",
		"--out", filepath.Join(s.dir, out), "--wait",
	}
	cmd := s.CLI(s.ctx, append(args, flags...)...)
	cmd.Stdout, cmd.Stderr = s.t.Output(), s.t.Output()
	return cmd
}

func (s *stage) events(job string) []Event {
	s.t.Helper()
	events, err := Events(s.caravan("events", job, "-o", "json"))
	if err != nil {
		s.t.Fatal(err)
	}
	return events
}

func TestEveryPixelIsRightThoughAnAgentDies(t *testing.T) {
	s := newStage(t)
	s.caravan("limit", "set", "povray", "2")
	submit := s.render("1-24", "out", "--chunk", "4", "--memory", "256MiB", "--limit", "povray", "--denoise", "--movie", "24")
	if err := submit.Start(); err != nil {
		t.Fatal(err)
	}
	err := harness.Eventually(s.ctx, func() (bool, error) {
		found, err := filepath.Glob(filepath.Join(s.dir, "out/raw/f_*.png"))
		return len(found) >= 4, err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Agents[0].Kill()
	if err := s.Agents[0].Restart(s.ctx); err != nil {
		t.Fatal(err)
	}
	if err := submit.Wait(); err != nil {
		t.Fatalf("the shot failed: %v", err)
	}
	want, err := Golden(s.ctx, filepath.Join(s.dir, "golden"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Pixels(s.ctx, filepath.Join(s.dir, "out/raw/f_%04d.png"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("pixels differ:\n%v\nwant\n%v", got, want)
	}
	out, err := exec.CommandContext(s.ctx, "ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=width,height,nb_read_frames",
		"-of", "csv=p=0", filepath.Join(s.dir, "out/movie.mp4")).Output()
	if text := strings.TrimSpace(string(out)); err != nil || text != "160,90,24" {
		t.Errorf("the movie is %q, %v", text, err)
	}
	events := s.events("1")
	if most := Most(events, "render"); most > 2 || most < 1 {
		t.Errorf("%d held one of two licences", most)
	}
	if early, err := TooEarly(events, "denoise", "render"); err != nil || early != "" {
		t.Errorf("%s began before its frames were there, %v", early, err)
	}
}

func TestFramesThatFailAreRenderedAgainOrEaten(t *testing.T) {
	s := newStage(t)
	s.write("#if (frame_number = 7) #error \"a missing texture\" #end\n" + scene)
	for job := 1; job <= 2; job++ {
		if err := s.render("1-12", fmt.Sprintf("out%d", job), "--chunk", "1", "--memory", "256MiB").Run(); err == nil {
			t.Fatal("a frame that cannot be rendered did not fail the job")
		}
	}
	// A shot without its seventh frame, as an artist who needs it today would have it.
	s.caravan("eat", "1", "--group", "render", "--frames", "7")
	s.await("1", "JOB_STATE_SUCCEEDED")

	s.write(scene)
	s.caravan("retry", "2")
	s.await("2", "JOB_STATE_SUCCEEDED")
	placed := map[int]int{}
	for _, e := range s.events("2") {
		if e.Type != "task.placed" {
			continue
		}
		ordinal, _, err := e.place()
		if err != nil {
			t.Fatal(err)
		}
		placed[ordinal]++
	}
	for ordinal := range 12 {
		if n := placed[ordinal]; ordinal == 6 && n < 2 || ordinal != 6 && n != 1 {
			t.Errorf("frame %d was placed %d times", ordinal+1, n)
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, "out2/f_0007.png")); err != nil {
		t.Error(err)
	}
}

func TestAFrameThatRunsOutOfMemoryGetsMore(t *testing.T) {
	s := newStage(t)
	if err := s.render("1-2", "out", "--chunk", "1", "--memory", "4MiB").Run(); err != nil {
		t.Fatalf("the shot failed: %v", err)
	}
	more := false
	for _, e := range s.events("1") {
		more = more || e.Type == "task.failed" && strings.Contains(e.Message, "memory")
	}
	if !more {
		t.Error("nothing ran out of memory, so nothing was shown")
	}
}

func (s *stage) await(job, state string) {
	s.t.Helper()
	err := harness.Eventually(s.ctx, func() (bool, error) {
		return strings.Contains(string(s.caravan("status", job, "-o", "json")), state), nil
	})
	if err != nil {
		s.t.Fatalf("job %s: %v", job, err)
	}
}

// TestTheOraclesSeeWhatTheyAreFor: one that cannot fail proves nothing.
func TestTheOraclesSeeWhatTheyAreFor(t *testing.T) {
	events := []Event{
		{Type: "task.placed", Group: "render", AllocationID: "a-1.render.0.1"},
		{Type: "task.placed", Group: "render", AllocationID: "a-1.render.4.1"},
		{Type: "task.placed", Group: "denoise", AllocationID: "a-1.denoise.0.1"},
		{Type: "task.succeeded", Group: "render", AllocationID: "a-1.render.0.1"},
	}
	if n := Most(events, "render"); n != 2 {
		t.Errorf("%d at once", n)
	}
	if early, err := TooEarly(events, "denoise", "render"); err != nil || early != "a-1.denoise.0.1" {
		t.Errorf("%q, %v", early, err)
	}
}
