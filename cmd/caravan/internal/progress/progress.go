// Package progress shows how far a job is while a command waits for it: a
// block of bars that is redrawn in place on a terminal, or one plain line per
// step worth telling in a pipe.
//
// A Display owns the last lines of its terminal. Whatever else is written
// there meanwhile must go through Display.Writer, which takes the block away
// first and puts it back after. A Display is safe for concurrent use.
package progress

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/cmd/caravan/internal/view"
)

// Display is the progress of one job on one output.
type Display struct {
	out io.Writer
	// columns returns the terminal's width; nil means a pipe.
	columns func() int

	mu    sync.Mutex // guards what follows and writes to out
	drawn int        // lines of the block on the screen
	block []string   // lines of the block, whether drawn or not
	said  string     // the last plain line's substance
}

// New returns a display that writes to out, which is a terminal if columns is
// set.
func New(out io.Writer, columns func() int) *Display {
	return &Display{out: out, columns: columns}
}

// Update shows the job as it is at a time.
func (d *Display) Update(j *pb.Job, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.columns != nil {
		d.erase()
		d.block = Block(j, now, d.columns())
		d.draw()
		return
	}
	if step, line := Line(j); step != d.said {
		d.said = step
		fmt.Fprintln(d.out, line)
	}
}

// Clear takes the block away for good, or until the next Update.
func (d *Display) Clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
	d.block = nil
}

// Writer returns a writer to w, on the same terminal as the display. Each
// Write must hold whole lines.
func (d *Display) Writer(w io.Writer) io.Writer { return &through{display: d, out: w} }

type through struct {
	display *Display
	out     io.Writer
}

func (t *through) Write(p []byte) (int, error) {
	d := t.display
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
	n, err := t.out.Write(p)
	if bytes.HasSuffix(p, []byte("\n")) {
		d.draw()
	}
	return n, err
}

// erase moves to the block's first line and clears from there.
func (d *Display) erase() {
	if d.drawn > 0 {
		fmt.Fprintf(d.out, "\x1b[%dA\r\x1b[J", d.drawn)
		d.drawn = 0
	}
}

func (d *Display) draw() {
	for _, line := range d.block {
		fmt.Fprintln(d.out, line)
	}
	d.drawn = len(d.block)
}

// maxBars bounds the block's height.
const maxBars = 8

// Block returns the lines for a terminal: the job, then a bar per group.
func Block(j *pb.Job, now time.Time, columns int) []string {
	done, tasks := counts(j)
	head := fmt.Sprintf("%s %s  %d/%d", j.Id, view.Word(j.State), done, tasks)
	if left, ok := remaining(j, now); ok && left >= time.Second {
		head += "  about " + view.Duration(left) + " left"
	}
	lines := []string{clip(head, columns)}
	width := 0
	for _, g := range j.Groups {
		width = max(width, len(g.Name))
	}
	for i, g := range j.Groups {
		if i == maxBars && len(j.Groups) > maxBars+1 {
			lines = append(lines, clip(fmt.Sprintf("  and %d more groups", len(j.Groups)-i), columns))
			break
		}
		lines = append(lines, clip(fmt.Sprintf("  %-*s %s %s", width, g.Name, bar(g, 24), tally(g)), columns))
	}
	return lines
}

// bar fills in proportion to finished tasks; running ones show lighter.
func bar(g *pb.GroupStatus, width int64) string {
	tasks := max(1, g.Tasks)
	done := width * (g.Succeeded + g.Failed + g.Stopped) / tasks
	running := min(width-done, (width*g.Running+tasks-1)/tasks)
	return "[" + strings.Repeat("#", int(done)) + strings.Repeat("-", int(running)) + strings.Repeat(" ", int(width-done-running)) + "]"
}

func tally(g *pb.GroupStatus) string {
	s := fmt.Sprintf("%d/%d", g.Succeeded, g.Tasks)
	for _, c := range []struct {
		n    int64
		word string
	}{{g.Running, "running"}, {g.Failed, "failed"}, {g.Stopped, "stopped"}} {
		if c.n > 0 {
			s += fmt.Sprintf(", %d %s", c.n, c.word)
		}
	}
	return s
}

// Line returns one plain line about the job. step changes whenever the line is
// worth printing again: with the job's state, with every failure, and with
// every tenth of a group's tasks.
func Line(j *pb.Job) (step, line string) {
	step, line = j.State.String(), fmt.Sprintf("%s %s", j.Id, view.Word(j.State))
	for _, g := range j.Groups {
		tenth := 10 * g.Succeeded / max(1, g.Tasks)
		step += fmt.Sprintf(" %d/%d", tenth, g.Failed)
		line += fmt.Sprintf("; %s %s", g.Name, tally(g))
	}
	return step, line
}

func counts(j *pb.Job) (done, tasks int64) {
	for _, g := range j.Groups {
		done += g.Succeeded
		tasks += g.Tasks
	}
	return done, tasks
}

// remaining extends the job's mean pace so far; it knows nothing before the
// first task is done.
func remaining(j *pb.Job, now time.Time) (time.Duration, bool) {
	done, tasks := counts(j)
	elapsed := now.Sub(time.UnixMilli(j.StartedMs))
	if j.State != pb.JobState_JOB_STATE_RUNNING || j.StartedMs == 0 || done == 0 || elapsed <= 0 {
		return 0, false
	}
	return elapsed / time.Duration(done) * time.Duration(tasks-done), true
}

// clip keeps a line from wrapping.
func clip(line string, columns int) string {
	r := []rune(line)
	if columns > 1 && len(r) >= columns {
		return string(r[:columns-1])
	}
	return line
}
