package place

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/potential"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

func gpus(n int, memoryMiB int64) (out []model.Device) {
	for i := range n {
		out = append(out, model.Device{ID: fmt.Sprintf("gpu%d", i), Kind: model.KindGPU, Model: "a", Thousandths: 1000, MemoryMiB: memoryMiB, Healthy: true})
	}
	return out
}

func drawNode(t *rapid.T, name string) *model.Node {
	n := &model.Node{
		Name: name, State: model.NodeReady, MemoryMiB: 64 << 10, DiskMiB: 100, CPUMilli: rapid.Int64Range(1, 16).Draw(t, "cores") * 1000,
		Zone:    rapid.SampledFrom([]string{"z1", "z2"}).Draw(t, "zone"),
		Devices: gpus(rapid.IntRange(0, 4).Draw(t, "devices"), rapid.Int64Range(1, 2).Draw(t, "GiB")<<10),
	}
	if rapid.IntRange(0, 9).Draw(t, "mixed") == 0 && len(n.Devices) > 0 {
		n.Devices[0].Model = "b"
	}
	return n
}

// classes are plain ones, and one that looks at the name of a node.
func classes(p *Placer) (out []*request.Class) {
	in := func(attribute, value string) []model.Constraint {
		return []model.Constraint{{Attribute: attribute, Operator: model.In, Values: []model.Attribute{model.Text(value)}}}
	}
	gpu := func(count, thousandths int32, memoryMiB int64) []model.DeviceRequest {
		return []model.DeviceRequest{{Kind: model.KindGPU, Count: count, Thousandths: thousandths, MemoryMiB: memoryMiB}}
	}
	for _, v := range []model.Variant{
		{Resources: model.Resources{CPUMilli: 1000, DiskMiB: 30}},
		{Resources: model.Resources{CPUMilli: 3000}, Constraints: in("zone", "z1")},
		{Resources: model.Resources{CPUMilli: 500, Devices: gpu(1, 300, 0)}},
		{Resources: model.Resources{CPUMilli: 500, Devices: gpu(1, 100, 700)}},
		{Resources: model.Resources{CPUMilli: 500, Devices: gpu(1, 1000, 0)}, Constraints: in("zone", "z2")},
		{Resources: model.Resources{CPUMilli: 500, Devices: gpu(2, 1000, 0)}},
		{Resources: model.Resources{CPUMilli: 500, Devices: gpu(1, 500, 0)}, Constraints: in("node", "n1")},
	} {
		out = append(out, p.Intern(&model.TaskGroup{}, &v))
	}
	return out
}

// asking is a job that lets shapes be told apart by zone.
func asking() []*model.Job {
	g := model.TaskGroup{Variants: []model.Variant{{Constraints: []model.Constraint{{Attribute: "zone", Operator: model.Exists}}}}}
	return []*model.Job{{Spec: &model.JobSpec{Groups: []model.TaskGroup{g}}, Groups: []model.GroupStatus{{Waiting: model.NewSet(0, 1)}}}}
}

func begin(p *Placer, nodes []*model.Node) {
	in := Input{Jobs: asking(), MaxSteps: 1 << 40}
	for _, n := range nodes {
		in.Nodes = append(in.Nodes, fleet.View{Node: n, Free: resource.Whole(n)})
	}
	p.Begin(in)
}

// scan finds the best node by rating every one.
func scan(p *Placer, c *request.Class) (best int, ok bool) {
	var least potential.Rank
	p.sync()
	for i := range p.fleet.Len() {
		if p.sites[i].odd {
			continue
		}
		if _, r, fits := p.states.Rate(c.ID, i); fits && (!ok || r.Before(&least)) {
			best, least, ok = i, r, true
		}
	}
	return best, ok
}

// TestTheIndexNamesTheNodeThatAScanWouldFind, through placements, rollbacks and
// new cycles; nodes that the potential cannot describe come last.
func TestTheIndexNamesTheNodeThatAScanWouldFind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := New(potential.Config{Sequences: 4, Prices: potential.PriceConfig{RefreshEvery: rapid.IntRange(1, 4).Draw(t, "refresh")}})
		if err != nil {
			t.Fatal(err)
		}
		var nodes []*model.Node
		for i := range rapid.IntRange(1, 12).Draw(t, "nodes") {
			nodes = append(nodes, drawNode(t, fmt.Sprintf("n%02d", i)))
		}
		begin(p, nodes)
		past := []fleet.Checkpoint{p.fleet.Checkpoint()}
		t.Repeat(map[string]func(*rapid.T){
			"place": func(t *rapid.T) {
				c := rapid.SampledFrom(classes(p)).Draw(t, "class")
				if f, ok := p.Best(c); ok {
					p.Take(c, f)
					past = append(past, p.fleet.Checkpoint())
				}
			},
			"rollback": func(t *rapid.T) {
				k := rapid.IntRange(0, len(past)-1).Draw(t, "to")
				p.fleet.Rollback(past[k])
				past = past[:k+1]
			},
			"cycle": func(t *rapid.T) {
				begin(p, nodes)
				past = []fleet.Checkpoint{p.fleet.Checkpoint()}
			},
			"": func(t *rapid.T) {
				c := rapid.SampledFrom(classes(p)).Draw(t, "checked")
				if !p.Plain(c) {
					return
				}
				got, ok := p.Best(c)
				want, wantOK := scan(p, c)
				if wantOK && (!ok || got.Node != want) {
					t.Fatalf("class %d: the index says %d %v, a scan %d", c.ID, got.Node, ok, want)
				}
				if !wantOK && ok && !p.sites[got.Node].odd {
					t.Fatalf("class %d: the index says %d, a scan nothing", c.ID, got.Node)
				}
			},
		})
	})
}

// TestPlacingAllocatesNothingOnceWarm: the same states come and go.
func TestPlacingAllocatesNothingOnceWarm(t *testing.T) {
	p, err := New(potential.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var nodes []*model.Node
	for i := range 200 {
		nodes = append(nodes, &model.Node{
			Name: fmt.Sprintf("n%03d", i), State: model.NodeReady, CPUMilli: 64_000, MemoryMiB: 64 << 10, DiskMiB: 1000, Devices: gpus(4, 16<<10),
		})
	}
	begin(p, nodes)
	all := classes(p)[2:6]
	start := p.fleet.Checkpoint()
	placed := 0
	round := func() {
		for i := range 400 {
			if f, ok := p.Best(all[i%len(all)]); ok {
				p.Take(all[i%len(all)], f)
				placed++
			}
		}
		p.fleet.Rollback(start)
	}
	for range 50 {
		round()
	}
	placed = 0
	perRound := testing.AllocsPerRun(50, round)
	// What may be allocated is a block of device shares now and then.
	if perPlacement := perRound * 51 / float64(placed); perPlacement > 0.01 {
		t.Errorf("%.3f allocations for each of %d placements", perPlacement, placed)
	}
}
