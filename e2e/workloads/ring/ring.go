package ring

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed rank.py
var program []byte

// Job is what to run.
type Job struct {
	// Ranks is the number of ranks.
	Ranks int
	// PerNode asks for a node for each rank, by gang: node.
	PerNode bool
	// Steps to take, and the pause after each in seconds.
	Steps int
	Pace  float64
	// Retries of the group.
	Retries int
}

// Prepare writes the program and the job file into dir, where the ranks will also leave their
// events, losses and checkpoint, and returns the job file's path.
func (j Job) Prepare(dir string) (path string, err error) {
	if err := os.WriteFile(filepath.Join(dir, "rank.py"), program, 0o644); err != nil {
		return "", err
	}
	run, gang := "exec", "true"
	if j.PerNode {
		run, gang = "export RANK=$NODE_RANK WORLD_SIZE=$NNODES; exec", "node"
	}
	text := fmt.Sprintf(`name: ring
count: %d
gang: %s
run: %s python3 %s %s %d %g
resources: {cpu: 0.1, memory: 128MiB}
retries: %d
kill_grace: 5s
`, j.Ranks, gang, run, filepath.Join(dir, "rank.py"), dir, j.Steps, j.Pace, j.Retries)
	path = filepath.Join(dir, "ring.yaml")
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// Event is what a rank has written down, in the order of time on this host.
type Event struct {
	// Kind is start, step, saved, done, or what went wrong.
	Kind  string
	Rank  int
	Epoch int
	// NS is the host's clock in nanoseconds.
	NS int64
	// Step of a step.
	Step int
	// Env of a start.
	Env map[string]string
	// Weight, or in package ddp the digest of the weights, at the end.
	Weight  int64
	Weights string
}

// Events returns what the ranks have written so far.
func Events(dir string) ([]Event, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "events"))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var events []Event
	for line := range strings.Lines(string(raw)) {
		var e Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return nil, fmt.Errorf("event %q: %w", line, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// Losses returns the lines that rank 0 has logged, by step with the last one of each winning,
// and how many were replayed.
func Losses(dir string) (text string, replayed int, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, "loss"))
	if err != nil {
		return "", 0, err
	}
	return Deduplicate(string(raw))
}

// Deduplicate keeps the last line of each step, which is the first word of a line, and counts
// the others.
func Deduplicate(log string) (text string, replayed int, err error) {
	var order []string
	last := map[string]string{}
	for line := range strings.Lines(log) {
		step, _, ok := strings.Cut(line, " ")
		if !ok || !strings.HasSuffix(line, "\n") {
			return "", 0, fmt.Errorf("a torn line: %q", line)
		}
		if _, known := last[step]; known {
			replayed++
		} else {
			order = append(order, step)
		}
		last[step] = line
	}
	for _, step := range order {
		text += last[step]
	}
	return text, replayed, nil
}

// Overlap returns two events that show two epochs alive at once, or "".
func Overlap(events []Event) string {
	last := map[int]Event{}
	first := map[int]Event{}
	for _, e := range events {
		if f, ok := first[e.Epoch]; !ok || e.NS < f.NS {
			first[e.Epoch] = e
		}
		if l, ok := last[e.Epoch]; !ok || e.NS > l.NS {
			last[e.Epoch] = e
		}
	}
	for epoch, l := range last {
		for later, f := range first {
			if later > epoch && f.NS <= l.NS {
				return fmt.Sprintf("epoch %d began at %d, while rank %d of epoch %d was alive at %d (%s)", later, f.NS, l.Rank, epoch, l.NS, l.Kind)
			}
		}
	}
	return ""
}
