package shim_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"caravan/agent/driver"
	"caravan/agent/shim"
)

// Two clusters on one host may each have an allocation of the same id. Neither
// the end of the one, nor the death of its shim, may touch the other.
func TestTwoAllocationsOfOneIDOnAHostDoNotMeet(t *testing.T) {
	for _, c := range []struct{ name, parent string }{{"with control groups", testGroup}, {"without", ""}} {
		t.Run(c.name, func(t *testing.T) {
			l, err := shim.NewLauncher(shim.Config{Command: []string{os.Args[0], "shim"}, CgroupParent: c.parent})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			spec := newSpec(t, "sleep 600")
			other := newSpec(t, "sleep 600")
			other.Dir = filepath.Join(t.TempDir(), "alloc")
			a, b := launch(t, l, spec), launch(t, l, other)
			running := func(h *shim.Handle) func() bool {
				return func() bool {
					s, err := h.Status(t.Context())
					return err == nil && s.Phase == driver.PhaseRunning
				}
			}
			eventually(t, "both run", func() bool { return running(a)() && running(b)() })
			s, err := a.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(s.ShimPID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if exit := wait(t, a); exit.Reason != driver.ReasonShimLost {
				t.Errorf("the killed shim's allocation ended as %+v", exit)
			}
			if !running(b)() {
				t.Error("the other cluster's allocation was hit")
			}
			if err := b.Stop(t.Context(), syscall.SIGTERM, time.Second); err != nil {
				t.Fatal(err)
			}
			if exit := wait(t, b); exit.Reason != driver.ReasonStopped {
				t.Errorf("the other ended as %+v", exit)
			}
		})
	}
}
