package state

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/model"
)

// TestRandomOperationsKeepEveryInvariant walks the state at random. After each
// step every invariant must hold, older snapshots must be as they were, an
// allocation must move as its state machine says and keep its identity, and a
// task that was done must stay done unless its gang or a retry took it back.
func TestRandomOperationsKeepEveryInvariant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &walk{store: NewStore(), seen: map[string]model.AllocationState{}}
		t.Repeat(map[string]func(*rapid.T){
			"submit":   w.submit,
			"place":    w.place,
			"plan":     w.plan,
			"report":   w.report,
			"finish":   w.finish,
			"register": w.register,
			"lose":     w.lose,
			"silence":  w.silence,
			"stop":     w.stop,
			"retry":    w.retry,
			"other":    w.other,
			"":         w.check,
		})
	})
}

type walk struct {
	store *Store
	index uint64
	now   model.Time
	past  history
	// seen holds the last known state of every allocation there ever was.
	seen map[string]model.AllocationState
	jobs int
}

func (w *walk) do(op func(*Txn) (Answer, *model.Error)) (Answer, *model.Error) {
	w.index++
	w.now += 1000
	txn := w.store.Begin()
	txn.Enter(w.index, w.now)
	a, err := op(txn)
	txn.Commit()
	return a, err
}

func (w *walk) check(t *rapid.T) {
	s := w.store.Snapshot()
	w.past.remember(t, s)
	for a := range s.Allocations() {
		old, known := w.seen[a.ID]
		if known && old != a.State && !old.CanBecome(a.State) {
			t.Fatalf("allocation %s went from %s to %s", a.ID, old, a.State)
		}
		w.seen[a.ID] = a.State
	}
}

var names = rapid.SampledFrom([]string{"a", "b", "c"})

func (w *walk) register(t *rapid.T) {
	n := &model.Node{
		Name: names.Draw(t, "node"), BootID: rapid.SampledFrom([]string{"1", "1", "1", "2"}).Draw(t, "boot"), Address: "x:1",
		CPUMilli: rapid.Int64Range(0, 6000).Draw(t, "cpu"), MemoryMiB: 8192, DiskMiB: 8192,
		Simulated: rapid.IntRange(0, 9).Draw(t, "simulated") == 0,
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "gpus") {
		n.Devices = append(n.Devices, model.Device{ID: fmt.Sprintf("gpu%d", i), Kind: model.KindGPU, Thousandths: 1000, MemoryMiB: 100, Healthy: true})
	}
	if _, err := w.do(func(x *Txn) (Answer, *model.Error) { return x.RegisterNode(n) }); err != nil {
		t.Fatalf("a valid node was refused: %v", err)
	}
}

func (w *walk) submit(t *rapid.T) {
	if w.jobs >= 6 {
		return
	}
	w.jobs++
	spec := &model.JobSpec{Name: "job"}
	for g := range rapid.IntRange(1, 3).Draw(t, "groups") {
		group := model.TaskGroup{
			Name:        fmt.Sprintf("g%d", g),
			Indices:     model.Count(rapid.Int64Range(1, 5).Draw(t, "count")),
			Gang:        rapid.Bool().Draw(t, "gang"),
			Retries:     rapid.Int32Range(0, 2).Draw(t, "retries"),
			SameVariant: rapid.Bool().Draw(t, "same"),
			AtMostOnce:  rapid.Bool().Draw(t, "at most"),
		}
		if !group.Gang {
			group.MaxRunning = rapid.Int32Range(0, 3).Draw(t, "max running")
		}
		if g > 0 && rapid.Bool().Draw(t, "depends") {
			group.DependsOn = []model.Dependency{{Group: rapid.IntRange(0, g-1).Draw(t, "on"), Each: rapid.Bool().Draw(t, "each")}}
		}
		v := model.Variant{Driver: rapid.SampledFrom([]string{model.DriverExec, model.DriverSim}).Draw(t, "driver")}
		v.Resources = model.Resources{CPUMilli: rapid.Int64Range(0, 2000).Draw(t, "cpu"), MemoryMiB: 512}
		group.Variants = []model.Variant{v, v}
		spec.Groups = append(spec.Groups, group)
	}
	if _, err := w.do(func(x *Txn) (Answer, *model.Error) { return x.SubmitJob(spec, "ann") }); err != nil {
		t.Fatalf("a valid job was refused: %v", err)
	}
}

// anyJob draws a job that there is, nil when there is none.
func (w *walk) anyJob(t *rapid.T) *model.Job {
	jobs := slices.Collect(w.store.Snapshot().Jobs())
	if len(jobs) == 0 {
		return nil
	}
	return rapid.SampledFrom(jobs).Draw(t, "job")
}

// place plans ready tasks as a scheduler would.
func (w *walk) place(t *rapid.T) {
	j := w.anyJob(t)
	if j == nil {
		return
	}
	g := rapid.IntRange(0, len(j.Groups)-1).Draw(t, "group")
	set := PlacementSet{Job: j.ID, Group: g, Gang: j.Spec.Groups[g].Gang}
	if c := j.Groups[g].VariantChosen; c != 0 {
		set.Variant = int(c) - 1
	}
	for ordinal := range j.Ready(g).All() {
		set.Placements = append(set.Placements, Placement{Ordinal: ordinal, Node: names.Draw(t, "node")})
	}
	w.apply(t, Plan{Sets: []PlacementSet{set}})
}

// plan plans anything, most of it stale.
func (w *walk) plan(t *rapid.T) {
	j := w.anyJob(t)
	if j == nil {
		return
	}
	set := PlacementSet{
		Job: j.ID, Group: rapid.IntRange(-1, 2).Draw(t, "group"), Variant: rapid.IntRange(-1, 2).Draw(t, "variant"),
		Gang: rapid.Bool().Draw(t, "gang"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "placements") {
		p := Placement{Ordinal: rapid.Int64Range(-1, 6).Draw(t, "ordinal"), Node: names.Draw(t, "node")}
		if rapid.Bool().Draw(t, "device") {
			p.Devices = []model.DeviceShare{{Device: "gpu0", Thousandths: rapid.Int32Range(-1, 1000).Draw(t, "share"), MemoryMiB: 10}}
		}
		set.Placements = append(set.Placements, p)
	}
	p := Plan{Sets: []PlacementSet{set}}
	if a := w.anyAllocation(t); a != nil {
		reason := rapid.SampledFrom([]string{"preempted", model.ReasonTimeLimit, ""}).Draw(t, "reason")
		p.Stops = []PlannedStop{{Allocation: a.ID, Reason: reason}}
	}
	w.apply(t, p)
}

func (w *walk) apply(t *rapid.T, p Plan) {
	before := w.store.Snapshot().Overcommitted()
	var c Commit
	w.index++
	w.now += 1000
	txn := w.store.Begin()
	txn.Enter(w.index, w.now)
	if _, err := txn.ApplyPlan(p); err != nil {
		t.Fatalf("a plan was refused: %v", err)
	}
	c = txn.Commit()
	if after := c.Snapshot.Overcommitted(); !slices.Equal(before, after) {
		t.Fatalf("a plan over-committed %v, it was %v", after, before)
	}
	for _, k := range c.Allocations {
		if a, ok := c.Snapshot.Allocation(k.ID); ok && a.PlacedAt == w.now {
			if _, known := w.seen[k.ID]; known {
				t.Fatalf("allocation id %s is used twice", k.ID)
			}
		}
	}
}

func (w *walk) anyAllocation(t *rapid.T) *model.Allocation {
	all := slices.Collect(w.store.Snapshot().Allocations())
	if len(all) == 0 {
		return nil
	}
	return rapid.SampledFrom(all).Draw(t, "allocation")
}

var anyState = rapid.Custom(func(t *rapid.T) model.AllocationState {
	return model.AllocationState(rapid.IntRange(0, int(model.AllocationLost)).Draw(t, "state"))
})

// report says anything of anything.
func (w *walk) report(t *rapid.T) {
	a := w.anyAllocation(t)
	if a == nil {
		return
	}
	w.send(t, names.Draw(t, "node"), a, anyState.Draw(t, "state"))
}

// finish ends something that runs.
func (w *walk) finish(t *rapid.T) {
	live := slices.Collect(w.store.Snapshot().LiveOn(names.Draw(t, "node")))
	if len(live) == 0 {
		return
	}
	a := rapid.SampledFrom(live).Draw(t, "allocation")
	states := []model.AllocationState{model.AllocationRunning, model.AllocationSucceeded, model.AllocationSucceeded, model.AllocationFailed, model.AllocationStopped}
	w.send(t, a.Node, a, rapid.SampledFrom(states).Draw(t, "state"))
}

func (w *walk) send(t *rapid.T, node string, a *model.Allocation, s model.AllocationState) {
	r := Report{Allocation: a.ID, State: s, StartedAt: model.Time(rapid.Int64Range(-1, 1<<40).Draw(t, "started"))}
	if s.Ended() {
		r.EndedAt = w.now
		r.Exit = model.Exit{Code: rapid.SampledFrom([]int32{0, 1, ExitTempFail}).Draw(t, "code"), Reason: model.ReasonExited}
	}
	_, _ = w.do(func(x *Txn) (Answer, *model.Error) { return x.ReportAllocations(node, []Report{r, r}) })
}

func (w *walk) lose(t *rapid.T) {
	name := names.Draw(t, "node")
	_, _ = w.do(func(x *Txn) (Answer, *model.Error) { return x.LoseNode(name, "test") })
	if n := w.store.Snapshot().LiveCount(name); n != 0 {
		t.Fatalf("%d allocations live on lost node %s", n, name)
	}
}

func (w *walk) silence(t *rapid.T) {
	name := names.Draw(t, "node")
	_, _ = w.do(func(x *Txn) (Answer, *model.Error) { return x.SilenceNode(name, "test") })
}

func (w *walk) stop(t *rapid.T) {
	j := w.anyJob(t)
	if j == nil {
		return
	}
	if _, err := w.do(func(x *Txn) (Answer, *model.Error) { return x.StopJob(j.ID) }); err != nil {
		t.Fatalf("a stop was refused: %v", err)
	}
}

func (w *walk) retry(t *rapid.T) {
	j := w.anyJob(t)
	if j == nil {
		return
	}
	group := rapid.SampledFrom([]string{"", "", "g0", "g1"}).Draw(t, "group")
	a, err := w.do(func(x *Txn) (Answer, *model.Error) { return x.RetryJob(j.ID, group) })
	if now, _ := w.store.Snapshot().Job(j.ID); err == nil && a.Count > 0 && now.State.Ended() {
		t.Fatalf("job %s was retried and has ended", j.ID)
	}
}

// other drains, changes queues, sweeps, and repeats requests.
func (w *walk) other(t *rapid.T) {
	name := names.Draw(t, "name")
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		_, _ = w.do(func(x *Txn) (Answer, *model.Error) { return x.DrainNode(name, rapid.Bool().Draw(t, "drain")) })
	case 1:
		q := model.Queue{Name: name, Weight: 1, Parent: rapid.SampledFrom([]string{"", "a", "b", "default"}).Draw(t, "parent"), MaxCPUMilli: 4000}
		_, _ = w.do(func(x *Txn) (Answer, *model.Error) { return x.PutQueue(q) })
	case 2:
		q := model.Queue{Name: model.DefaultQueue, Weight: 1, Parent: rapid.SampledFrom([]string{"", "a"}).Draw(t, "parent")}
		_, _ = w.do(func(x *Txn) (Answer, *model.Error) { return x.PutQueue(q) })
	case 3:
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		a, _ := w.do(func(x *Txn) (Answer, *model.Error) { return x.Sweep(w.now, w.now, w.now, limit) })
		if a.Count > int64(limit) {
			t.Fatalf("a sweep dropped %d records of at most %d", a.Count, limit)
		}
		w.jobs = w.store.Snapshot().JobCount()
	case 4:
		request := func() (Answer, *model.Error) {
			return w.do(func(x *Txn) (Answer, *model.Error) {
				return x.Once(name, func() (Answer, *model.Error) { return x.StopJob("job-1") })
			})
		}
		request()
		digest := Digest(w.store.Snapshot())
		w.index-- // the same moment again: any difference is the request's
		w.now -= 1000
		request()
		if Digest(w.store.Snapshot()) != digest {
			t.Fatalf("a repeated request changed the state")
		}
	}
}
