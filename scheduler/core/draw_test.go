package core_test

import (
	"fmt"

	"pgregory.net/rapid"

	"caravan/scheduler/core"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// What a random input looks like: a handful of nodes of a few shapes, partly
// in use, and jobs whose demands just about fit them.

func drawInput(t *rapid.T) core.Input {
	in := core.Input{Now: 1}
	for i := range rapid.IntRange(0, 7).Draw(t, "nodes") {
		in.Nodes = append(in.Nodes, drawNode(t, fmt.Sprintf("n%d", i)))
	}
	for _, q := range []*model.Queue{{Name: "a"}, {Name: "a-1", Parent: "a"}, {Name: "a-2", Parent: "a"}, {Name: "default"}} {
		if rapid.Bool().Draw(t, "limited") {
			q.MaxCPUMilli = rapid.Int64Range(0, 12_000).Draw(t, "cores")
			q.MaxDevicesMilli = rapid.Int64Range(0, 3000).Draw(t, "devices")
		}
		in.Queues = append(in.Queues, core.QueueView{Queue: q, UsedCPUMilli: rapid.Int64Range(0, 3000).Draw(t, "used")})
	}
	for i := range rapid.IntRange(0, 7).Draw(t, "jobs") {
		in.Jobs = append(in.Jobs, drawJob(t, i))
	}
	if rapid.IntRange(0, 3).Draw(t, "bounded") == 0 {
		in.Limits.MaxPlacements = rapid.Int64Range(1, 10).Draw(t, "placements")
		in.Limits.MaxSteps = rapid.Int64Range(1, 60).Draw(t, "steps")
	}
	drawLimits(t, &in)
	return in
}

func drawNode(t *rapid.T, name string) core.NodeView {
	n := &model.Node{
		Name: name, State: model.NodeReady,
		CPUMilli: rapid.Int64Range(1, 8).Draw(t, "cores") * 1000, MemoryMiB: rapid.Int64Range(1, 8).Draw(t, "GiB") << 10, DiskMiB: 1 << 20,
		Zone: rapid.SampledFrom([]string{"", "z1", "z2"}).Draw(t, "zone"), Rack: rapid.SampledFrom([]string{"", "r1", "r2"}).Draw(t, "rack"),
		Family: rapid.SampledFrom([]string{"c4", "ga1"}).Draw(t, "family"), Attributes: map[string]model.Attribute{},
		PriceMicroPerHour: rapid.Int64Range(0, 3).Draw(t, "price") * 1_000_000,
		Simulated:         rapid.IntRange(0, 4).Draw(t, "simulated") == 0, Draining: rapid.IntRange(0, 6).Draw(t, "draining") == 0,
	}
	if rapid.IntRange(0, 6).Draw(t, "lost") == 0 {
		n.State = model.NodeLost
	}
	for _, a := range []string{"driver", "licence", "kernel"} {
		n.Attributes[a] = model.Milli(rapid.Int64Range(1, 3).Draw(t, a) * 1000)
	}
	for _, kind := range []string{model.KindFPGA, model.KindGPU} {
		for i := range rapid.SampledFrom([]int{0, 1, 2, 3}).Draw(t, kind) {
			attributes := map[string]model.Attribute{}
			if kind == model.KindGPU && rapid.Bool().Draw(t, "video") {
				attributes["encoder_sessions"] = model.Milli(rapid.Int64Range(1, 3).Draw(t, "sessions") * 1000)
				attributes["encode"] = model.Milli(1000)
			}
			if kind == model.KindFPGA && rapid.Bool().Draw(t, "region") {
				attributes["region"] = model.Text("ready")
				attributes["image"] = model.Text(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "image"))
			}
			n.Devices = append(n.Devices, model.Device{
				Attributes: attributes,
				ID:         fmt.Sprintf("%s%d", kind, i), Kind: kind, Healthy: rapid.IntRange(0, 9).Draw(t, "sick") > 0,
				Thousandths: rapid.SampledFrom([]int32{1000, 1000, 250}).Draw(t, "offered"),
				MemoryMiB:   rapid.Int64Range(1, 4).Draw(t, "device GiB") << 10,
			})
		}
	}
	return core.NodeView{Node: n, Free: drawUse(t, n)}
}

// drawUse returns a node's books with something taken already.
func drawUse(t *rapid.T, n *model.Node) *resource.Free {
	f := resource.Whole(n)
	if f.Tasks = rapid.Int32Range(0, 2).Draw(t, "tasks there"); f.Tasks == 0 {
		return f
	}
	f.Exclusive = f.Tasks == 1 && rapid.IntRange(0, 3).Draw(t, "has it to itself") == 0
	f.CPUMilli -= rapid.Int64Range(0, f.CPUMilli/1000).Draw(t, "cores in use") * 1000
	for i := range f.Devices {
		d := &f.Devices[i]
		if rapid.IntRange(0, 2).Draw(t, "device in use") == 0 {
			d.Thousandths -= rapid.Int32Range(0, d.Thousandths/125).Draw(t, "eighths in use") * 125
			d.MemoryMiB = d.MemoryMiB * int64(d.Thousandths) / int64(n.Devices[i].Thousandths)
		}
	}
	return f
}

func drawJob(t *rapid.T, i int) *model.Job {
	spec := &model.JobSpec{
		Queue: rapid.SampledFrom([]string{"", "a", "a-1", "a-2", "unknown"}).Draw(t, "queue"), Priority: rapid.Int32Range(-1, 1).Draw(t, "priority"),
	}
	for g := range rapid.SampledFrom([]int{1, 2, 2, 3}).Draw(t, "groups") {
		spec.Groups = append(spec.Groups, drawGroup(t, g))
	}
	j := newJob(fmt.Sprintf("j%d", i), uint64(i+1), spec)
	for g := range j.Groups {
		drawProgress(t, &j.Groups[g])
	}
	return j
}

func drawGroup(t *rapid.T, g int) model.TaskGroup {
	group := model.TaskGroup{
		Name: fmt.Sprintf("g%d", g), Gang: rapid.Bool().Draw(t, "gang"), SameVariant: rapid.Bool().Draw(t, "same variant"),
		MaxRunning:  rapid.SampledFrom([]int32{0, 0, 2, 5}).Draw(t, "max running"),
		Indices:     model.Indices{Ranges: model.Count(rapid.Int64Range(1, 12).Draw(t, "indices")).Ranges, Chunk: rapid.Int64Range(1, 3).Draw(t, "chunk")},
		Constraints: drawConstraints(t), Exclusive: rapid.IntRange(0, 5).Draw(t, "exclusive") == 0,
	}
	group.Order = rapid.SampledFrom([]model.Order{0, 0, model.OrderReverse, model.OrderInterleave, model.OrderFirstMiddleLast}).Draw(t, "order")
	group.Indices.Auto = group.Indices.Chunk == 1 && !group.Gang && rapid.Bool().Draw(t, "auto")
	if group.Gang {
		group.Indices.Chunk = 1
	}
	if rapid.IntRange(0, 2).Draw(t, "limited") == 0 {
		group.Limits = []model.LimitUse{{Name: rapid.SampledFrom([]string{"io", "maya", "nvenc"}).Draw(t, "limit"), Count: rapid.Int64Range(1, 3).Draw(t, "use")}}
	}
	group.PerNode = group.Gang && rapid.IntRange(0, 3).Draw(t, "per node") == 0
	if g > 0 {
		switch up := rapid.IntRange(0, g-1).Draw(t, "upstream"); rapid.IntRange(0, 2).Draw(t, "dependency") {
		case 1:
			group.DependsOn = append(group.DependsOn, model.Dependency{Group: up})
		case 2:
			group.DependsOn = append(group.DependsOn, model.Dependency{Group: up, Each: true})
		}
	}
	for v := range rapid.IntRange(1, 3).Draw(t, "variants") {
		group.Variants = append(group.Variants, drawVariant(t, fmt.Sprintf("v%d", v)))
	}
	return group
}

func drawConstraints(t *rapid.T) []model.Constraint {
	if rapid.IntRange(0, 2).Draw(t, "constrained") > 0 {
		return nil
	}
	return constraints(rapid.SampledFrom([]string{"family:ga1", "zone:!z1", "driver:>=2", "licence:<3,kernel:1|2", "rack:*"}).Draw(t, "constraint"))
}

// drawVariant asks for a kind of device once or, with different wishes, twice.
func drawVariant(t *rapid.T, name string) model.Variant {
	v := model.Variant{Name: name, Driver: model.DriverExec, SpeedPermille: rapid.SampledFrom([]int32{0, 1000, 2000}).Draw(t, "speed")}
	if rapid.IntRange(0, 3).Draw(t, "sim") == 0 {
		v.Driver = model.DriverSim
	}
	v.Resources.CPUMilli = rapid.Int64Range(0, 3).Draw(t, "cpu") * 1000
	v.Resources.MemoryMiB = rapid.Int64Range(0, 3).Draw(t, "memory") << 9
	for _, kind := range []string{model.KindGPU, model.KindGPU, model.KindFPGA} {
		if rapid.IntRange(0, 2).Draw(t, kind) > 0 {
			continue
		}
		r := model.DeviceRequest{Kind: kind, Count: 1, Thousandths: rapid.SampledFrom([]int32{125, 250, 333, 1000}).Draw(t, "share")}
		if !r.Fraction() {
			r.Count = rapid.Int32Range(1, 2).Draw(t, "count")
		}
		if rapid.Bool().Draw(t, "explicit") {
			r.MemoryMiB = rapid.Int64Range(1, 3).Draw(t, "share memory") << 9
		}
		if kind == model.KindGPU && rapid.IntRange(0, 3).Draw(t, "video") == 0 {
			r.Media = model.Media{Sessions: rapid.Int32Range(0, 2).Draw(t, "sessions"), EncodeMilli: rapid.SampledFrom([]int32{0, 250, 500}).Draw(t, "encode")}
		}
		if kind == model.KindFPGA && rapid.IntRange(0, 2).Draw(t, "programmed") == 0 {
			r.Image = rapid.SampledFrom([]string{"x", "z"}).Draw(t, "image")
		}
		if rapid.IntRange(0, 3).Draw(t, "choosy") == 0 {
			r.Constraints = constraints("memory:>=2GiB")
		}
		v.Resources.Devices = append(v.Resources.Devices, r)
	}
	v.Constraints = drawConstraints(t)
	return v
}

func drawProgress(t *rapid.T, s *model.GroupStatus) {
	mix := rapid.SampledFrom([]string{"waiting", "some", "done"}).Draw(t, "progress")
	for o := range s.Waiting.Clone().All() {
		to := &s.Succeeded
		switch {
		case mix == "waiting", mix == "some" && rapid.Bool().Draw(t, "waits"):
			continue
		case mix == "some" && rapid.IntRange(0, 2).Draw(t, "active") == 0:
			to = &s.Active
		}
		s.Waiting.Remove(o)
		to.Add(o)
	}
}
