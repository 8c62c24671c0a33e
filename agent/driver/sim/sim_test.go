package sim_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"caravan/agent/driver"
	"caravan/agent/driver/sim"
)

func spec(ms int64, code int) driver.AllocSpec {
	return driver.AllocSpec{ID: "a", Dir: "/nowhere/a", Argv: []string{"never run"}, Sim: &driver.Sim{DurationMs: ms, ExitCode: code}}
}

func TestTaskEndsAfterItsDurationWithItsCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task, err := sim.New().Start(t.Context(), spec(5000, 3))
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if s, err := task.Status(t.Context()); err != nil || s.Phase != driver.PhaseRunning || s.Limits != driver.LimitsNone {
			t.Errorf("status %+v, %v", s, err)
		}
		for range 2 {
			exit, err := task.Wait(t.Context())
			if err != nil || exit.Reason != driver.ReasonExited || exit.ExitCode != 3 || exit.EndedMs-exit.StartedMs != 5000 {
				t.Errorf("got %+v, %v", exit, err)
			}
		}
		if d := time.Since(begin); d != 5*time.Second {
			t.Errorf("ended after %v", d)
		}
		if s, _ := task.Status(t.Context()); s.Phase != driver.PhaseEnded {
			t.Errorf("status %+v", s)
		}
	})
}

func TestStopEndsTheTaskAtOnceAndForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task, err := sim.New().Start(t.Context(), spec(5000, 0))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := task.Stop(t.Context(), syscall.SIGTERM, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		exit, err := task.Wait(t.Context())
		if err != nil || exit.Reason != driver.ReasonStopped || exit.ExitCode != 143 || exit.EndedMs != exit.StartedMs {
			t.Errorf("got %+v, %v", exit, err)
		}
	})
}

func TestStartIsIdempotentAndAttachFindsTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := sim.New()
		if _, err := d.Attach("/nowhere/a"); !errors.Is(err, driver.ErrNotFound) {
			t.Errorf("attach before the start: %v", err)
		}
		first, err := d.Start(t.Context(), spec(10, 0))
		if err != nil {
			t.Fatal(err)
		}
		again, err := d.Start(t.Context(), spec(99, 9))
		if err != nil || again != first {
			t.Errorf("a second start made another task: %v", err)
		}
		if got, err := d.Attach("/nowhere/a/"); err != nil || got != first {
			t.Errorf("attach: %v", err)
		}
		d.Forget("/nowhere/a")
		if _, err := d.Attach("/nowhere/a"); err != nil {
			t.Errorf("a running task was forgotten: %v", err)
		}
		if _, err := first.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.Forget("/nowhere/a")
		if _, err := d.Attach("/nowhere/a"); !errors.Is(err, driver.ErrNotFound) {
			t.Errorf("attach after forgetting: %v", err)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task, err := sim.New().Start(t.Context(), spec(5000, 0))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := task.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if _, err := task.Wait(t.Context()); err != nil {
			t.Errorf("a wait that was given up spoilt the next: %v", err)
		}
	})
}

func TestARealCommandIsNotSilentlySkipped(t *testing.T) {
	d := sim.New()
	s := spec(1, 0)
	s.Sim = nil
	if _, err := d.Start(t.Context(), s); err == nil {
		t.Error("a spec without sim was accepted")
	}
	if c := d.Capabilities(); c.Real || c.Limits || c.Exec {
		t.Errorf("got %+v", c)
	}
}
