package core_test

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/core"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// books replays a plan on copies of an input's nodes.
type books struct {
	nodes []core.NodeView
}

func newBooks(in core.Input) *books {
	b := &books{}
	for _, v := range in.Nodes {
		b.nodes = append(b.nodes, core.NodeView{Node: v.Node, Free: v.Free.Clone()})
	}
	return b
}

func (b *books) take(t *rapid.T, j *model.Job, s *core.PlacementSet, p core.Placement) {
	t.Helper()
	i := slices.IndexFunc(b.nodes, func(v core.NodeView) bool { return v.Node.Name == p.Node })
	if i < 0 {
		t.Fatalf("%s is placed on %s, which there is not", s.Job, p.Node)
	}
	r := &j.Spec.Groups[s.Group].Variants[s.Variant].Resources
	a := resource.Amount{CPUMilli: r.CPUMilli, MemoryMiB: r.MemoryMiB, DiskMiB: r.DiskMiB, Devices: p.Devices, Exclusive: j.Spec.Groups[s.Group].Exclusive}
	if err := b.nodes[i].Free.Take(b.nodes[i].Node, a); err != nil {
		t.Fatalf("%s group %d task %d: %v", s.Job, s.Group, p.Ordinal, err)
	}
}

// may reports whether a variant may run on a node at all, written out anew.
func may(g *model.TaskGroup, v *model.Variant, n *model.Node) bool {
	if n.State != model.NodeReady || n.Draining || n.Simulated != (v.Driver == model.DriverSim) {
		return false
	}
	for _, c := range append(slices.Clone(g.Constraints), v.Constraints...) {
		if a, ok := n.Attribute(c.Attribute); !c.Holds(a, ok) {
			return false
		}
	}
	return true
}

// serves reports whether a device may serve a request, and what it then gives.
func serves(r *model.DeviceRequest, d *model.Device) (share model.DeviceShare, ok bool) {
	share = model.DeviceShare{Device: d.ID, Thousandths: r.Thousandths, MemoryMiB: r.MemoryMiB, Media: r.Media}
	switch {
	case r.Thousandths == 1000:
		share.MemoryMiB = d.MemoryMiB
	case r.MemoryMiB == 0:
		share.MemoryMiB = (d.MemoryMiB*int64(r.Thousandths) + int64(d.Thousandths) - 1) / int64(d.Thousandths)
	}
	for _, c := range r.Constraints {
		if a, has := d.Attribute(c.Attribute); !c.Holds(a, has) {
			return share, false
		}
	}
	region := d.Attributes["region"].Text != ""
	if r.Image != "" && d.Attributes["image"].Text != r.Image && !region {
		return share, false
	}
	if !within(r.Media, mediaOf(d)) {
		return share, false
	}
	return share, d.Kind == r.Kind && d.Thousandths >= r.Thousandths && d.MemoryMiB >= r.MemoryMiB
}

// mediaOf reads what a device advertises of its video engines.
func mediaOf(d *model.Device) model.Media {
	return model.Media{
		Sessions:    int32(d.Attributes["encoder_sessions"].Milli / 1000),
		EncodeMilli: int32(d.Attributes["encode"].Milli), DecodeMilli: int32(d.Attributes["decode"].Milli),
	}
}

func within(part, whole model.Media) bool {
	return part.Sessions <= whole.Sessions && part.EncodeMilli <= whole.EncodeMilli && part.DecodeMilli <= whole.DecodeMilli
}

// fits tries every way of handing out devices.
func fits(g *model.TaskGroup, v *model.Variant, n *model.Node, f *resource.Free) bool {
	r := &v.Resources
	if !may(g, v, n) || r.CPUMilli > f.CPUMilli || r.MemoryMiB > f.MemoryMiB || r.DiskMiB > f.DiskMiB {
		return false
	}
	if f.Exclusive || g.Exclusive && f.Tasks > 0 {
		return false
	}
	var units []*model.DeviceRequest
	for i := range r.Devices {
		for range r.Devices[i].Count {
			units = append(units, &r.Devices[i])
		}
	}
	return seats(units, n, f, map[int]bool{})
}

func seats(units []*model.DeviceRequest, n *model.Node, f *resource.Free, used map[int]bool) bool {
	if len(units) == 0 {
		return true
	}
	for k := range n.Devices {
		left := f.Devices[k]
		if s, ok := serves(units[0], &n.Devices[k]); !ok || used[k] || !left.Healthy || left.Thousandths < s.Thousandths || left.MemoryMiB < s.MemoryMiB || !within(s.Media, left.Media) {
			continue
		}
		used[k] = true
		if seats(units[1:], n, f, used) {
			return true
		}
		delete(used, k)
	}
	return false
}

func jobOf(in core.Input, id string) *model.Job {
	return in.Jobs[slices.IndexFunc(in.Jobs, func(j *model.Job) bool { return j.ID == id })]
}

// TestPlacementsAreAllowed: every placement is of a ready task, once, on a node
// that takes it, within what is free, with the devices that were asked for.
func TestPlacementsAreAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		plan, _ := core.Solve(in)
		b := newBooks(in)
		placed := map[string]map[int]*model.Set{}
		for i := range plan.Sets {
			s := &plan.Sets[i]
			j := jobOf(in, s.Job)
			g := &j.Spec.Groups[s.Group]
			if placed[s.Job] == nil {
				placed[s.Job] = map[int]*model.Set{}
			}
			if placed[s.Job][s.Group] == nil {
				placed[s.Job][s.Group] = &model.Set{}
			}
			for _, p := range s.Placements {
				tasks := tasksOf(p)
				if first, _ := tasks.Min(); first != p.Ordinal || p.Chunk.Len() == 1 {
					t.Fatalf("%s group %d: %s does not begin with %d", s.Job, s.Group, tasks, p.Ordinal)
				}
				if !tasks.Subtract(j.Ready(s.Group, in.Now)).Empty() || !tasks.Intersect(*placed[s.Job][s.Group]).Empty() {
					t.Fatalf("%s group %d tasks %s are not ready, or placed twice", s.Job, s.Group, tasks)
				}
				*placed[s.Job][s.Group] = placed[s.Job][s.Group].Union(tasks)
				n := in.Nodes[slices.IndexFunc(in.Nodes, func(v core.NodeView) bool { return v.Node.Name == p.Node })].Node
				if !may(g, &g.Variants[s.Variant], n) {
					t.Fatalf("%s group %d may not run on %s", s.Job, s.Group, p.Node)
				}
				requireDevices(t, &g.Variants[s.Variant].Resources, n, p.Devices)
				b.take(t, j, s, p)
			}
		}
	})
}

func tasksOf(p core.Placement) model.Set {
	return (&model.Allocation{Ordinal: p.Ordinal, Chunk: p.Chunk}).Tasks()
}

// requireDevices fails unless the shares are what the requests ask for, in
// their order, on distinct devices.
func requireDevices(t *rapid.T, r *model.Resources, n *model.Node, shares []model.DeviceShare) {
	t.Helper()
	at, seen := 0, map[string]bool{}
	for i := range r.Devices {
		for range r.Devices[i].Count {
			if at == len(shares) {
				t.Fatalf("%d device shares are too few for %+v", len(shares), r.Devices)
			}
			d := n.Devices[resource.DeviceIndex(n, shares[at].Device)]
			if want, ok := serves(&r.Devices[i], &d); !ok || want != shares[at] || seen[d.ID] {
				t.Fatalf("%+v got %+v, want %+v", r.Devices[i], shares[at], want)
			}
			seen[d.ID] = true
			at++
		}
	}
	if at != len(shares) {
		t.Fatalf("%d device shares are too many for %+v", len(shares), r.Devices)
	}
}

// TestGangsStartWholeOrNotAtAll, and no other group passes its bounds.
func TestGangsStartWholeOrNotAtAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		plan, _ := core.Solve(in)
		sets := map[string]int{}
		for _, s := range plan.Sets {
			j := jobOf(in, s.Job)
			g, status := &j.Spec.Groups[s.Group], &j.Groups[s.Group]
			if s.Gang != g.Gang || len(s.Placements) == 0 {
				t.Fatalf("%s group %d: gang %v, %d placements", s.Job, s.Group, s.Gang, len(s.Placements))
			}
			if !g.Gang {
				continue
			}
			key := s.Job + g.Name
			sets[key]++
			nodes := map[string]bool{}
			for _, p := range s.Placements {
				if nodes[p.Node] && g.PerNode {
					t.Fatalf("%s group %d: two tasks on %s", s.Job, s.Group, p.Node)
				}
				nodes[p.Node] = true
			}
			if int64(len(s.Placements)) != status.Waiting.Len() || !status.Active.Empty() || sets[key] > 1 {
				t.Fatalf("%s group %d: %d of %d waiting members start, %d are active", s.Job, s.Group, len(s.Placements), status.Waiting.Len(), status.Active.Len())
			}
		}
	})
}

// TestBoundsHold: max_running, same_variant, the limits of queues, and the
// limits of the cycle.
func TestBoundsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		plan, _ := core.Solve(in)
		running, variants := map[string]int64{}, map[string]int{}
		cores, devices := map[string]int64{}, map[string]int64{}
		for _, s := range plan.Sets {
			j := jobOf(in, s.Job)
			g := &j.Spec.Groups[s.Group]
			n := int64(len(s.Placements))
			key := s.Job + g.Name
			running[key] += n
			if v, known := variants[key]; g.SameVariant && known && v != s.Variant {
				t.Fatalf("%s group %d starts with two variants", s.Job, s.Group)
			}
			variants[key] = s.Variant
			if most := int64(g.MaxRunning); most > 0 && running[key]+j.Groups[s.Group].Running() > most {
				t.Fatalf("%s group %d runs %d and %d more, over %d", s.Job, s.Group, j.Groups[s.Group].Running(), running[key], most)
			}
			r := &g.Variants[s.Variant].Resources
			cores[j.Spec.Queue] += n * r.CPUMilli
			for _, d := range r.Devices {
				devices[j.Spec.Queue] += n * int64(d.Count) * int64(d.Thousandths)
			}
		}
		requireQueues(t, in, cores, devices)
	})
}

func requireQueues(t *rapid.T, in core.Input, cores, devices map[string]int64) {
	t.Helper()
	below := map[string][]string{"a": {"a", "a-1", "a-2"}, "a-1": {"a-1"}, "a-2": {"a-2"}, "default": {"default", ""}}
	for _, q := range in.Queues {
		var used, moreCores, moreDevices int64
		for _, name := range below[q.Queue.Name] {
			moreCores += cores[name]
			moreDevices += devices[name]
			for _, o := range in.Queues {
				if o.Queue.Name == name {
					used += o.UsedCPUMilli
				}
			}
		}
		if most := q.Queue.MaxCPUMilli; most > 0 && moreCores > 0 && used+moreCores > most {
			t.Fatalf("queue %s holds %d, gets %d, over %d", q.Queue.Name, used, moreCores, most)
		}
		if most := q.Queue.MaxDevicesMilli; most > 0 && moreDevices > most {
			t.Fatalf("queue %s gets %d thousandths of devices, over %d", q.Queue.Name, moreDevices, most)
		}
	}
}

// TestWhoWaitsHasAReason: the trace adds up, and a group that is told there is
// no room finds none by trying every node.
func TestWhoWaitsHasAReason(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		plan, trace := core.Solve(in)
		b := newBooks(in)
		var placed int64
		for i := range plan.Sets {
			for _, p := range plan.Sets[i].Placements {
				b.take(t, jobOf(in, plan.Sets[i].Job), &plan.Sets[i], p)
				placed += tasksOf(p).Len()
			}
		}
		for i := range trace.Groups {
			g := &trace.Groups[i]
			placed -= g.Placed
			requireReason(t, in, b, g)
		}
		if placed != 0 {
			t.Fatalf("the trace misses %d placements of the plan", placed)
		}
	})
}

func requireReason(t *rapid.T, in core.Input, b *books, g *core.GroupTrace) {
	t.Helper()
	j := jobOf(in, g.Job)
	spec := &j.Spec.Groups[g.Group]
	whole := g.Placed == g.Ready
	switch g.Code {
	case core.CodePlaced:
		whole = whole && g.Blocked == 0
	case core.CodeBlocked:
		whole = whole || spec.Gang
	case core.CodeHeld:
		whole = whole && g.Held > 0
	default:
		whole = !whole
	}
	if !whole {
		t.Fatalf("%s/%s: %s with %d of %d placed and %d blocked", g.Job, g.Name, g.Code, g.Placed, g.Ready, g.Blocked)
	}
	for _, v := range g.Variants {
		sum := v.Fits
		for _, r := range v.Rejections {
			sum += r.Nodes
			if r.IfEmpty > r.Nodes || r.Nodes <= 0 {
				t.Fatalf("%s/%s: rejection %+v", g.Job, g.Name, r)
			}
		}
		if sum != v.Nodes || v.Nodes != int64(len(in.Nodes)) {
			t.Fatalf("%s/%s: %d nodes are accounted for, of %d", g.Job, g.Name, sum, len(in.Nodes))
		}
		variant := &spec.Variants[slices.IndexFunc(spec.Variants, func(x model.Variant) bool { return x.Name == v.Variant })]
		requireFits(t, b, g, spec, variant, v.Fits)
	}
}

func requireFits(t *rapid.T, b *books, g *core.GroupTrace, spec *model.TaskGroup, v *model.Variant, said int64) {
	t.Helper()
	var now, empty int64
	for _, n := range b.nodes {
		if fits(spec, v, n.Node, n.Free) {
			now++
		}
		if fits(spec, v, n.Node, resource.Whole(n.Node)) {
			empty++
		}
	}
	if now != said || (now > 0 && !spec.Gang) {
		t.Fatalf("%s/%s: %s is said to fit %d nodes and fits %d", g.Job, g.Name, v.Name, said, now)
	}
	if g.Code == core.CodeNeverFits && empty > 0 && !spec.Gang {
		t.Fatalf("%s/%s: %s is said never to fit, but %d empty nodes would do", g.Job, g.Name, v.Name, empty)
	}
}

// TestEqualInputsGiveEqualPlans, whatever the order in which maps were filled,
// and leave the input as it was.
func TestEqualInputsGiveEqualPlans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		twin := copyInput(in)
		plan, trace := core.Solve(in)
		if !reflect.DeepEqual(in, twin) {
			t.Fatal("Solve changed its input")
		}
		again, traceAgain := core.Solve(twin)
		if !reflect.DeepEqual(plan, again) || !reflect.DeepEqual(trace, traceAgain) {
			t.Fatalf("one input, two outcomes:\n%+v\n%+v", plan, again)
		}
	})
}

// copyInput returns a deep copy whose attribute maps were filled backwards.
func copyInput(in core.Input) core.Input {
	out := in
	out.Nodes, out.Jobs = nil, nil
	for _, v := range in.Nodes {
		n := v.Node.Clone()
		n.Attributes = map[string]model.Attribute{}
		for _, k := range []string{"kernel", "licence", "driver"} {
			n.Attributes[k] = v.Node.Attributes[k]
		}
		out.Nodes = append(out.Nodes, core.NodeView{Node: n, Free: v.Free.Clone()})
	}
	for _, j := range in.Jobs {
		out.Jobs = append(out.Jobs, j.Clone())
	}
	return out
}

// TestMoreNodesPlaceNoFewer holds for tasks that are all alike.
func TestMoreNodesPlaceNoFewer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		in.Limits, in.Queues = core.Limits{}, nil
		g := drawGroup(t, 0)
		g.Variants, g.MaxRunning = g.Variants[:1], 0
		in.Jobs = []*model.Job{newJob("j", 1, &model.JobSpec{Groups: []model.TaskGroup{g}})}
		before, _ := core.Solve(in)
		in.Nodes = append(in.Nodes, drawNode(t, "n9"))
		if after, _ := core.Solve(in); after.Placed() < before.Placed() {
			t.Fatalf("%d placed, but %d with one node more", before.Placed(), after.Placed())
		}
	})
}

// TestDryRunIsWhatSubmitWouldDo: the plan of a dry run is what the job gets
// when it is then submitted.
func TestDryRunIsWhatSubmitWouldDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		spec := &model.JobSpec{Groups: []model.TaskGroup{drawGroup(t, 0)}}
		dry, _ := core.DryRun(in, spec)
		in.Jobs = append(slices.Clone(in.Jobs), newJob(core.DryRunJob, 1000, spec))
		real, _ := core.Solve(in)
		real.Sets = slices.DeleteFunc(real.Sets, func(s core.PlacementSet) bool { return s.Job != core.DryRunJob })
		if !reflect.DeepEqual(dry, real) {
			t.Fatalf("promised %+v, got %+v", dry, real)
		}
	})
}

// competing reports whether a variant asks twice for one kind of device; of a
// gang of such tasks only an upper bound of the room is known.
func competing(g *model.TaskGroup) bool {
	return slices.ContainsFunc(g.Variants, func(v model.Variant) bool {
		d := v.Resources.Devices
		return len(d) > 1 && d[0].Kind == d[1].Kind
	})
}

// TestNeverFitsIsSaidAtSubmissionToo: FitsEmpty names exactly the groups that
// a cycle on the empty fleet could not place.
func TestNeverFitsIsSaidAtSubmissionToo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in core.Input
		var nodes []*model.Node
		for _, v := range drawInput(t).Nodes {
			n := v.Node.Clone()
			n.State, n.Draining = model.NodeReady, false
			for i := range n.Devices {
				n.Devices[i].Healthy = true
			}
			nodes = append(nodes, n)
			in.Nodes = append(in.Nodes, core.NodeView{Node: n, Free: resource.Whole(n)})
		}
		g := drawGroup(t, 0)
		g.MaxRunning, g.Limits = 0, nil
		spec := &model.JobSpec{Groups: []model.TaskGroup{g}}
		never := len(core.FitsEmpty(spec, slices.Values(nodes))) > 0
		in.Jobs = []*model.Job{newJob("j", 1, spec)}
		plan, _ := core.Solve(in)
		if none := plan.Placed() == 0; never && !none || none && !never && !(g.Gang && competing(&g)) {
			t.Fatalf("said never to fit: %v, but %d placed", never, plan.Placed())
		}
	})
}
