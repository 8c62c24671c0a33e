package leader

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/core"
	"caravan/scheduler/model"
)

func TestANodeIsLostOnlyWhenItsTasksMustBeDead(t *testing.T) {
	l := NewLeases(15*time.Second, 10*time.Second)
	begin := time.Unix(1000, 0)
	l.Begin([]string{"a", "b"}, begin)
	l.Renew("b", begin.Add(10*time.Second))
	// The lease, the grace, 2 % of both for a slow clock, and a second.
	last := begin.Add(26*time.Second + 500*time.Millisecond)
	if got := l.Expired(last); len(got) != 0 {
		t.Errorf("lost too early: %v", got)
	}
	if got := l.Expired(last.Add(time.Millisecond)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("want a alone, got %v", got)
	}
	l.Forget("a")
	if got := l.Expired(last.Add(5 * time.Second)); len(got) != 0 {
		t.Errorf("a forgotten node is lost again: %v", got)
	}
	if got := l.Expired(last.Add(11 * time.Second)); !slices.Equal(got, []string{"b"}) {
		t.Errorf("want b, got %v", got)
	}
}

func TestANewLeaderGivesEveryNodeAFullTerm(t *testing.T) {
	l := NewLeases(time.Second, time.Second)
	l.Renew("old", time.Unix(0, 0))
	now := time.Unix(9999, 0)
	l.Begin([]string{"a"}, now)
	if got := l.Expired(now.Add(3 * time.Second)); len(got) != 0 {
		t.Errorf("%v expired within the term", got)
	}
	if got := l.Expired(now.Add(4 * time.Second)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %v: only a was there at the beginning", got)
	}
}

// genPlan draws plans with large and small sets and gangs.
func genPlan(t *rapid.T) core.Plan {
	var p core.Plan
	for i := range rapid.IntRange(0, 6).Draw(t, "sets") {
		s := core.PlacementSet{Job: fmt.Sprint("job-", i), Group: i % 3, Variant: i % 2, Gang: rapid.Bool().Draw(t, "gang")}
		for k := range rapid.IntRange(1, 6000).Draw(t, "placements") {
			s.Placements = append(s.Placements, core.Placement{
				Ordinal: int64(k), Node: fmt.Sprint("node-", k%100),
				Devices: []model.DeviceShare{{Device: "gpu-0123456789abcdef", Thousandths: 1000, MemoryMiB: 12288}},
			})
		}
		p.Sets = append(p.Sets, s)
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "stops") {
		p.Stops = append(p.Stops, core.Stop{Allocation: fmt.Sprint("x.y.", i), Reason: "preempted"})
	}
	return p
}

func TestPartsOfAPlanAreSmallAndAddUpToIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genPlan(t)
		var got core.Plan
		for _, part := range split(&p) {
			gangs := 0
			for _, s := range part.Sets {
				if s.Gang {
					gangs++
				}
				join(&got, s)
			}
			// One gang may be larger than a part; it then travels alone or at the part's end.
			if n := proto.Size(part); n > maxPartBytes && gangs == 0 {
				t.Fatalf("a part of %d bytes, more than %d", n, maxPartBytes)
			}
			for _, s := range part.Stops {
				got.Stops = append(got.Stops, core.Stop{Allocation: s.AllocationId, Reason: s.Reason})
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(p) {
			t.Fatal("the parts do not add up to the plan")
		}
	})
}

// join appends a set, or continues the last one that it was cut from. A gang
// that was cut stays two sets and so fails the comparison.
func join(p *core.Plan, s *pb.PlacementSet) {
	n := len(p.Sets)
	if n == 0 || p.Sets[n-1].Job != s.JobId || s.Gang {
		p.Sets = append(p.Sets, core.PlacementSet{Job: s.JobId, Group: int(s.Group), Variant: int(s.Variant), Gang: s.Gang})
		n++
	}
	for _, m := range s.Placements {
		pl := core.Placement{Ordinal: m.Ordinal, Node: m.Node}
		for _, d := range m.Devices {
			pl.Devices = append(pl.Devices, model.DeviceShare{Device: d.DeviceId, Thousandths: d.Thousandths, MemoryMiB: d.MemoryMib})
		}
		p.Sets[n-1].Placements = append(p.Sets[n-1].Placements, pl)
	}
}

func TestATaskPaysItsDominantShareOfTheNode(t *testing.T) {
	n := &model.Node{
		CPUMilli: 56_000, MemoryMiB: 96 << 10, PriceMicroPerHour: 4_000_000,
		Devices: []model.Device{{ID: "g0", Thousandths: 1000}, {ID: "g1", Thousandths: 1000}},
	}
	for _, c := range []struct {
		rule    string
		r       model.Resources
		devices []model.DeviceShare
		want    int64
	}{
		{"cores alone", model.Resources{CPUMilli: 14_000}, nil, 1_000_000},
		{"memory beats cores", model.Resources{CPUMilli: 1000, MemoryMiB: 48 << 10}, nil, 2_000_000},
		{"one device of two", model.Resources{CPUMilli: 1000}, []model.DeviceShare{{Thousandths: 1000}}, 2_000_000},
		{"a quarter of a device", model.Resources{}, []model.DeviceShare{{Thousandths: 250}}, 500_000},
		{"nothing", model.Resources{}, nil, 0},
	} {
		if got := price(n, &c.r, c.devices); got != c.want {
			t.Errorf("%s: %d, want %d", c.rule, got, c.want)
		}
	}
}
