package packing

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"caravan/scheduler/sim/fleet"
	"caravan/scheduler/sim/generate"
	"caravan/scheduler/sim/policy"
	"caravan/scheduler/sim/trace"
)

func drawLists(t *rapid.T) ([]trace.Node, []trace.Pod) {
	models := []string{"A10", "T4", "P100"}
	nodes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) trace.Node {
		n := trace.Node{
			CPUMilli: rapid.Int64Range(1, 32).Draw(t, "cores") * 1000, MemoryMiB: rapid.Int64Range(1, 64).Draw(t, "gib") * 1024,
			Devices: rapid.IntRange(0, 8).Draw(t, "devices"), Milli: rapid.SampledFrom([]int64{trace.Whole, trace.Whole, 250}).Draw(t, "milli"),
		}
		if n.Devices > 0 {
			n.Model = rapid.SampledFrom(models).Draw(t, "model")
		}
		return n
	}), 1, 8).Draw(t, "nodes")
	// One node with a device of a known model, so that load means something.
	nodes = append(nodes, trace.Node{Name: "last", CPUMilli: 8000, MemoryMiB: 8192, Devices: 1, Milli: trace.Whole, Model: "T4"})
	pods := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) trace.Pod {
		p := trace.Pod{
			CPUMilli: rapid.Int64Range(0, 12).Draw(t, "cores") * 1000, MemoryMiB: rapid.Int64Range(0, 12).Draw(t, "gib") * 1024,
			Devices: rapid.SampledFrom([]int{0, 1, 1, 1, 2, 4}).Draw(t, "devices"),
		}
		if p.Devices > 0 {
			p.Milli = trace.Whole
			p.Models = rapid.SampledFrom([][]string{nil, nil, {"T4"}, {"A10", "T4"}}).Draw(t, "models")
		}
		if p.Devices == 1 {
			p.Milli = rapid.SampledFrom([]int64{100, 200, 500, 700, trace.Whole}).Draw(t, "milli")
		}
		return p
	}), 1, 12).Draw(t, "pods")
	return nodes, append(pods, trace.Pod{CPUMilli: 1000, Devices: 1, Milli: trace.Whole})
}

// TestNoPolicyTakesMoreThanThereIs runs every policy on small random fleets and checks the books
// against what was granted, the counts, and the bound.
func TestNoPolicyTakesMoreThanThereIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, pods := drawLists(t)
		name := rapid.SampledFrom(policy.Names()).Draw(t, "policy")
		cfg := Config{
			Nodes: nodes, Pods: pods, Policy: name, Seed: rapid.Uint64().Draw(t, "seed"),
			LoadPermille: rapid.Int64Range(1, 3000).Draw(t, "load"), MixKnown: rapid.Bool().Draw(t, "known"),
			Potential: policy.Tuning{Sequences: 2, Length: 20},
		}
		report, err := Run(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if report.Placed+report.Refused != report.Arrived {
			t.Fatalf("%d placed and %d refused of %d", report.Placed, report.Refused, report.Arrived)
		}
		arrived, refused := 0, 0
		for _, c := range report.Classes {
			arrived, refused = arrived+c.Arrived, refused+c.Refused
		}
		if arrived != report.Arrived || refused != report.Refused {
			t.Fatalf("the classes add up to %d and %d", arrived, refused)
		}
		most, err := Bound(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if report.GPUAlloc > most {
			t.Fatalf("%s allocated, above the bound of %s", report.GPUAlloc, most)
		}
		if report.GPUAllocEnd < report.GPUAlloc || report.GPUAllocEnd > 100_000 {
			t.Fatalf("%s at the end after %s", report.GPUAllocEnd, report.GPUAlloc)
		}
		for _, f := range report.Families {
			if max(f.Devices, f.CPU, f.Memory) > 100_000 || min(f.Devices, f.CPU, f.Memory) < 0 {
				t.Fatalf("taken of %q: %+v", f.Name, f)
			}
		}
		again, err := Run(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(report, again, cmpopts.IgnoreUnexported(Report{})); diff != "" {
			t.Fatalf("two runs differ:\n%s", diff)
		}
	})
}

// TestBooksRefuseAWrongChoice: what a policy says is checked, not believed.
func TestBooksRefuseAWrongChoice(t *testing.T) {
	nodes := []trace.Node{{Name: "a", CPUMilli: 4000, MemoryMiB: 1024, Devices: 2, Milli: trace.Whole, Model: "T4"}}
	pods := []trace.Pod{
		{CPUMilli: 1000, Devices: 1, Milli: 600}, {CPUMilli: 5000, Devices: 1, Milli: 600},
		{CPUMilli: 1000, Devices: 2, Milli: trace.Whole}, {CPUMilli: 1000, MemoryMiB: 2048},
	}
	f, requests, err := fleet.New(nodes, pods)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name    string
		request int
		at      fleet.Choice
		ok      bool
	}{
		{"a part of the first device", 0, fleet.Choice{Device: 0}, true},
		{"the same device again", 0, fleet.Choice{Device: 0}, false},
		{"no such device", 0, fleet.Choice{Device: 2}, false},
		{"no such node", 0, fleet.Choice{Node: 1}, false},
		{"more cores than there are", 1, fleet.Choice{Device: 1}, false},
		{"two whole devices of which one is split", 2, fleet.Choice{}, false},
		{"more memory than there is", 3, fleet.Choice{}, false},
		{"the second device", 0, fleet.Choice{Device: 1}, true},
	} {
		before := f.Allocated
		if err := f.Take(&requests[step.request], step.at); (err == nil) != step.ok {
			t.Errorf("%s: error %v", step.name, err)
		} else if err != nil && f.Allocated != before {
			t.Errorf("%s: refused and booked all the same", step.name)
		}
	}
	if n := f.Nodes[0]; f.Allocated != 1200 || n.Free[0] != 400 || n.Free[1] != 400 || n.CPUMilli != 2000 {
		t.Errorf("left: %+v, %d allocated", n, f.Allocated)
	}
}

// TestProtocolWorkedOut: two devices and pods that want one each with 3 of the 8 cores. Two requests
// make the load 1.0, and a third, drawn again from the list, makes it 1.5 and is refused.
func TestProtocolWorkedOut(t *testing.T) {
	cfg := Config{
		Nodes:  []trace.Node{{Name: "a", CPUMilli: 8000, MemoryMiB: 1024, Devices: 2, Milli: trace.Whole, Model: "T4", Family: "gn6i"}},
		Pods:   []trace.Pod{{CPUMilli: 3000, Devices: 1, Milli: trace.Whole}, {CPUMilli: 3000, Devices: 1, Milli: trace.Whole}},
		Policy: "bestfit", LoadPermille: 1500, Bound: 99_000,
	}
	ticks := time.Duration(0)
	cfg.CPUTime = func() time.Duration { ticks += 3 * time.Microsecond; return ticks }
	got, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := &Report{
		Policy: "bestfit", Mix: "none", GPUAlloc: 100_000, GPUAllocEnd: 100_000, Bound: 99_000, Arrived: 3, Placed: 2, Refused: 1,
		PowerWatts: 2*70 + 120, // two T4, and one processor of 16 cores with work
		Decision:   4_000,      // four samples of 3 us for three requests
		Samples:    []Sample{{900, 100_000}, {1000, 100_000}, {1300, 100_000}, {1500, 100_000}},
		Classes:    []Class{{Name: "cpu"}, {Name: "fraction"}, {Name: "one", Arrived: 3, Refused: 1}, {Name: "several"}},
		Families:   []Family{{Name: "gn6i", Nodes: 1, Devices: 100_000, CPU: 75_000}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Report{})); diff != "" {
		t.Error(diff)
	}
	cfg.LoadPermille = 500
	if got, err = Run(cfg); err != nil || got.GPUAlloc != 50_000 || got.Arrived != 1 || len(got.Samples) != 1 {
		t.Errorf("at half the load: %+v, %v", got, err)
	}
}

// TestBoundWorkedOut: 2 T4 and 2 A10 with 4 cores each node. Three pods name T4, of which two have
// devices; the fourth takes any: 3 devices are the most. With 3 cores a pod the T4 node has cores for 1 1/3
// of the pods that name it, and the A10 node for all of the one that does not.
func TestBoundWorkedOut(t *testing.T) {
	node := func(model string, cores int64) trace.Node {
		return trace.Node{Name: model, CPUMilli: cores * 1000, MemoryMiB: 1024, Devices: 2, Milli: trace.Whole, Model: model}
	}
	pods := func(cores int64) []trace.Pod {
		named := trace.Pod{CPUMilli: cores * 1000, Devices: 1, Milli: trace.Whole, Models: []string{"T4"}}
		return []trace.Pod{named, named, named, {CPUMilli: cores * 1000, Devices: 1, Milli: trace.Whole}}
	}
	for _, c := range []struct {
		name          string
		cores, perPod int64
		want          Percent
	}{
		{"by model", 64, 1, 75_000},
		{"by cores", 4, 3, 58_350},
	} {
		got, err := Bound(Config{
			Nodes: []trace.Node{node("T4", c.cores), node("A10", c.cores)}, Pods: pods(c.perPod), LoadPermille: 1000,
		})
		if err != nil {
			t.Fatal(err)
		}
		// The search for prices ends a little above the optimum.
		if got < c.want-50 || got > c.want+50 {
			t.Errorf("%s: bound %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAModelThatNoNodeHasIsRefused(t *testing.T) {
	nodes := []trace.Node{{Name: "a", CPUMilli: 8000, MemoryMiB: 1024, Devices: 2, Milli: trace.Whole, Model: "T4"}}
	pods := []trace.Pod{{Devices: 1, Milli: trace.Whole, Models: []string{"V100"}}}
	for _, name := range policy.Names() {
		got, err := Run(Config{Nodes: nodes, Pods: pods, Policy: name, LoadPermille: 1000, MixKnown: true})
		if err != nil || got.Refused != 2 || got.Placed != 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	nodes := []trace.Node{{Name: "a", CPUMilli: 8000, MemoryMiB: 1024, Devices: 2, Milli: trace.Whole, Model: "T4"}}
	pods := []trace.Pod{{CPUMilli: 3000, Devices: 1, Milli: trace.Whole}}
	for _, c := range []struct {
		name string
		cfg  Config
	}{
		{"no load", Config{Nodes: nodes, Pods: pods, Policy: "bestfit"}},
		{"too much load", Config{Nodes: nodes, Pods: pods, Policy: "bestfit", LoadPermille: MaxLoadPermille + 1}},
		{"an unknown policy", Config{Nodes: nodes, Pods: pods, Policy: "first", LoadPermille: 1000}},
		{"a wrong tuning", Config{Nodes: nodes, Pods: pods, Policy: "caravan", LoadPermille: 1000, Potential: policy.Tuning{Quantum: -1}}},
		{"no devices", Config{Nodes: []trace.Node{{CPUMilli: 1}}, Pods: pods, Policy: "bestfit", LoadPermille: 1000}},
		{"no demand", Config{Nodes: nodes, Pods: []trace.Pod{{CPUMilli: 1}}, Policy: "bestfit", LoadPermille: 1000}},
	} {
		if _, err := Run(c.cfg); err == nil {
			t.Errorf("%s was accepted", c.name)
		}
	}
}

// TestReportKeepsItsKeys: programs read them.
func TestReportKeepsItsKeys(t *testing.T) {
	raw, err := json.Marshal(Report{GPUAlloc: 95_254, UnallocatedGPUs: 1_050, Decision: 4_500, Frag: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"gpu_alloc_pct": 95.25, "gpu_alloc_end_pct": 0.0, "frag_pct": 100.0, "unallocated_gpus": 1.05,
		"placed": 0.0, "refused": 0.0, "power_watts": 0.0, "us_per_placement": 4.5, "bound_gpu_alloc_pct": 0.0,
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
}

func TestSummaryIsTheMeanByPolicy(t *testing.T) {
	report := func(policy string, alloc Percent, placed int) *Report {
		return &Report{Policy: policy, Samples: []Sample{{1000, alloc}}, Placed: placed, Families: []Family{{Name: "gn4", Nodes: 2, CPU: alloc}}}
	}
	got := Summarise([]*Report{report("fgd", 90_000, 10), report("caravan", 95_000, 9), report("fgd", 92_000, 12)})
	want := []Summary{
		{Policy: "fgd", Runs: 2, Samples: []Sample{{1000, 91_000}}, Placed: 11, Families: []Family{{Name: "gn4", Nodes: 2, CPU: 91_000}}},
		{Policy: "caravan", Runs: 1, Samples: []Sample{{1000, 95_000}}, Placed: 9, Families: []Family{{Name: "gn4", Nodes: 2, CPU: 95_000}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestCaravanPacksBetterThanBestFitThanRandom holds the order that figures are published for, on a
// tenth of the published fleet.
func TestCaravanPacksBetterThanBestFitThanRandom(t *testing.T) {
	mix := generate.DefaultMix()
	mix.Pods = 815
	nodes, err := generate.OpenbFleet(121)
	if err != nil {
		t.Fatal(err)
	}
	mean := map[string]Percent{}
	for seed := range uint64(4) {
		pods, err := generate.OpenbPods(mix, seed)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"random", "bestfit", "caravan"} {
			r, err := Run(Config{Nodes: nodes, Pods: pods, Policy: name, Seed: seed, LoadPermille: 1300})
			if err != nil {
				t.Fatal(err)
			}
			mean[name] += r.GPUAllocEnd / 4
		}
	}
	if mean["caravan"] < mean["bestfit"]+500 || mean["bestfit"] < mean["random"]+1000 {
		t.Errorf("allocated at the end: %v", mean)
	}
}

// BenchmarkRun is the whole simulation, per request that arrives, at three sizes.
func BenchmarkRun(b *testing.B) {
	for _, size := range []int{1_000, 10_000, 100_000} {
		nodes, err := generate.OpenbFleet(size)
		if err != nil {
			b.Fatal(err)
		}
		mix := generate.DefaultMix()
		mix.Pods = mix.Pods * size / generate.OpenbNodes
		pods, err := generate.OpenbPods(mix, 1)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("nodes=%d", size), func(b *testing.B) {
			for b.Loop() {
				r, err := Run(Config{Nodes: nodes, Pods: pods, Policy: "caravan", Seed: 1, LoadPermille: 1000, CPUTime: ThreadCPUTime})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(r.Decision)/1000, "us/placement")
			}
		})
	}
}
