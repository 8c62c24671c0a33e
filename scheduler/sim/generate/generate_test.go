package generate_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"caravan/scheduler/family"
	"caravan/scheduler/sim/generate"
	"caravan/scheduler/sim/trace"
)

// TestFleetHasThePublishedDevices checks against table 1 of Weng et al., USENIX ATC 2023.
func TestFleetHasThePublishedDevices(t *testing.T) {
	nodes, err := generate.OpenbFleet(generate.OpenbNodes)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, n := range nodes {
		got[n.Model] += n.Devices
		got["all"] += n.Devices
	}
	want := map[string]int{
		"all": 6212, "P100": 265, "T4": 842, "V100M16": 195, "V100M32": 204, "A10": 2, "G2": 4392, "G3": 312,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFleetKeepsItsProportionsAtAnySize(t *testing.T) {
	for _, n := range []int{1, 120, 12_130} {
		nodes, err := generate.OpenbFleet(n)
		if err != nil {
			t.Fatal(err)
		}
		g2 := 0
		for _, node := range nodes {
			if node.Model == "G2" {
				g2++
			}
		}
		if want := 549 * n / generate.OpenbNodes; len(nodes) != n || g2 < want || g2 > want+1 {
			t.Errorf("%d nodes of which %d are G2, want %d of which %d", len(nodes), g2, n, want)
		}
	}
}

// TestMixHasTheSharesThatWereAsked allows three standard deviations.
func TestMixHasTheSharesThatWereAsked(t *testing.T) {
	for _, name := range generate.MixNames() {
		mix, err := generate.NamedMix(name)
		if err != nil {
			t.Fatal(err)
		}
		pods, err := generate.OpenbPods(mix, 1)
		if err != nil {
			t.Fatal(err)
		}
		var none, fraction, several, devices, constrained int64
		for i := range pods {
			p := &pods[i]
			switch {
			case p.Devices == 0:
				none++
			case p.Fraction():
				fraction++
			case p.Devices > 1:
				several++
			}
			if p.Devices > 0 {
				devices++
			}
			if len(p.Models) > 0 {
				constrained++
			}
		}
		n := int64(len(pods))
		for _, c := range []struct {
			what              string
			got, of, permille int64
		}{
			{"without device", none, n, mix.CPUOnlyPermille},
			{"fractions", fraction, n, mix.FractionPermille},
			{"several", several, n, mix.MultiPermille},
			{"constrained", constrained, devices, mix.ConstrainedPermille},
		} {
			if got := c.got * 1000 / c.of; got < c.permille-17 || got > c.permille+17 {
				t.Errorf("mix %s: %d thousandths %s, want %d", name, got, c.what, c.permille)
			}
		}
	}
}

func TestEqualSeedsGiveEqualLists(t *testing.T) {
	catalogue, err := family.Load()
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := generate.FamilyFleet(catalogue, "gn4=10,ga1=5,gn5=2,f1=2,f3=1,c4=10")
	if err != nil {
		t.Fatal(err)
	}
	lists := func(seed uint64) [][]trace.Pod {
		openb, err := generate.OpenbPods(generate.DefaultMix(), seed)
		if err != nil {
			t.Fatal(err)
		}
		families, err := generate.FamilyPods(catalogue, nodes, 400, seed)
		if err != nil {
			t.Fatal(err)
		}
		return [][]trace.Pod{openb, families}
	}
	if !cmp.Equal(lists(5), lists(5)) {
		t.Error("one seed gave two lists")
	}
	other := lists(6)
	for i, list := range lists(5) {
		if cmp.Equal(list, other[i]) {
			t.Error("two seeds gave one list")
		}
	}
}

// TestFamilyMixAsksForWhatTheFleetHas: every request fits an empty node of the fleet.
func TestFamilyMixAsksForWhatTheFleetHas(t *testing.T) {
	catalogue, err := family.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"gn4=3", "ga1.xlarge=4,ga1=1", "f1=1", "f3=2,gn5i=1", "c4=3,n5=1", "gn4=100,ga1=50,f1=20,c4=100"} {
		nodes, err := generate.FamilyFleet(catalogue, line)
		if err != nil {
			t.Fatal(err)
		}
		pods, err := generate.FamilyPods(catalogue, nodes, 300, 1)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		models := map[string]bool{}
		for _, n := range nodes {
			models[n.Model] = true
		}
		for _, p := range pods {
			if p.Devices == 0 {
				continue
			}
			for _, m := range p.Models {
				if !models[m] {
					t.Fatalf("%s: %s wants a %s", line, p.Name, m)
				}
			}
			if p.Milli < 1 || p.Milli > trace.Whole || len(p.Models) == 0 {
				t.Fatalf("%s: %+v", line, p)
			}
		}
	}
}

func TestGeneratorSaysWhatIsWrong(t *testing.T) {
	for _, m := range []generate.Mix{
		{},
		{Pods: 10, CPUOnlyPermille: 600, FractionPermille: 500},
		{Pods: 10, MultiPermille: -1},
		{Pods: 10, ConstrainedPermille: 1001},
	} {
		if _, err := generate.OpenbPods(m, 1); err == nil {
			t.Errorf("%+v was accepted", m)
		}
	}
	if _, err := generate.OpenbFleet(0); err == nil {
		t.Error("a fleet of no nodes was accepted")
	}
	if _, err := generate.NamedMix("openb"); err == nil {
		t.Error("an unknown mix was accepted")
	}
}

// TestAListTakesOnOtherShares: pods come from the list, in the shares that were asked for, and name models
// that could take them.
func TestAListTakesOnOtherShares(t *testing.T) {
	nodes, err := generate.OpenbFleet(200)
	if err != nil {
		t.Fatal(err)
	}
	mix := generate.DefaultMix()
	mix.Pods = 4000
	list, err := generate.OpenbPods(mix, 1)
	if err != nil {
		t.Fatal(err)
	}
	same, err := generate.Mutate(nodes, list, generate.Shares{-1, -1, -1, -1}, 1)
	if err != nil || !cmp.Equal(same, list) {
		t.Fatalf("without shares the list has changed: %v", err)
	}
	got, err := generate.Mutate(nodes, list, generate.Shares{CPUOnlyPermille: 400, FractionPermille: -1, MultiPermille: 100, ConstrainedPermille: 333}, 1)
	if err != nil {
		t.Fatal(err)
	}
	var cpu, several, devices, named int
	for i := range got {
		p := &got[i]
		switch {
		case p.Devices == 0:
			cpu++
			continue
		case p.Devices > 1:
			several++
		}
		devices++
		if len(p.Models) == 0 {
			continue
		}
		named++
		if !slices.ContainsFunc(nodes, func(n trace.Node) bool {
			return n.Model == p.Models[0] && n.Devices >= p.Devices && n.CPUMilli >= p.CPUMilli && n.MemoryMiB >= p.MemoryMiB
		}) {
			t.Fatalf("%s names %v, and fits none of its nodes", p.Name, p.Models)
		}
	}
	for _, c := range []struct {
		name                  string
		part, whole, lo, most int
	}{
		{"CPU-only", cpu, len(got), 370, 430}, {"several", several, len(got), 85, 115}, {"naming models", named, devices, 300, 366},
	} {
		if share := c.part * 1000 / c.whole; share < c.lo || share > c.most {
			t.Errorf("%s: %d thousandths, want from %d to %d", c.name, share, c.lo, c.most)
		}
	}
	if _, err := generate.Mutate(nodes, list, generate.Shares{600, 600, 0, 0}, 1); err == nil {
		t.Error("shares above the whole were taken")
	}
}
