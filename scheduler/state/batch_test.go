package state

import (
	"testing"

	"caravan/scheduler/model"
)

// script is a job of one batch script for each of n tasks, or of a gang of n nodes.
func script(n int64, gang bool) *model.JobSpec {
	s := simple(n)
	g := &s.Groups[0]
	g.Gang, g.PerNode, g.AtMostOnce = gang, gang, gang
	g.Batch = &model.Batch{Script: "#!/bin/sh\n"}
	return s
}

func submitted(t *testing.T, s *Store, spec *model.JobSpec) *model.Job {
	t.Helper()
	a, err := do(s, func(x *Txn) (Answer, *model.Error) { return x.SubmitJob(spec, "ann") })
	if err != nil {
		t.Fatal(err)
	}
	j, _ := s.Snapshot().Job(a.JobID)
	return j
}

func TestAnArrayOfScriptsHasANumberForEachTask(t *testing.T) {
	s := NewStore()
	first, array, gang, last := submitted(t, s, simple(5)), submitted(t, s, script(5, false)), submitted(t, s, script(3, true)), submitted(t, s, simple(1))
	if first.Number != 1 || array.Number != 2 || gang.Number != 7 || last.Number != 8 {
		t.Fatalf("the numbers are %d %d %d %d", first.Number, array.Number, gang.Number, last.Number)
	}
	for number, want := range map[uint64]string{1: "job-1", 2: "job-2", 6: "job-2", 7: "job-7", 8: "job-8", 9: "", 0: ""} {
		j, ok := s.Snapshot().JobByNumber(number)
		if ok != (want != "") || ok && j.ID != want {
			t.Errorf("number %d is of %v, %t", number, j, ok)
		}
	}
}

// place puts a gang on as many nodes and lets it run.
func place(t *testing.T, s *Store, j *model.Job) {
	t.Helper()
	set := PlacementSet{Job: j.ID, Gang: true}
	for i := range j.Spec.Tasks() {
		node := model.Node{Name: string(rune('a' + i)), CPUMilli: 4000, MemoryMiB: 4096}
		if _, err := do(s, func(x *Txn) (Answer, *model.Error) { return x.RegisterNode(&node) }); err != nil {
			t.Fatal(err)
		}
		set.Placements = append(set.Placements, Placement{Ordinal: i, Node: node.Name})
	}
	if a, err := do(s, func(x *Txn) (Answer, *model.Error) { return x.ApplyPlan(Plan{Sets: []PlacementSet{set}}) }); err != nil || len(a.Dropped) > 0 {
		t.Fatal(a, err)
	}
}

func ends(t *testing.T, s *Store, node, allocation string, state model.AllocationState) {
	t.Helper()
	_, err := do(s, func(x *Txn) (Answer, *model.Error) {
		return x.ReportAllocations(node, []Report{{Allocation: allocation, State: state}})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAGangOfAScriptSucceedsWithItsFirstMember(t *testing.T) {
	s := NewStore()
	j := submitted(t, s, script(3, true))
	place(t, s, j)
	ends(t, s, "a", j.ID+".part.0.1", model.AllocationSucceeded)
	for _, id := range []string{".part.1.1", ".part.2.1"} {
		if a, _ := s.Snapshot().Allocation(j.ID + id); !a.StopRequested {
			t.Errorf("%s is not asked to stop", a.ID)
		}
	}
	ends(t, s, "b", j.ID+".part.1.1", model.AllocationStopped)
	ends(t, s, "c", j.ID+".part.2.1", model.AllocationLost)
	if j, _ := s.Snapshot().Job(j.ID); j.State != model.JobSucceeded {
		t.Errorf("the job is %s", j.State)
	}
	if err := Check(s.Snapshot()); err != nil {
		t.Error(err)
	}
}

func TestAGangOfAScriptFailsWithItsFirstMember(t *testing.T) {
	s := NewStore()
	j := submitted(t, s, script(2, true))
	place(t, s, j)
	ends(t, s, "a", j.ID+".part.0.1", model.AllocationFailed)
	ends(t, s, "b", j.ID+".part.1.1", model.AllocationStopped)
	if j, _ := s.Snapshot().Job(j.ID); j.State != model.JobFailed {
		t.Errorf("the job is %s", j.State)
	}
}

func TestNothingStartsBeforeTheJobIsToBegin(t *testing.T) {
	s := NewStore()
	spec := simple(2)
	spec.Begin = 10_000
	j := submitted(t, s, spec)
	if early, late := j.Ready(0, 9_999), j.Ready(0, 10_000); !early.Empty() || late.Len() != 2 {
		t.Errorf("ready early: %s, at the time: %s", early, late)
	}
}

func TestAHeldJobDoesNotStart(t *testing.T) {
	spec := simple(2)
	spec.Held = true
	s := NewStore()
	if j := submitted(t, s, spec); !j.Ready(0, 1<<40).Empty() {
		t.Error("it could start")
	}
	if _, err := do(s, func(x *Txn) (Answer, *model.Error) { return x.Act(Action{Kind: ActResume, Job: "job-1"}) }); err != nil {
		t.Fatal(err)
	}
	if j, _ := s.Snapshot().Job("job-1"); j.Ready(0, 1<<40).Len() != 2 {
		t.Error("released, it does not start")
	}
}

func TestAJobMayWaitForAnotherToStart(t *testing.T) {
	s := NewStore()
	up := submitted(t, s, script(2, true))
	waiting := simple(1)
	waiting.After = []model.JobDependency{{Job: "1", Condition: model.OnStarted}}
	w := submitted(t, s, waiting)
	if !w.Ready(0, 1<<40).Empty() {
		t.Fatal("it does not wait")
	}
	place(t, s, up)
	ends(t, s, "a", up.ID+".part.0.1", model.AllocationRunning)
	if w, _ = s.Snapshot().Job(w.ID); len(w.Waits) > 0 || w.Ready(0, 1<<40).Empty() {
		t.Errorf("it still waits for %v", w.Waits)
	}
	again := simple(1)
	again.After = waiting.After
	if j := submitted(t, s, again); len(j.Waits) > 0 {
		t.Errorf("it waits for a job that has started: %v", j.Waits)
	}
	if err := Check(s.Snapshot()); err != nil {
		t.Error(err)
	}
}
