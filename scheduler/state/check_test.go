package state

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"caravan/scheduler/model"
)

// busy is a state with a job that runs on one node.
func busy(t *testing.T) *Store {
	t.Helper()
	s := oneTask(t, 0)
	set := PlacementSet{Job: "job-1", Placements: []Placement{{Node: "a"}}}
	if a, _ := do(s, func(x *Txn) (Answer, *model.Error) { return x.ApplyPlan(Plan{Sets: []PlacementSet{set}}) }); a.Count != 1 {
		t.Fatalf("%+v", a.Dropped)
	}
	if err := Check(s.Snapshot()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Each way of breaking an invariant is seen.
func TestCheckSeesWhatIsBroken(t *testing.T) {
	const id = "job-1.part.0.1"
	editJob := func(change func(*model.Job)) func(*tables) {
		return func(t *tables) {
			j, _ := t.jobs.byNumber.get(1)
			c := j.Clone()
			change(c)
			t.jobs.byNumber.put(1, c)
		}
	}
	for _, tc := range []struct {
		name  string
		spoil func(*tables)
		says  string
	}{
		{"a task in two sets", editJob(func(j *model.Job) { j.Groups[0].Waiting.Add(0) }), "sets of 2 tasks cover 0 of 1"},
		{"a task in no set", editJob(func(j *model.Job) { j.Groups[0].Active = model.Set{} }), "sets of 0 tasks"},
		{"an end without reason", editJob(func(j *model.Job) { j.State = model.JobFailed }), "settled is false"},
		{"a change from the future", editJob(func(j *model.Job) { j.Revision = 99 }), "beyond 3"},
		{"a job without an index", func(t *tables) { t.jobs.active.remove(1) }, "hold 0 jobs of 1"},
		{"a job number given out again", func(t *tables) { t.meta.nextJob = 1 }, "is not above job 1"},
		{"a task without a record", func(t *tables) { t.tasks.remove(newTaskKey(1, 0, 0)) }, "is active without a record"},
		{"an allocation that is gone", func(t *tables) { t.allocations.byID.remove(id) }, "its allocation job-1.part.0.1 is not"},
		{"an allocation without an index", func(t *tables) { t.allocations.byNode.remove(nodeAllocation{"a", false, id}) }, "is not in the index of nodes"},
		{"an allocation on a lost node", func(t *tables) {
			n, _ := t.nodes.byName.get("a")
			c := n.Clone()
			c.State = model.NodeLost
			t.nodes.byName.put("a", c)
		}, "lives on node a, which is lost"},
		{"a wrong book", func(t *tables) {
			b, _ := t.nodes.books.get("a")
			c := b.clone()
			c.free.CPUMilli++
			t.nodes.books.put("a", c)
		}, "the book says"},
		{"wrong usage of a queue", func(t *tables) { t.queues.charge("default", QueueUsage{TasksRunning: 1}, 1) }, "queue default: usage is"},
		{"no default queue", func(t *tables) { t.queues.byName.remove("default") }, "no default queue"},
		{"a request without an index", func(t *tables) { t.requests.byID.put("r", &Request{ID: "r"}) }, "index of times holds 0 requests of 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := busy(t)
			before := Digest(s.Snapshot())
			tc.spoil(s.tables)
			err := Check(&Snapshot{t: s.tables})
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("the check says %v, want %q", err, tc.says)
			}
			if Check(s.Snapshot()) != nil || Digest(s.Snapshot()) != before {
				t.Error("the snapshot taken before was changed too")
			}
		})
	}
}

// A changed field anywhere in a record changes the digest.
func TestDigestSeesEveryField(t *testing.T) {
	spec := simple(2)
	spec.Labels = map[string]string{"k": "v"}
	g := &spec.Groups[0]
	g.DependsOn, g.Env, g.Outputs, g.Verify = []model.Dependency{{}}, map[string]string{"k": "v"}, []model.Output{{}}, []string{""}
	g.Constraints = []model.Constraint{{Values: []model.Attribute{{}}}}
	g.Batch = &model.Batch{Arguments: []string{""}}
	spec.Workspace, g.Matrix = &model.Workspace{}, model.Matrix{{Values: []string{""}}}
	v := &g.Variants[0]
	v.Command, v.Env, v.Resources.Devices = []string{""}, map[string]string{"k": "v"}, []model.DeviceRequest{{}}
	v.Container = &model.Container{Entrypoint: []string{""}, Mounts: []model.ContainerMount{{}}}
	for _, record := range []any{
		&model.Job{Spec: spec, Groups: make([]model.GroupStatus, 1)},
		&model.Task{},
		&model.Allocation{Devices: make([]model.DeviceShare, 1)},
		&model.Node{Attributes: map[string]model.Attribute{"k": {}}, Devices: []model.Device{{Attributes: map[string]model.Attribute{"k": {}}}}},
		&model.Queue{}, &model.Server{}, &Request{}, &SweptJob{},
	} {
		digest := func() string {
			var d digester
			d.add(record)
			return string(d.buf)
		}
		was := digest()
		fields := 0
		perturb(reflect.ValueOf(record), func(path string) {
			fields++
			if digest() == was {
				t.Errorf("the digest of %T does not see %s", record, path)
			}
		}, reflect.TypeOf(record).Elem().Name())
		if digest() != was || fields == 0 {
			t.Errorf("%d fields of %T were tried", fields, record)
		}
	}
}

// perturb changes each settable scalar below v in turn, and puts it back.
func perturb(v reflect.Value, changed func(path string), path string) {
	try := func(set, reset func()) {
		set()
		changed(path)
		reset()
	}
	switch v.Kind() {
	case reflect.Pointer:
		perturb(v.Elem(), changed, path)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				perturb(v.Field(i), changed, path+"."+v.Type().Field(i).Name)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			perturb(v.Index(i), changed, path+"[]")
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			old := v.MapIndex(k)
			try(func() { v.SetMapIndex(k, reflect.Value{}) }, func() { v.SetMapIndex(k, old) })
		}
	case reflect.String:
		old := v.String()
		try(func() { v.SetString(old + "x") }, func() { v.SetString(old) })
	case reflect.Bool:
		old := v.Bool()
		try(func() { v.SetBool(!old) }, func() { v.SetBool(old) })
	case reflect.Uint8, reflect.Uint64:
		old := v.Uint()
		try(func() { v.SetUint(old + 1) }, func() { v.SetUint(old) })
	default:
		old := v.Int()
		try(func() { v.SetInt(old + 1) }, func() { v.SetInt(old) })
	}
}

// Readers go on while the writer commits; the race detector watches.
func TestSnapshotsAreReadWhileTheWriterGoesOn(t *testing.T) {
	s := busy(t)
	snapshots := make(chan *Snapshot, 1)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for snap := range snapshots {
				digest := Digest(snap)
				if err := Check(snap); err != nil {
					t.Error(err)
				}
				if n := len(slices.Collect(snap.ActiveJobs())); n != snap.ActiveJobCount() {
					t.Errorf("%d jobs are active, the count says %d", n, snap.ActiveJobCount())
				}
				if Digest(snap) != digest {
					t.Error("a snapshot changed while it was read")
				}
			}
		})
	}
	for i := range 300 {
		_, _ = do(s, func(x *Txn) (Answer, *model.Error) { return x.SubmitJob(simple(5), "ann") })
		_, _ = do(s, func(x *Txn) (Answer, *model.Error) { return x.StopJob(jobID("job", uint64(i+1))) })
		snapshots <- s.Snapshot()
	}
	close(snapshots)
	readers.Wait()
}

// Taking a snapshot costs the same whatever the size of the state.
func TestSnapshotCostsTheSameForAnySize(t *testing.T) {
	cost := func(jobs int) float64 {
		s := NewStore()
		txn := s.Begin()
		for range jobs {
			if _, err := txn.SubmitJob(simple(1000), "ann"); err != nil {
				t.Fatal(err)
			}
		}
		txn.Commit()
		return testing.AllocsPerRun(20, func() { s.Begin().Commit() })
	}
	if small, large := cost(1), cost(20_000); large > small+1 {
		t.Errorf("an empty commit makes %.0f allocations with 1 job and %.0f with 20,000", small, large)
	}
}

func TestReadsByNumberAndOrder(t *testing.T) {
	s := busy(t)
	for range 3 {
		_, _ = do(s, func(x *Txn) (Answer, *model.Error) { return x.SubmitJob(simple(1), "ann") })
	}
	_, _ = do(s, func(x *Txn) (Answer, *model.Error) { return x.StopJob("job-3") })
	snap := s.Snapshot()
	ids := func(jobs []*model.Job) string {
		var out []string
		for _, j := range jobs {
			out = append(out, j.ID)
		}
		return strings.Join(out, " ")
	}
	for _, tc := range []struct{ name, got, want string }{
		{"all", ids(slices.Collect(snap.Jobs())), "job-1 job-2 job-3 job-4"},
		{"newest first", ids(slices.Collect(snap.JobsBelow(0))), "job-4 job-3 job-2 job-1"},
		{"below 3", ids(slices.Collect(snap.JobsBelow(3))), "job-2 job-1"},
		{"below 1", ids(slices.Collect(snap.JobsBelow(1))), ""},
		{"active", ids(slices.Collect(snap.ActiveJobs())), "job-1 job-2 job-4"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, tc.got, tc.want)
		}
	}
	for _, id := range []string{"job-01", "other-1", "1", "", "job-", "job-9", "job--1"} {
		if _, ok := snap.Job(id); ok {
			t.Errorf("there is a job %q", id)
		}
	}
	if j, ok := snap.JobByNumber(2); !ok || j.ID != "job-2" {
		t.Error("job 2 is not found by its number")
	}
	if _, ok := snap.Task("job-1", 0, -1); ok {
		t.Error("there is a task -1")
	}
	if len(slices.Collect(snap.TasksOf("job-1"))) != 1 || len(slices.Collect(snap.TasksOf("job-2"))) != 0 ||
		len(slices.Collect(snap.AllocationsOf("job-1"))) != 1 || len(slices.Collect(snap.AllocationsOn("a"))) != 1 {
		t.Error("the task or the allocation of job-1 is not found, or is another's too")
	}
}
