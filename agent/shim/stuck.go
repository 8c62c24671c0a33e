package shim

import (
	"fmt"
	"time"

	"caravan/agent/driver"
)

// A task that hangs, or that ends before it can have done anything, is told by
// its log and its clock.

// silence watches for a task that writes nothing. Its channel delivers when it is
// time to look; over says whether the task has been silent for too long, or else
// sets the next time to look. The zero value never delivers.
type silence struct {
	limit time.Duration
	since func() time.Time
	timer *time.Timer
	c     <-chan time.Time
}

// silence returns the watch over the log of the task, which begins now.
func (s *shim) silence() *silence {
	w := &silence{limit: time.Duration(s.spec.NoOutputMs) * time.Millisecond}
	if w.limit <= 0 {
		return w
	}
	begin := time.Now()
	w.since = func() time.Time {
		last := begin
		for _, c := range []*capture{s.stdout, s.stderr} {
			if at := time.Unix(0, c.last.Load()); at.After(last) {
				last = at
			}
		}
		return last
	}
	w.timer = time.NewTimer(w.limit)
	w.c = w.timer.C
	return w
}

// over reports whether the silence has lasted too long. It is then not asked again.
func (w *silence) over() bool {
	left := w.limit - time.Since(w.since())
	if left <= 0 {
		return true
	}
	w.timer.Reset(left)
	return false
}

func (w *silence) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

func (s *shim) silentEnding() ending {
	detail := fmt.Sprintf("it wrote nothing to its log for %s", time.Duration(s.spec.NoOutputMs)*time.Millisecond)
	return ending{driver.ReasonNoOutput, detail, s.stopSignal(), s.grace()}
}

// tooFast fails a command that succeeded sooner than it can have done its work.
func (s *shim) tooFast(exit *driver.Exit) {
	ran := exit.EndedMs - exit.StartedMs
	if exit.Success() && s.spec.MinRuntimeMs > 0 && ran < s.spec.MinRuntimeMs {
		exit.Reason = driver.ReasonTooFast
		exit.Detail = fmt.Sprintf("it ended with 0 after %d ms, and min_runtime is %d ms", ran, s.spec.MinRuntimeMs)
	}
}
