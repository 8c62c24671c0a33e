package core_test

import (
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/core"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// drawRuled draws an input whose groups have rules about their neighbours, and
// whose active tasks stand somewhere.
func drawRuled(t *rapid.T) core.Input {
	in := drawCrowd(t)
	if rapid.Bool().Draw(t, "mixed") {
		in = drawInput(t)
	}
	in.PriceWeight = rapid.SampledFrom([]int64{0, 0, 100, 100_000}).Draw(t, "price weight")
	domains := rapid.SampledFrom([]model.Domain{model.DomainNode, model.DomainNode, model.DomainRack, model.DomainZone})
	for _, j := range in.Jobs {
		j.Spec.Name = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name")
		j.Spec.Labels = rapid.SampledFrom([]map[string]string{nil, {"tier": "db"}, {"tier": "web", "noisy": ""}}).Draw(t, "labels")
		for g := range j.Spec.Groups {
			group := &j.Spec.Groups[g]
			if rapid.IntRange(0, 2).Draw(t, "spread") == 0 {
				group.Spread = append(group.Spread, model.Spread{Over: domains.Draw(t, "over"), MaxSkew: rapid.Int32Range(1, 2).Draw(t, "skew")})
			}
			if rapid.IntRange(0, 2).Draw(t, "apart") == 0 {
				a := rapid.SampledFrom([]model.Apart{{}, {Job: "a"}, {Label: "tier", Value: "db", WithValue: true}, {Label: "noisy"}}).Draw(t, "from")
				a.Over = domains.Draw(t, "over")
				group.Apart = append(group.Apart, a)
			}
			for range j.Groups[g].Active.All() {
				if len(in.Nodes) > 0 {
					n := rapid.SampledFrom(in.Nodes).Draw(t, "where").Node.Name
					in.Occupants = append(in.Occupants, core.Occupant{Job: j, Group: g, Node: n, Tasks: 1})
				}
			}
		}
	}
	return in
}

// drawCrowd draws nodes with room for many, and many simple tasks, so that
// nothing but rules and video engines is in the way.
func drawCrowd(t *rapid.T) core.Input {
	in := core.Input{Now: 1}
	for i := range rapid.IntRange(2, 6).Draw(t, "nodes") {
		n := &model.Node{
			Name: fmt.Sprintf("n%d", i), State: model.NodeReady, CPUMilli: 32_000, MemoryMiB: 64 << 10,
			Zone: rapid.SampledFrom([]string{"z1", "z2", "z3"}).Draw(t, "zone"), Rack: rapid.SampledFrom([]string{"r1", "r2"}).Draw(t, "rack"),
		}
		for k := range rapid.IntRange(0, 2).Draw(t, "devices") {
			n.Devices = append(n.Devices, model.Device{
				ID: fmt.Sprintf("gpu%d", k), Kind: model.KindGPU, Thousandths: 1000, MemoryMiB: 16 << 10, Healthy: true,
				Attributes: map[string]model.Attribute{
					"encoder_sessions": model.Milli(rapid.Int64Range(1, 4).Draw(t, "sessions") * 1000), "encode": model.Milli(1000), "decode": model.Milli(500),
				},
			})
		}
		in.Nodes = append(in.Nodes, core.NodeView{Node: n, Free: resource.Whole(n)})
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "jobs") {
		v := model.Variant{Name: "v", Driver: model.DriverExec, Resources: model.Resources{CPUMilli: 1000, MemoryMiB: 1024}}
		if rapid.Bool().Draw(t, "video") {
			v.Resources.Devices = []model.DeviceRequest{{
				Kind: model.KindGPU, Count: 1, Thousandths: 50, MemoryMiB: 512,
				Media: model.Media{Sessions: rapid.Int32Range(0, 2).Draw(t, "sessions"), EncodeMilli: rapid.SampledFrom([]int32{0, 300}).Draw(t, "encode")},
			}}
		}
		g := model.TaskGroup{Name: "g", Indices: model.Count(rapid.Int64Range(1, 9).Draw(t, "tasks")), Gang: rapid.IntRange(0, 2).Draw(t, "gang") == 0, Variants: []model.Variant{v}}
		in.Jobs = append(in.Jobs, newJob(fmt.Sprintf("j%d", i), uint64(i+1), &model.JobSpec{Groups: []model.TaskGroup{g}}))
	}
	return in
}

// standing is a task on a node.
type standing struct {
	job   *model.Job
	group int
	node  *model.Node
	fresh bool
}

func (s standing) spec() *model.TaskGroup { return &s.job.Spec.Groups[s.group] }

// stand lists the tasks that ran before and those that a plan starts.
func stand(in core.Input, plan core.Plan) []standing {
	node := func(name string) *model.Node {
		return in.Nodes[slices.IndexFunc(in.Nodes, func(v core.NodeView) bool { return v.Node.Name == name })].Node
	}
	var all []standing
	for _, o := range in.Occupants {
		all = append(all, standing{o.Job, o.Group, node(o.Node), false})
	}
	for _, s := range plan.Sets {
		for _, p := range s.Placements {
			all = append(all, standing{jobOf(in, s.Job), s.Group, node(p.Node), true})
		}
	}
	return all
}

// forbids reports whether a rule of one group is broken by a task of another,
// written out anew.
func forbids(a, b standing) bool {
	for _, r := range a.spec().Apart {
		named := r.Job == "" && r.Label == "" && a.job == b.job && a.group == b.group
		if r.Job != "" {
			named = b.job.Spec.Name == r.Job
		}
		if r.Label != "" {
			value, ok := b.job.Spec.Labels[r.Label]
			named = ok && (!r.WithValue || value == r.Value)
		}
		if named && (r.Over.Of(a.node) == r.Over.Of(b.node) || b.fresh && r.Over.Of(b.node) == "" || a.fresh && r.Over.Of(a.node) == "") {
			return true
		}
	}
	return false
}

// TestTasksThatAreKeptApartNeverMeet, whichever of the two comes first.
func TestTasksThatAreKeptApartNeverMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawRuled(t)
		plan, _ := core.Solve(in)
		all := stand(in, plan)
		for i, a := range all {
			for k, b := range all {
				if i != k && (a.fresh || b.fresh) && forbids(a, b) {
					t.Fatalf("%s/%s on %s and %s/%s on %s meet", a.job.ID, a.spec().Name, a.node.Name, b.job.ID, b.spec().Name, b.node.Name)
				}
			}
		}
	})
}

// TestNoDomainGetsAheadByMoreThanTheSkew: a domain that got a task holds no more
// than the skew above any domain that could serve the group.
func TestNoDomainGetsAheadByMoreThanTheSkew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawRuled(t)
		plan, _ := core.Solve(in)
		all := stand(in, plan)
		for _, s := range all {
			for _, r := range s.spec().Spread {
				if !s.fresh {
					continue
				}
				counts := map[string]int32{}
				for _, v := range in.Nodes {
					if d := r.Over.Of(v.Node); d != "" && couldServe(s.spec(), s.job, s.group, v) {
						counts[d] += 0
					}
				}
				for _, o := range all {
					if _, could := counts[r.Over.Of(o.node)]; could && o.job == s.job && o.group == s.group {
						counts[r.Over.Of(o.node)]++
					}
				}
				for d, n := range counts {
					if counts[r.Over.Of(s.node)]-n > r.MaxSkew {
						t.Fatalf("%s/%s over %s: %v, %s is more than %d behind", s.job.ID, s.spec().Name, r.Over, counts, d, r.MaxSkew)
					}
				}
			}
		}
	})
}

// couldServe reports whether a node could serve any variant that the group may
// use, whatever it has left.
func couldServe(g *model.TaskGroup, j *model.Job, group int, v core.NodeView) bool {
	for i := range g.Variants {
		bound := int(j.Groups[group].VariantChosen) - 1
		if g.SameVariant && bound >= 0 && bound != i || !may(g, &g.Variants[i], v.Node) {
			continue
		}
		ok := true
		for r := range g.Variants[i].Resources.Devices {
			request := &g.Variants[i].Resources.Devices[r]
			found := int32(0)
			for d := range v.Node.Devices {
				if _, suits := serves(request, &v.Node.Devices[d]); suits {
					found++
				}
			}
			ok = ok && found >= request.Count
		}
		if ok {
			return true
		}
	}
	return false
}

// TestNoDimensionIsOverbooked: cores, memory, disk, each device's thousandths,
// memory and video engines; and who has a node to itself is alone there.
func TestNoDimensionIsOverbooked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawRuled(t)
		plan, _ := core.Solve(in)
		for _, v := range in.Nodes {
			var cores, memory int64
			devices := map[string]model.DeviceShare{}
			tasks, alone := v.Free.Tasks, v.Free.Exclusive
			for _, s := range plan.Sets {
				g := &jobOf(in, s.Job).Spec.Groups[s.Group]
				for _, p := range s.Placements {
					if p.Node != v.Node.Name {
						continue
					}
					tasks++
					alone = alone || g.Exclusive
					cores += g.Variants[s.Variant].Resources.CPUMilli
					memory += g.Variants[s.Variant].Resources.MemoryMiB
					for _, d := range p.Devices {
						sum := devices[d.Device]
						devices[d.Device] = model.DeviceShare{
							Thousandths: sum.Thousandths + d.Thousandths, MemoryMiB: sum.MemoryMiB + d.MemoryMiB, Media: sum.Media.Plus(d.Media),
						}
					}
				}
			}
			if cores > v.Free.CPUMilli || memory > v.Free.MemoryMiB {
				t.Fatalf("%s gives %d cores of %d, %d MiB of %d", v.Node.Name, cores, v.Free.CPUMilli, memory, v.Free.MemoryMiB)
			}
			if alone && tasks > 1 {
				t.Fatalf("%s has %d tasks, and one has it to itself", v.Node.Name, tasks)
			}
			for i, d := range v.Node.Devices {
				sum, left := devices[d.ID], v.Free.Devices[i]
				if sum.Thousandths > left.Thousandths || left.Thousandths > 1000 || sum.MemoryMiB > left.MemoryMiB || !within(sum.Media, left.Media) {
					t.Fatalf("%s %s gives %+v of %+v", v.Node.Name, d.ID, sum, left)
				}
			}
		}
	})
}

// TestTheOrderOfListsMeansNothing: of jobs and of running tasks, with rules.
func TestTheOrderOfListsMeansNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawRuled(t)
		plan, _ := core.Solve(in)
		shuffled := in
		shuffled.Jobs, shuffled.Occupants = slices.Clone(in.Jobs), slices.Clone(in.Occupants)
		r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
		r.Shuffle(len(in.Jobs), func(i, k int) {
			shuffled.Jobs[i], shuffled.Jobs[k] = shuffled.Jobs[k], shuffled.Jobs[i]
		})
		r.Shuffle(len(in.Occupants), func(i, k int) {
			shuffled.Occupants[i], shuffled.Occupants[k] = shuffled.Occupants[k], shuffled.Occupants[i]
		})
		if again, _ := core.Solve(shuffled); !reflect.DeepEqual(plan, again) {
			t.Fatalf("in another order\n%+v\ninstead of\n%+v", again, plan)
		}
	})
}

// TestRuledGangsAreWholeToo, and a workspace changes nothing about rules.
func TestRuledGangsAreWholeToo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawRuled(t)
		w := core.NewWorkspace()
		w.Solve(in)
		plan, _ := w.Solve(in)
		if fresh, _ := core.Solve(in); !reflect.DeepEqual(plan, fresh) {
			t.Fatalf("a workspace decides\n%+v\nand none\n%+v", plan, fresh)
		}
		for _, s := range plan.Sets {
			if s.Gang && int64(len(s.Placements)) != jobOf(in, s.Job).Groups[s.Group].Waiting.Len() {
				t.Fatalf("%s: %d members of a gang start", s.Job, len(s.Placements))
			}
		}
	})
}
