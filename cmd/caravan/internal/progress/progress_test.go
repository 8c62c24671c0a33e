package progress_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/cmd/caravan/internal/progress"
)

var now = time.Unix(1_000_000, 0)

func job(state pb.JobState, groups ...*pb.GroupStatus) *pb.Job {
	return &pb.Job{Id: "ladder-17", State: state, StartedMs: now.Add(-time.Minute).UnixMilli(), Groups: groups}
}

func TestTheBlockHasABarForEachGroup(t *testing.T) {
	j := job(pb.JobState_JOB_STATE_RUNNING,
		&pb.GroupStatus{Name: "encode", Tasks: 12, Succeeded: 6, Running: 3, Failed: 1, Pending: 2},
		&pb.GroupStatus{Name: "mux", Tasks: 1, Blocked: 1})
	got := strings.Join(progress.Block(j, now, 80), "\n")
	want := `ladder-17 running  6/13  about 1m10s left
  encode [##############------    ] 6/12, 3 running, 1 failed
  mux    [                        ] 0/1`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTheBlockFitsTheTerminal(t *testing.T) {
	var groups []*pb.GroupStatus
	for i := range 30 {
		groups = append(groups, &pb.GroupStatus{Name: fmt.Sprintf("group-%d", i), Tasks: 1000000, Running: 999999})
	}
	lines := progress.Block(job(pb.JobState_JOB_STATE_RUNNING, groups...), now, 40)
	if len(lines) != 10 || lines[9] != "  and 22 more groups" {
		t.Errorf("got %d lines: %q", len(lines), lines)
	}
	for _, l := range lines {
		if len(l) >= 40 {
			t.Errorf("%q would wrap", l)
		}
	}
}

func TestAPipeGetsALineForEachStepWorthTelling(t *testing.T) {
	var out bytes.Buffer
	d := progress.New(&out, nil)
	for done := range int64(41) {
		d.Update(job(pb.JobState_JOB_STATE_RUNNING, &pb.GroupStatus{Name: "encode", Tasks: 200, Succeeded: done}), now)
	}
	d.Update(job(pb.JobState_JOB_STATE_RUNNING, &pb.GroupStatus{Name: "encode", Tasks: 200, Succeeded: 40, Failed: 1}), now)
	d.Clear()
	want := `ladder-17 running; encode 0/200
ladder-17 running; encode 20/200
ladder-17 running; encode 40/200
ladder-17 running; encode 40/200, 1 failed
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

// screen is a terminal that understands what a Display says to it.
type screen struct{ lines []string }

func (s *screen) Write(p []byte) (int, error) {
	text := string(p)
	if up, rest, ok := strings.Cut(text, "A\r\x1b[J"); ok {
		var n int
		if _, err := fmt.Sscanf(up, "\x1b[%d", &n); err != nil {
			return 0, err
		}
		s.lines = s.lines[:len(s.lines)-n]
		text = rest
	}
	for line := range strings.Lines(text) {
		s.lines = append(s.lines, strings.TrimSuffix(line, "\n"))
	}
	return len(p), nil
}

func TestLogsAndTheBlockTakeTurns(t *testing.T) {
	s := &screen{}
	d := progress.New(s, func() int { return 80 })
	log := d.Writer(s)
	d.Update(job(pb.JobState_JOB_STATE_PENDING, &pb.GroupStatus{Name: "mux", Tasks: 1}), now)
	say(t, log, "first\n")
	d.Update(job(pb.JobState_JOB_STATE_RUNNING, &pb.GroupStatus{Name: "mux", Tasks: 1, Running: 1}), now)
	say(t, log, "second\nthird\n")
	if got := strings.Join(s.lines, "\n"); got != "first\nsecond\nthird\nladder-17 running  0/1\n  mux [------------------------] 0/1, 1 running" {
		t.Errorf("got\n%s", got)
	}
	d.Clear()
	say(t, log, "last\n")
	if got := strings.Join(s.lines, "\n"); got != "first\nsecond\nthird\nlast" {
		t.Errorf("got\n%s", got)
	}
}

func say(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}
