package link

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// fakeClock is a lease clock under synctest: package time, plus what was slept through.
type fakeClock struct {
	began     time.Time
	suspended time.Duration
}

func newFakeClock() *fakeClock { return &fakeClock{began: time.Now()} }

func (c *fakeClock) Now() time.Duration { return time.Since(c.began) + c.suspended }

func TestALeaseIsCountedFromTheSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := newFakeClock()
		var changes []string
		l := NewLease(clock, func(held bool) { changes = append(changes, fmt.Sprintf("%v at %v", held, clock.Now())) })
		sent := clock.Now()
		time.Sleep(4 * time.Second) // the answer takes its time
		l.Granted(sent, 15*time.Second)
		time.Sleep(10 * time.Second)
		if !l.Held() {
			t.Error("not held 14 s after the sending")
		}
		time.Sleep(2 * time.Second)
		if l.Held() {
			t.Error("held 16 s after the sending")
		}
		l.Granted(sent, 15*time.Second) // the same answer again
		if want := "[true at 4s false at 15s]"; fmt.Sprint(changes) != want {
			t.Errorf("changes %v, want %v", changes, want)
		}
	})
}

func TestAnAnswerThatComesTooLateGrantsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := newFakeClock()
		l := NewLease(clock, func(held bool) { t.Errorf("told held=%v", held) })
		sent := clock.Now()
		time.Sleep(15 * time.Second)
		l.Granted(sent, 15*time.Second)
		if l.Held() {
			t.Error("held")
		}
	})
}

func TestOlderGrantsDoNotShortenALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := newFakeClock()
		l := NewLease(clock, func(bool) {})
		time.Sleep(5 * time.Second)
		l.Granted(clock.Now(), 15*time.Second)
		l.Granted(0, 15*time.Second)
		time.Sleep(14 * time.Second)
		if !l.Held() {
			t.Error("an older grant took effect")
		}
		l.End()
		if l.Held() {
			t.Error("held after its end")
		}
	})
}

func TestASuspendedHostWakesUpWithoutALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := newFakeClock()
		held := false
		l := NewLease(clock, func(h bool) { held = h })
		l.Granted(clock.Now(), 15*time.Second)
		clock.suspended = time.Minute // timers did not run meanwhile
		if l.Held() {
			t.Error("held after a minute of suspend")
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if held {
			t.Error("the end was not told once timers ran again")
		}
	})
}

func TestBackoffDoublesWithinItsBounds(t *testing.T) {
	b := Backoff{Min: 100 * time.Millisecond, Max: time.Second}
	for _, full := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		full *= time.Millisecond
		if got := b.Next(); got < full/2 || got > full {
			t.Errorf("pause %v, want %v to %v", got, full/2, full)
		}
	}
	b.Reset()
	if got := b.Next(); got > 100*time.Millisecond {
		t.Errorf("pause %v after a success", got)
	}
}
