package state

import (
	"strings"
	"testing"

	"caravan/scheduler/model"
)

// do runs one operation at the next index.
func do(s *Store, op func(*Txn) (Answer, *model.Error)) (Answer, *model.Error) {
	txn := s.Begin()
	txn.Enter(s.Snapshot().Index()+1, s.Snapshot().Time()+1000)
	a, err := op(txn)
	txn.Commit()
	return a, err
}

// simple is a job of one group of n tasks.
func simple(n int64) *model.JobSpec {
	return &model.JobSpec{Name: "job", Groups: []model.TaskGroup{{
		Name: "part", Indices: model.Count(n),
		Variants: []model.Variant{{Name: "cpu", Driver: model.DriverExec, Resources: model.Resources{CPUMilli: 1000}}},
	}}}
}

func TestSpecThatTheTablesCannotHoldIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*model.JobSpec)
		path  string
	}{
		{"no name", func(s *model.JobSpec) { s.Name = "" }, "name"},
		{"a dot in the name", func(s *model.JobSpec) { s.Name = "a.b" }, "name"},
		{"a name of 49 letters", func(s *model.JobSpec) { s.Name = strings.Repeat("a", 49) }, "name"},
		{"no group", func(s *model.JobSpec) { s.Groups = nil }, "groups"},
		{"65 groups", func(s *model.JobSpec) { s.Groups = make([]model.TaskGroup, 65) }, "groups"},
		{"two groups of one name", func(s *model.JobSpec) { s.Groups = append(s.Groups, s.Groups[0]) }, "groups[1].name"},
		{"a million and one tasks", func(s *model.JobSpec) { s.Groups[0].Indices = model.Count(1_000_001) }, "groups"},
		{"no index", func(s *model.JobSpec) { s.Groups[0].Indices = model.Indices{} }, "groups[0].indices"},
		{"a range without a step", func(s *model.JobSpec) { s.Groups[0].Indices.Ranges[0].Step = 0 }, "groups[0].indices"},
		{"a range that runs away", func(s *model.JobSpec) { s.Groups[0].Indices.Ranges[0].Step = -1 }, "groups[0].indices"},
		{"a range that misses its end", func(s *model.JobSpec) { s.Groups[0].Indices.Ranges[0] = model.Range{First: 0, Last: 5, Step: 2} }, "groups[0].indices"},
		{"an index beyond arithmetic", func(s *model.JobSpec) {
			s.Groups[0].Indices.Ranges[0] = model.Range{First: -1 << 63, Last: 1<<63 - 1, Step: 1<<63 - 1}
		}, "groups[0].indices"},
		{"a negative chunk", func(s *model.JobSpec) { s.Groups[0].Indices.Chunk = -1 }, "groups[0].indices"},
		{"no variant", func(s *model.JobSpec) { s.Groups[0].Variants = nil }, "groups[0].variants"},
		{"a negative amount", func(s *model.JobSpec) { s.Groups[0].Variants[0].Resources.CPUMilli = -1 }, "groups[0].variants[0].resources"},
		{"too many retries", func(s *model.JobSpec) { s.Groups[0].Retries = model.MaxRetries + 1 }, "groups[0].retries"},
		{"a gang that may not run", func(s *model.JobSpec) { s.Groups[0].Gang, s.Groups[0].MaxRunning = true, 1 }, "groups[0].max_running"},
		{"a group that waits for itself", func(s *model.JobSpec) { s.Groups[0].DependsOn = []model.Dependency{{Group: 0}} }, "groups[0].depends_on"},
		{"a circle", func(s *model.JobSpec) {
			g := s.Groups[0]
			g.Name, g.DependsOn = "other", []model.Dependency{{Group: 0}}
			s.Groups[0].DependsOn = []model.Dependency{{Group: 1}}
			s.Groups = append(s.Groups, g)
		}, "groups"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := simple(3)
			tc.spoil(spec)
			s := NewStore()
			_, err := do(s, func(x *Txn) (Answer, *model.Error) { return x.SubmitJob(spec, "ann") })
			if err == nil || err.Kind != model.KindInvalid || err.Hint == "" {
				t.Fatalf("the answer is %v", err)
			}
			found := false
			for _, f := range err.Fields {
				found = found || f.Path == tc.path
			}
			if !found {
				t.Errorf("the faults are %v, want one at %s", err.Fields, tc.path)
			}
			if n := s.Snapshot().JobCount(); n != 0 || s.Snapshot().NextJobNumber() != 1 {
				t.Errorf("a refused job left %d jobs behind", n)
			}
		})
	}
}

func TestNodeThatTheBooksCannotHoldIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		node model.Node
	}{
		{"no name", model.Node{}},
		{"an upper-case name", model.Node{Name: "Node"}},
		{"negative cores", model.Node{Name: "a", CPUMilli: -1}},
		{"more memory than there is", model.Node{Name: "a", MemoryMiB: model.MaxMemoryMiB + 1}},
		{"two devices of one id", model.Node{Name: "a", Devices: []model.Device{{ID: "g"}, {ID: "g"}}}},
		{"a device without an id", model.Node{Name: "a", Devices: []model.Device{{}}}},
		{"more than a whole device", model.Node{Name: "a", Devices: []model.Device{{ID: "g", Thousandths: 1001}}}},
		{"too many devices", model.Node{Name: "a", Devices: make([]model.Device, MaxNodeDevices+1)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := NewStore()
			_, err := do(s, func(x *Txn) (Answer, *model.Error) { return x.RegisterNode(&tc.node) })
			if err == nil || err.Kind != model.KindInvalid || s.Snapshot().NodeCount() != 0 {
				t.Errorf("the answer is %v, there are %d nodes", err, s.Snapshot().NodeCount())
			}
		})
	}
}
