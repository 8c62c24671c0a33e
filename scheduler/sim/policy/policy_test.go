package policy

import (
	"testing"

	"caravan/scheduler/sim/fleet"
	"caravan/scheduler/sim/trace"
)

// left describes what a node of 64 cores has left: cores and the thousandths of each device.
type left struct {
	cores int64
	free  []int64
}

// nodes makes a fleet of 64-core nodes of which only so much is left.
func nodes(t *testing.T, lefts ...left) *fleet.Fleet {
	t.Helper()
	list := make([]trace.Node, len(lefts))
	for i, l := range lefts {
		list[i] = trace.Node{Name: string(rune('a' + i)), CPUMilli: 64_000, MemoryMiB: 1024, Devices: len(l.free), Milli: trace.Whole, Model: "T4"}
	}
	f, _, err := fleet.New(list, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range lefts {
		f.Nodes[i].CPUMilli = l.cores * 1000
		copy(f.Nodes[i].Free, l.free)
	}
	return f
}

func ask(class int, cores int64, devices int, milli int64) fleet.Request {
	return fleet.Request{Class: class, CPUMilli: cores * 1000, Devices: devices, Milli: milli, Models: fleet.AnyModel}
}

// expect places nothing: it says where the policy would go.
func expect(t *testing.T, p Policy, r fleet.Request, node, device int) {
	t.Helper()
	c, ok := p.Choose(&r)
	if node < 0 {
		if ok {
			t.Errorf("%+v goes to node %d, want nowhere", r, c.Node)
		}
		return
	}
	if !ok || c.Node != node || r.Fraction() && c.Device != device {
		t.Errorf("%+v goes to node %d, device %d (%v), want node %d, device %d", r, c.Node, c.Device, ok, node, device)
	}
}

func build(t *testing.T, name string, cfg Config) Policy {
	t.Helper()
	p, err := New(name, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Of 64 cores and 2 devices at most, a request for 4 cores and a device leaves
//
//	a: 60/64 + 0/2 = 0.9375
//	b:  4/64 + 1/2 = 0.5625
func TestBestFitTakesWhatIsLeftLeast(t *testing.T) {
	f := nodes(t, left{64, []int64{1000, 0}}, left{8, []int64{1000, 1000}})
	expect(t, build(t, "bestfit", Config{Fleet: f}), ask(0, 4, 1, 1000), 1, 0)
}

// The products for the same request on the same nodes:
//
//	a: 64/64 * 4/64 + 1/2 * 1/2 = 0.3125
//	b:  8/64 * 4/64 + 2/2 * 1/2 = 0.5078
func TestDotProductTakesTheLeastProduct(t *testing.T) {
	f := nodes(t, left{64, []int64{1000, 0}}, left{8, []int64{1000, 1000}})
	expect(t, build(t, "dotprod", Config{Fleet: f}), ask(0, 4, 1, 1000), 0, 0)
}

func TestPackingTakesSharedThenUsedThenFree(t *testing.T) {
	f := nodes(t, left{64, []int64{1000, 1000}}, left{64, []int64{1000}}, left{32, []int64{200, 1000}}, left{32, []int64{0, 900}}, left{32, []int64{400, 0}})
	p := build(t, "packing", Config{Fleet: f})
	expect(t, p, ask(0, 1, 1, 300), 4, 0)   // the fullest shared device
	expect(t, p, ask(1, 1, 1, 500), 3, 1)   // the only shared device that is large enough
	expect(t, p, ask(2, 1, 1, 950), 2, 1)   // a free device of a node in use
	expect(t, p, ask(3, 1, 1, 1000), 2, -1) // likewise, rather than the small free node
	expect(t, p, ask(4, 33, 1, 1000), 1, -1)
	expect(t, p, ask(5, 1, 2, 1000), 0, -1)
	expect(t, p, ask(6, 1, 4, 1000), -1, 0)
}

func TestClusteringKeepsSizesTogether(t *testing.T) {
	f := nodes(t, left{64, []int64{1000, 1000, 1000, 1000}}, left{64, []int64{1000, 1000, 1000, 1000}}, left{64, []int64{1000, 1000, 1000, 1000}})
	p := build(t, "clustering", Config{Fleet: f})
	place := func(r fleet.Request, want int) {
		t.Helper()
		c, ok := p.Choose(&r)
		if !ok || c.Node != want {
			t.Fatalf("%+v goes to node %d (%v), want %d", r, c.Node, ok, want)
		}
		if err := f.Take(&r, c); err != nil {
			t.Fatal(err)
		}
		p.Placed(&r, c)
	}
	place(ask(0, 1, 1, 400), 0)
	place(ask(1, 1, 1, 1000), 1)
	place(ask(2, 1, 2, 1000), 2)
	place(ask(0, 1, 1, 300), 0)
	place(ask(1, 1, 1, 1000), 1)
	// Node 0 has two whole devices left, node 1 two, node 2 two; a third size mixes where it must, and
	// there the fullest is first: 2300, 2000 and 2000 thousandths are idle.
	place(ask(3, 1, 0, 0), 0)
	place(ask(2, 1, 2, 1000), 2)
	place(ask(2, 1, 2, 1000), 1)
}

// A node with 1000 and 300 left, and requests for (weight) none at all (1), half a device (2), two
// devices (1), one device (1):
//
//	none: all 1300 are unusable            1 * 1300
//	half: the device with 300 is           2 *  300
//	two:  it does not fit, all 1300 are    1 * 1300
//	one:  the device with 300 is           1 *  300
func TestFragmentationWorkedOut(t *testing.T) {
	f := nodes(t, left{8, []int64{1000, 300}})
	frag := NewFragmentation([]Weighted{{ask(0, 1, 0, 0), 1}, {ask(1, 1, 1, 500), 2}, {ask(2, 1, 2, 1000), 1}, {ask(3, 1, 1, 1000), 1}})
	if got := frag.Node(&f.Nodes[0]); got != 3500 || frag.Weight() != 5 {
		t.Errorf("fragmentation %d over a weight of %d, want 3500 over 5", got, frag.Weight())
	}
	f.Nodes[0].CPUMilli = 0
	if got := frag.Node(&f.Nodes[0]); got != 5*1300 {
		t.Errorf("without cores %d, want %d", got, 5*1300)
	}
}

// Half a device and a whole one are wanted equally often.
//
//	a: 1000 -> 500: useful to both before, to one after: grows by 500
//	b: 700 -> 200: from 700 (whole) to 200 + 200: falls by 300
//	c: 500 -> 0: from 500 (whole) to 0: falls by 500
func TestGradientTakesWhatFragmentsLeast(t *testing.T) {
	workload := []Weighted{{ask(0, 1, 1, 500), 1}, {ask(1, 1, 1, 1000), 1}}
	f := nodes(t, left{64, []int64{1000}}, left{64, []int64{700}}, left{64, []int64{500}})
	p := build(t, "fgd", Config{Fleet: f, Workload: workload})
	r := workload[0].Request
	for _, want := range []int{2, 1, 0} {
		expect(t, p, r, want, 0)
		c, _ := p.Choose(&r)
		if err := f.Take(&r, c); err != nil {
			t.Fatal(err)
		}
		p.Placed(&r, c)
	}
	// One node, three devices: the second half goes where the first left half.
	f = nodes(t, left{64, []int64{1000, 700, 500}})
	p = build(t, "fgd", Config{Fleet: f, Workload: workload})
	expect(t, p, r, 0, 2)
}

func TestRandomTakesEveryNodeThatFitsAndNoOther(t *testing.T) {
	f := nodes(t, left{64, []int64{1000}}, left{1, []int64{1000}}, left{64, []int64{300}}, left{64, []int64{600, 100}})
	run := func(seed uint64) (seen [4]int) {
		p := build(t, "random", Config{Fleet: f, Seed: seed})
		r := ask(0, 2, 1, 500)
		for range 200 {
			c, ok := p.Choose(&r)
			if !ok || c.Device != 0 {
				t.Fatalf("goes to %+v (%v)", c, ok)
			}
			seen[c.Node]++
		}
		return seen
	}
	seen := run(1)
	if seen[0] < 60 || seen[3] < 60 || seen[1]+seen[2] > 0 {
		t.Errorf("nodes were taken %v times, want about 100 each of the first and last", seen)
	}
	if run(1) != seen {
		t.Error("one seed gave two sequences")
	}
}

// TestCaravanKeepsGPUHostsFromWorkWithoutDevices: a host without devices is taken however roomy it is.
// Where there is none, cores of a host with idle devices have a value, those of a full host have none.
func TestCaravanKeepsGPUHostsFromWorkWithoutDevices(t *testing.T) {
	workload := []Weighted{{ask(0, 4, 0, 0), 1}, {ask(1, 4, 1, 1000), 1}}
	p := build(t, "caravan", Config{Fleet: nodes(t, left{4, []int64{1000}}, left{32, nil}, left{16, []int64{0}}), Workload: workload, MixKnown: true})
	expect(t, p, ask(0, 4, 0, 0), 1, -1)
	expect(t, p, ask(1, 4, 1, 1000), 0, -1)
	p = build(t, "caravan", Config{Fleet: nodes(t, left{4, []int64{1000}}, left{16, []int64{0}}), Workload: workload, MixKnown: true})
	expect(t, p, ask(0, 4, 0, 0), 1, -1)
}

// TestCaravanKeepsAModelForThoseWhoNameIt: both nodes look alike to a request that takes any model,
// and half of the demand names the first.
func TestCaravanKeepsAModelForThoseWhoNameIt(t *testing.T) {
	list := []trace.Node{
		{Name: "a", CPUMilli: 8000, MemoryMiB: 1, Devices: 1, Milli: trace.Whole, Model: "A10"},
		{Name: "b", CPUMilli: 8000, MemoryMiB: 1, Devices: 1, Milli: trace.Whole, Model: "T4"},
	}
	f, requests, err := fleet.New(list, []trace.Pod{
		{Name: "any", CPUMilli: 1000, Devices: 1, Milli: trace.Whole},
		{Name: "named", CPUMilli: 1000, Devices: 1, Milli: trace.Whole, Models: []string{"A10"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := build(t, "caravan", Config{Fleet: f, Workload: []Weighted{{requests[0], 1}, {requests[1], 1}}, MixKnown: true})
	expect(t, p, requests[0], 1, -1)
	expect(t, p, requests[1], 0, -1)
}

func TestUnknownPoliciesAreNamed(t *testing.T) {
	if _, err := New("worstfit", Config{}); err == nil {
		t.Error("an unknown policy was accepted")
	}
}
