package leader

import (
	"fmt"
	"testing"

	"caravan/scheduler/core"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// full returns a state of that many nodes, every core of which is taken, with
// jobs of different demands waiting.
func full(tb testing.TB, nodes, jobs int) *state.Snapshot {
	tb.Helper()
	s := state.NewStore()
	txn := s.Begin()
	txn.Enter(1, 1000)
	must := func(_ state.Answer, err *model.Error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	for i := range nodes {
		must(txn.RegisterNode(&model.Node{Name: fmt.Sprintf("n%05d", i), CPUMilli: 8000, MemoryMiB: 32 << 10, BootID: "b", Address: "x:1"}))
	}
	submit := func(name string, tasks, cpu int64) {
		must(txn.SubmitJob(&model.JobSpec{Name: name, Groups: []model.TaskGroup{{
			Name: "t", Indices: model.Count(tasks),
			Variants: []model.Variant{{Name: "cpu", Driver: model.DriverExec, Command: []string{"true"}, SpeedPermille: 1000, Resources: model.Resources{CPUMilli: cpu, MemoryMiB: 1024}}},
		}}}, "ann"))
	}
	submit("first", int64(nodes), 8000)
	plan := state.Plan{Sets: []state.PlacementSet{{Job: "first-1"}}}
	for i := range nodes {
		plan.Sets[0].Placements = append(plan.Sets[0].Placements, state.Placement{Ordinal: int64(i), Node: fmt.Sprintf("n%05d", i)})
	}
	a, err := txn.ApplyPlan(plan)
	if must(a, err); a.Count != int64(nodes) {
		tb.Fatalf("%d of %d placed: %v", a.Count, nodes, a.Dropped)
	}
	for i := range jobs {
		submit("later", 100, int64(1000+i))
	}
	return txn.Commit().Snapshot
}

func TestTheInputHoldsEveryNodeWithItsOwnBooks(t *testing.T) {
	snap := full(t, 50, 2)
	in := New(Config{}).input(snap)
	if len(in.Nodes) != 50 || len(in.Jobs) != 3 || len(in.Queues) != 1 {
		t.Fatalf("%d nodes, %d jobs, %d queues", len(in.Nodes), len(in.Jobs), len(in.Queues))
	}
	for i, v := range in.Nodes {
		n, _ := snap.Node(v.Node.Name)
		free, _ := snap.Free(v.Node.Name)
		if v.Node != n || v.Free != free || (i > 0 && in.Nodes[i-1].Node.Name >= n.Name) {
			t.Fatalf("node %d: %s has the books of another, or stands in the wrong place", i, n.Name)
		}
	}
}

func TestNothingIsDecidedWhileNothingWaits(t *testing.T) {
	if waits(full(t, 3, 0)) {
		t.Error("all tasks run, yet a cycle is due")
	}
	if !waits(full(t, 3, 1)) {
		t.Error("a job waits, and no cycle is due")
	}
}

// BenchmarkCycleOfAFullFleet is a cycle that finds no room, which a busy
// cluster goes through again and again: with explanations, as `why` asks for
// them, and without, as the leader does.
func BenchmarkCycleOfAFullFleet(b *testing.B) {
	snap := full(b, 5000, 20)
	l := New(Config{})
	for name, steps := range map[string]int64{"explained": 0, "bare": core.NoExplanations} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				in := l.input(snap)
				in.Limits.MaxExplainSteps = steps
				if plan, _ := core.Solve(in); plan.Placed() != 0 {
					b.Fatal("there was room")
				}
			}
		})
	}
	b.Run("input", func(b *testing.B) {
		for b.Loop() {
			l.input(snap)
		}
	})
}

// BenchmarkWarnings is what every submission waits for after it was committed:
// of a job that fits the first node, and of one that fits none.
func BenchmarkWarnings(b *testing.B) {
	snap := full(b, 5000, 0)
	l := New(Config{State: func() *state.Snapshot { return snap }})
	for name, cpu := range map[string]int64{"fits": 8000, "never": 9000} {
		spec := &model.JobSpec{Groups: []model.TaskGroup{{Name: "t", Indices: model.Count(1), Variants: []model.Variant{{Name: "cpu", Resources: model.Resources{CPUMilli: cpu}}}}}}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if warned := len(l.Warnings(spec)) > 0; warned != (name == "never") {
					b.Fatalf("warned: %v", warned)
				}
			}
		})
	}
}
