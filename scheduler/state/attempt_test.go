package state

import (
	"slices"
	"testing"

	"caravan/scheduler/model"
)

// attempts places the only task of the only job again and again, ending each
// attempt with the given report, until it waits no more; it returns the number
// of attempts.
func attempts(t *testing.T, s *Store, r Report) int {
	t.Helper()
	for n := 1; n <= 2*MaxFreeAttempts; n++ {
		r.Allocation = model.AllocationID("job-1", "part", 0, int32(n))
		set := PlacementSet{Job: "job-1", Placements: []Placement{{Node: "a"}}}
		if a, _ := do(s, func(x *Txn) (Answer, *model.Error) { return x.ApplyPlan(Plan{Sets: []PlacementSet{set}}) }); a.Count != 1 {
			t.Fatalf("attempt %d: %+v", n, a.Dropped)
		}
		if a, _ := do(s, func(x *Txn) (Answer, *model.Error) { return x.ReportAllocations("a", []Report{r}) }); a.Count != 1 {
			t.Fatalf("attempt %d was not reported", n)
		}
		if j, _ := s.Snapshot().Job("job-1"); j.State.Ended() {
			return n
		}
	}
	t.Fatal("the task goes round for ever")
	return 0
}

func oneTask(t *testing.T, retries int32) *Store {
	t.Helper()
	s := NewStore()
	spec := simple(1)
	spec.Groups[0].Retries = retries
	_, err1 := do(s, func(x *Txn) (Answer, *model.Error) { return x.RegisterNode(&model.Node{Name: "a", CPUMilli: 1000}) })
	_, err2 := do(s, func(x *Txn) (Answer, *model.Error) { return x.SubmitJob(spec, "ann") })
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return s
}

func TestAttemptsAreBounded(t *testing.T) {
	for _, tc := range []struct {
		name   string
		report Report
		want   int
	}{
		{"a failure uses up a retry", Report{State: model.AllocationFailed, Exit: model.Exit{Code: 1, Reason: model.ReasonExited}}, 3},
		{"so does being killed with code 75", Report{State: model.AllocationFailed, Exit: model.Exit{Code: model.ExitTempFail, Reason: model.ReasonOOM}}, 3},
		{"EX_TEMPFAIL does not, a thousand times", Report{State: model.AllocationFailed, Exit: model.Exit{Code: model.ExitTempFail, Reason: model.ReasonExited}}, MaxFreeAttempts + 2},
		{"nor does a stop that nobody asked for", Report{State: model.AllocationStopped}, MaxFreeAttempts + 2},
		{"nor does being lost", Report{State: model.AllocationLost}, MaxFreeAttempts + 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := oneTask(t, 2)
			if n := attempts(t, s, tc.report); n != tc.want {
				t.Errorf("the task was given up after %d attempts, want %d", n, tc.want)
			}
			if kept := s.Snapshot().AllocationCount(); kept != min(tc.want, MaxAttemptsKept) {
				t.Errorf("%d attempts are kept, want %d", kept, min(tc.want, MaxAttemptsKept))
			}
			if err := Check(s.Snapshot()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEventsAreBounded(t *testing.T) {
	s := oneTask(t, 0)
	const commits, each = 40, 1000
	drain := false
	for range commits {
		txn := s.Begin()
		for range each {
			txn.Enter(s.Snapshot().Index()+1, 0)
			drain = !drain
			if _, err := txn.DrainNode("a", drain); err != nil {
				t.Fatal(err)
			}
		}
		txn.Commit()
	}
	snap := s.Snapshot()
	events := slices.Collect(snap.Events(0))
	if len(events) > MaxEvents || len(events) < MaxEvents-each {
		t.Errorf("%d events are kept, the bound is %d", len(events), MaxEvents)
	}
	last := events[len(events)-1]
	if last.Index != snap.Index() || snap.OldestEvent() != events[0].Index {
		t.Errorf("the newest event is of index %d of %d, the oldest of %d of %d", last.Index, snap.Index(), snap.OldestEvent(), events[0].Index)
	}
	if n := len(slices.Collect(snap.Events(snap.Index()))); n != each {
		t.Errorf("%d events are of the last index, want %d", n, each)
	}
}

func TestOldestRequestIsForgottenFirst(t *testing.T) {
	table := newRequestTable()
	for i, id := range []string{"c", "a", "b"} {
		table.add(&Request{ID: id, Time: model.Time(i)})
	}
	if n := table.dropOldest(2, 1); n != 1 || table.byID.has("c") || !table.byID.has("a") {
		t.Errorf("dropped %d, and not the oldest", n)
	}
	if n := table.dropOldest(2, 10); n != 1 || !table.byID.has("b") {
		t.Errorf("dropped %d made before the limit, want 1", n)
	}
}

func TestRequestIDIsBounded(t *testing.T) {
	s := NewStore()
	long := string(make([]byte, MaxRequestID+1))
	_, err := do(s, func(x *Txn) (Answer, *model.Error) {
		return x.Once(long, func() (Answer, *model.Error) { return x.SubmitJob(simple(1), "ann") })
	})
	if err == nil || err.Kind != model.KindInvalid || s.Snapshot().JobCount() != 0 || s.Snapshot().RequestCount() != 0 {
		t.Errorf("the answer is %v", err)
	}
}
