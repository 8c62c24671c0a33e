// Package shot is the reference render job: a POV-Ray scene of 24 frames, rendered through the CLI as
// an artist would, and compared pixel by pixel with one undisturbed process on this host.
package shot

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed scene.pov
var scene string

// Frames of the shot, from 1.
const Frames = 24

// Golden renders the whole shot in one process and returns the digest of each frame's pixels.
func Golden(ctx context.Context, dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "povray", "+I"+filepath.Join(filepath.Dir(dir), "scene.pov"), "+W160", "+H90", "+A0.3", "-J", "-D", "-V", "+FN",
		"+KFI1", fmt.Sprintf("+KFF%d", Frames), "+WT1", "+O"+dir+"/f_")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("povray: %w\n%s", err, out)
	}
	return Pixels(ctx, filepath.Join(dir, "f_%02d.png"))
}

// Pixels returns the digest of each frame's pixels. Files differ by the time that is written in them.
func Pixels(ctx context.Context, pattern string) ([]string, error) {
	var digests []string
	for i := 1; i <= Frames; i++ {
		var stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-nostdin", "-i", fmt.Sprintf(pattern, i), "-f", "framemd5", "-pix_fmt", "rgb24", "-")
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("frame %d: %w\n%s", i, err, stderr.Bytes())
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		fields := strings.Split(lines[len(lines)-1], ",")
		digests = append(digests, strings.TrimSpace(fields[len(fields)-1]))
	}
	return digests, nil
}

// Event is a line of caravan events -o json.
type Event struct {
	Type, Group, AllocationID, Message string
}

// Events reads such lines.
func Events(output []byte) ([]Event, error) {
	var events []Event
	lines := bufio.NewScanner(bytes.NewReader(output))
	for lines.Scan() {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("event %q: %w", lines.Text(), err)
		}
		events = append(events, e)
	}
	return events, lines.Err()
}

// place is where in its group an allocation begins, and its attempt.
func (e Event) place() (ordinal, attempt int, err error) {
	parts := strings.Split(e.AllocationID, ".")
	if len(parts) < 4 {
		return 0, 0, fmt.Errorf("allocation %q", e.AllocationID)
	}
	_, err = fmt.Sscanf(strings.Join(parts[len(parts)-2:], " "), "%d %d", &ordinal, &attempt)
	return ordinal, attempt, err
}

// Most returns how many allocations of a group there were at once at most.
func Most(events []Event, group string) int {
	held, most := map[string]bool{}, 0
	for _, e := range events {
		if e.Group != group || e.AllocationID == "" {
			continue
		}
		switch e.Type {
		case "task.placed", "task.running":
			held[e.AllocationID] = true
		case "task.succeeded", "task.failed", "task.lost", "task.stopped":
			delete(held, e.AllocationID)
		}
		most = max(most, len(held))
	}
	return most
}

// TooEarly returns an allocation of one group that was placed before those frames of another that it
// needs, both in chunks of one size, or "".
func TooEarly(events []Event, group, needs string) (string, error) {
	there := map[int]bool{}
	for _, e := range events {
		if e.AllocationID == "" || e.Group != group && e.Group != needs {
			continue
		}
		ordinal, _, err := e.place()
		if err != nil {
			return "", err
		}
		switch {
		case e.Group == needs && e.Type == "task.succeeded":
			there[ordinal] = true
		case e.Group == group && e.Type == "task.placed" && !there[ordinal]:
			return e.AllocationID, nil
		}
	}
	return "", nil
}
