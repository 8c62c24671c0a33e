package model

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// blockedByHand answers the question the plain way: a waiting task is blocked
// when it or a waiting task of its chunk needs something upstream that has not
// become what it needs.
func blockedByHand(spec *JobSpec, status []GroupStatus, g int) []int64 {
	blocked := []int64{}
	group, waiting := &spec.Groups[g], status[g].Waiting
	chunk := max(1, group.Indices.Chunk)
	for o := range waiting.All() {
		for mate := o / chunk * chunk; mate < (o/chunk+1)*chunk; mate++ {
			if waiting.Contains(mate) && lacks(spec, status, g, mate) {
				blocked = append(blocked, o)
				break
			}
		}
	}
	return blocked
}

// lacks reports whether a task needs something that is not as it needs it.
func lacks(spec *JobSpec, status []GroupStatus, g int, o int64) bool {
	group := &spec.Groups[g]
	for _, d := range group.DependsOn {
		up, s := &spec.Groups[d.Group], &status[d.Group]
		met := func(task int64) bool {
			switch d.Condition {
			case OnEnded:
				return !s.Waiting.Contains(task) && !s.Active.Contains(task)
			case OnFailed:
				return s.Failed.Contains(task)
			}
			return s.Succeeded.Contains(task)
		}
		if d.Each {
			index, _ := group.Indices.At(o)
			if task, ok := up.Indices.Ordinal(index); ok && !met(task) {
				return true
			}
			continue
		}
		all, any := true, false
		for task := range up.Indices.Tasks() {
			all, any = all && met(task), any || met(task)
		}
		if d.Condition == OnFailed && !(any && s.Waiting.Empty() && s.Active.Empty()) || d.Condition != OnFailed && !all {
			return true
		}
	}
	return false
}

// drawJob draws a job of up to four groups with any dependencies on earlier
// groups, and any progress: every task in one of the sets.
func drawJob(t *rapid.T) *Job {
	j := &Job{Spec: &JobSpec{}, State: JobRunning}
	for g := range rapid.IntRange(1, 4).Draw(t, "groups") {
		group := TaskGroup{Indices: drawIndices(t, "array")}
		for up := range g {
			if rapid.Bool().Draw(t, "depends") {
				condition := rapid.SampledFrom([]Condition{0, OnSucceeded, OnSucceeded, OnEnded, OnFailed}).Draw(t, "condition")
				group.DependsOn = append(group.DependsOn, Dependency{Group: up, Each: rapid.Bool().Draw(t, "each"), Condition: condition})
			}
		}
		var status GroupStatus
		sets := []*Set{&status.Waiting, &status.Active, &status.Succeeded, &status.Failed, &status.Stopped}
		// Mostly succeeded and waiting, or hardly anything would ever be ready.
		kinds := rapid.SampledFrom([][]int{{2}, {2, 2, 2, 0}, {0}, {2, 0, 1}, {2, 2, 0, 3}, {0, 1, 2, 3, 4}}).Draw(t, "mix")
		for o := range group.Indices.Tasks() {
			sets[rapid.SampledFrom(kinds).Draw(t, "state")].Add(o)
		}
		j.Spec.Groups = append(j.Spec.Groups, group)
		j.Groups = append(j.Groups, status)
	}
	return j
}

func TestBlockedTasksAreThoseWithAnUnfinishedInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t)
		for g := range j.Groups {
			got, want := members(DependencyBlocked(j.Spec, j.Groups, g)), blockedByHand(j.Spec, j.Groups, g)
			if !slices.Equal(got, want) {
				t.Fatalf("group %d: blocked %v, want %v; %s on %v", g, got, want, j.Spec.Groups[g].Indices, j.Spec.Groups[g].DependsOn)
			}
		}
	})
}

func TestReadyTasksAreWaitingAndNotBlocked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t)
		for g := range j.Groups {
			blocked := blockedByHand(j.Spec, j.Groups, g)
			want := []int64{}
			for o := range j.Groups[g].Waiting.All() {
				if !slices.Contains(blocked, o) {
					want = append(want, o)
				}
			}
			if got := members(j.Ready(g, 0)); !slices.Equal(got, want) {
				t.Fatalf("group %d: ready %v, want %v", g, got, want)
			}
		}
		j.StopRequested = true
		for g := range j.Groups {
			if !j.Ready(g, 0).Empty() {
				t.Fatal("a job that is to stop has ready tasks")
			}
		}
	})
}

// TestSettledMeansThatNothingCanEverStart plays the job to its end: while
// anything runs or is ready, all of it succeeds. A job is settled when that
// game is over before it begins.
func TestSettledMeansThatNothingCanEverStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t)
		starts := false
		for g := range j.Groups {
			starts = starts || !j.Groups[g].Active.Empty()
			blocked := blockedByHand(j.Spec, j.Groups, g)
			for o := range j.Groups[g].Waiting.All() {
				starts = starts || !slices.Contains(blocked, o)
			}
		}
		if j.Settled() == starts {
			t.Fatalf("Settled is %v, but something runs or can start: %v", j.Settled(), starts)
		}
	})
}

// TestEveryJobSettlesWhenItsTasksEnd: whatever is ready succeeds or fails,
// until nothing is; then the job is settled, and it has succeeded exactly when
// nothing failed or was stopped.
func TestEveryJobSettlesWhenItsTasksEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t)
		for moved := true; moved; {
			moved = false
			for g := range j.Groups {
				s := &j.Groups[g]
				s.Succeeded = s.Succeeded.Union(s.Active)
				s.Active = Set{}
				for o := range j.Ready(g, 0).All() {
					moved = true
					s.Waiting.Remove(o)
					if rapid.IntRange(0, 9).Draw(t, "fails") == 0 {
						s.Failed.Add(o)
					} else {
						s.Succeeded.Add(o)
					}
				}
			}
		}
		if !j.Settled() {
			t.Fatal("nothing is left to start, yet the job is not settled")
		}
		whole := true
		for g := range j.Groups {
			whole = whole && j.Groups[g].Succeeded.Len() == j.Spec.Groups[g].Indices.Tasks()
		}
		failed := slices.ContainsFunc(j.Groups, func(s GroupStatus) bool { return !s.Failed.Empty() })
		stopped := slices.ContainsFunc(j.Groups, func(s GroupStatus) bool { return !s.Stopped.Empty() })
		if whole && j.Outcome() != JobSucceeded || failed && j.Outcome() != JobFailed || j.Outcome() == JobSucceeded && failed {
			t.Fatalf("outcome %s, all succeeded: %v, any failed: %v, any stopped: %v", j.Outcome(), whole, failed, stopped)
		}
		if slices.ContainsFunc(j.Spec.Groups, func(g TaskGroup) bool {
			return slices.ContainsFunc(g.DependsOn, func(d Dependency) bool { return d.Condition == OnFailed })
		}) {
			return // what was to run only after a failure need not have run
		}
		if (j.Outcome() == JobSucceeded) != whole {
			t.Fatalf("outcome %s, all succeeded: %v", j.Outcome(), whole)
		}
	})
}

func TestTaskStateFollowsTheSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t)
		for g := range j.Groups {
			s, blocked := &j.Groups[g], blockedByHand(j.Spec, j.Groups, g)
			for o := range j.Spec.Groups[g].Indices.Tasks() {
				want := TaskPending
				switch {
				case s.Active.Contains(o):
					want = TaskRunning
				case s.Succeeded.Contains(o):
					want = TaskSucceeded
				case s.Failed.Contains(o):
					want = TaskFailed
				case s.Stopped.Contains(o):
					want = TaskStopped
				case slices.Contains(blocked, o):
					want = TaskBlocked
				}
				if got := j.TaskState(g, o); got != want {
					t.Fatalf("task %d of group %d is %s, want %s", o, g, got, want)
				}
			}
		}
	})
}

// A chunk must not run before every task that holds one of its indices: ranges
// with a stride, read in chunks on both sides, out of step with each other.
func TestChunksWaitForAllTheirInputs(t *testing.T) {
	spec := &JobSpec{Groups: []TaskGroup{
		{Indices: Indices{Ranges: []Range{{1001, 1191, 10}}, Chunk: 3}},
		{Indices: Indices{Ranges: []Range{{1001, 1191, 10}}, Chunk: 4}, DependsOn: []Dependency{{Group: 0, Each: true}}},
	}}
	for _, c := range []struct {
		done  []int64
		ready string
	}{
		{nil, ""},
		{[]int64{0}, ""},            // 1001,1011,1021 of 1001 ... 1031
		{[]int64{0, 1}, "0-3"},      // up to 1051: 1001-1031 is whole
		{[]int64{0, 1, 2}, "0-7"},   // up to 1081: 1041-1071 too
		{[]int64{1, 2}, "4-7"},      // 1031 ... 1081: the first lacks its start
		{[]int64{5, 6}, "16-19"},    // 1151 ... 1191
		{[]int64{3, 4, 5}, "12-15"}, // 1091 ... 1171: 1121-1151, not 1161-1191
		{[]int64{6, 5, 4, 3}, "12-19"},
	} {
		status := []GroupStatus{{}, {Waiting: NewSet(0, 20)}}
		for _, chunk := range c.done {
			status[0].Succeeded.AddRange(3*chunk, min(20, 3*chunk+3))
		}
		j := &Job{Spec: spec, Groups: status, State: JobRunning}
		if got := j.Ready(1, 0).String(); got != c.ready {
			t.Errorf("with %v done %q is ready, want %q", c.done, got, c.ready)
		}
	}
}

// A million tasks each waiting for its own index cost what their intervals
// cost: this benchmark does not grow with the size of the arrays.
func BenchmarkBlockedEachOfAMillion(b *testing.B) {
	spec := &JobSpec{Groups: []TaskGroup{
		{Indices: Count(MaxTasks)},
		{Indices: Count(MaxTasks), DependsOn: []Dependency{{Group: 0, Each: true}}},
	}}
	status := []GroupStatus{{Succeeded: NewSet(1000, 500_000)}, {Waiting: NewSet(0, MaxTasks)}}
	b.ReportAllocs()
	for b.Loop() {
		if DependencyBlocked(spec, status, 1).Len() != MaxTasks-499_000 {
			b.Fatal("wrong")
		}
	}
}

// Two progressions that share a value are found to meet at the least value
// that both hold, however large their strides.
func TestProgressionsMeetAtTheirLeastCommonValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := rapid.OneOf(rapid.Int64Range(1, 12), rapid.Int64Range(1, 1<<40))
		shared := rapid.Int64Range(0, 1<<40).Draw(t, "shared")
		draw := func(label string) run {
			s := step.Draw(t, label+" step")
			before := min(rapid.Int64Range(0, 1000).Draw(t, label+" before"), shared/s)
			return run{first: shared - before*s, last: shared + rapid.Int64Range(0, 1000).Draw(t, label+" after")*s, step: s}
		}
		a, b := draw("a"), draw("b")
		v, ok := common(a, b)
		switch {
		case !ok:
			t.Fatalf("%+v and %+v share %d, but are said never to meet", a, b, shared)
		case v > shared || v < a.first || v < b.first || (v-a.first)%a.step != 0 || (v-b.first)%b.step != 0:
			t.Fatalf("%+v and %+v do not both hold %d", a, b, v)
		}
		// The common value before v lies below the first of one of them.
		if apart := a.step / gcd(a.step, b.step); (v-max(a.first, b.first))/b.step >= apart {
			t.Fatalf("%+v and %+v meet before %d", a, b, v)
		}
	})
}

// The hard shape: three interleaved ranges upstream, every second task done,
// and downstream the same indices backwards.
func BenchmarkBlockedInterleavedBackwards(b *testing.B) {
	const n = 300_000
	spec := &JobSpec{Groups: []TaskGroup{
		{Indices: Indices{Ranges: []Range{{0, n - 3, 3}, {1, n - 2, 3}, {2, n - 1, 3}}, Chunk: 1}},
		{Indices: Indices{Ranges: []Range{{n - 1, 0, -1}}, Chunk: 1}, DependsOn: []Dependency{{Group: 0, Each: true}}},
	}}
	var done Set
	for o := int64(0); o < n; o += 2 {
		done.Add(o)
	}
	status := []GroupStatus{{Succeeded: done}, {Waiting: NewSet(0, n)}}
	b.ReportAllocs()
	for b.Loop() {
		if DependencyBlocked(spec, status, 1).Len() != n/2 {
			b.Fatal("wrong")
		}
	}
}
