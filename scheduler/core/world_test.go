package core_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"caravan/scheduler/core"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// world is a small stand-in for the state: it carries out plans and ends
// tasks, so that a scenario can show one cycle after another.
type world struct {
	t       testing.TB
	nodes   []*model.Node
	jobs    []*model.Job
	queues  []*model.Queue
	limits  []*model.Limit
	now     model.Time
	running []*model.Allocation
	plan    core.Plan
	trace   core.Trace
}

func newWorld(t testing.TB) *world { return &world{t: t, now: 1} }

func (w *world) run(d *datadriven.TestData) string {
	words := make([]string, len(d.CmdArgs))
	for i, a := range d.CmdArgs {
		words[i] = a.Key
		if len(a.Vals) > 0 {
			words[i] += "=" + a.Vals[0]
		}
	}
	switch d.Cmd {
	case "nodes":
		return w.addNodes(words)
	case "node":
		return w.changeNode(words[0], words[1])
	case "queue":
		return w.addQueue(words)
	case "job":
		return w.addJob(words, d.Input)
	case "limit":
		return w.addLimit(words)
	case "mark":
		return w.mark(words)
	case "clock":
		w.now = model.Time(number(words[0])) * model.Time(model.Second)
		return ""
	case "solve":
		return w.solve(words)
	case "explain":
		return w.explain(words)
	case "why-there":
		return w.whyThere(words)
	case "apply":
		return w.apply()
	case "finish", "fail", "lose":
		return w.end(d.Cmd, words)
	case "free":
		return w.free()
	case "dry-run":
		spec := &model.JobSpec{Groups: parseGroups(d.Input)}
		plan, trace := core.DryRun(w.input(), spec)
		return w.show(plan, trace, []*model.Job{newJob(core.DryRunJob, 0, spec)})
	case "fits-empty":
		return printTrace(core.FitsEmpty(&model.JobSpec{Groups: parseGroups(d.Input)}, slices.Values(w.nodes)))
	}
	d.Fatalf(w.t, "unknown command %s", d.Cmd)
	return ""
}

func (w *world) addNodes(words []string) string {
	_, value := fields(words[1:])
	if value["count"] == "" {
		w.nodes = append(w.nodes, parseNode(words[0], words[1:]))
	} else {
		for i := range number(value["count"]) {
			w.nodes = append(w.nodes, parseNode(fmt.Sprintf("%s-%d", words[0], i+1), words[1:]))
		}
	}
	slices.SortFunc(w.nodes, func(a, b *model.Node) int { return cmp.Compare(a.Name, b.Name) })
	return ""
}

func (w *world) changeNode(name, what string) string {
	i := slices.IndexFunc(w.nodes, func(n *model.Node) bool { return n.Name == name })
	if i < 0 {
		return "no such node"
	}
	verb, device, _ := strings.Cut(what, "=")
	n := w.nodes[i].Clone()
	w.nodes[i] = n
	switch verb {
	case "drain", "undrain":
		n.Draining = verb == "drain"
	case "lose":
		n.State = model.NodeLost
	case "return":
		n.State = model.NodeReady
	case "remove":
		w.nodes = slices.Delete(w.nodes, i, i+1)
	case "sick", "heal":
		n.Devices = slices.Clone(n.Devices)
		n.Devices[resource.DeviceIndex(n, device)].Healthy = verb == "heal"
	case "fault":
		// DEVICE@HOURS: its newest fault was so long ago.
		id, ago, _ := strings.Cut(device, "@")
		n.Devices = slices.Clone(n.Devices)
		n.Devices[resource.DeviceIndex(n, id)].Health.LastFault = w.now - model.Time(number(ago)*int64(model.Hour))
	default:
		return "unknown change " + what
	}
	return ""
}

func (w *world) addQueue(words []string) string {
	q := &model.Queue{Name: words[0], Weight: 1}
	_, value := fields(words[1:])
	q.Parent = value["parent"]
	if s := value["cpu"]; s != "" {
		q.MaxCPUMilli = milli(s)
	}
	if s := value["memory"]; s != "" {
		q.MaxMemoryMiB = mib(s)
	}
	if s := value["devices"]; s != "" {
		q.MaxDevicesMilli = milli(s)
	}
	w.queues = append(w.queues, q)
	slices.SortFunc(w.queues, func(a, b *model.Queue) int { return cmp.Compare(a.Name, b.Name) })
	return ""
}

func (w *world) addJob(words []string, body string) string {
	spec := &model.JobSpec{Name: words[0], Groups: parseGroups(body)}
	_, value := fields(words[1:])
	spec.Queue = value["queue"]
	if s := value["priority"]; s != "" {
		spec.Priority = int32(number(s))
	}
	if s := value["label"]; s != "" {
		key, v, _ := strings.Cut(s, ":")
		spec.Labels = map[string]string{key: v}
	}
	w.jobs = append(w.jobs, newJob(words[0], uint64(len(w.jobs)+1), spec))
	return ""
}

func newJob(id string, numberOf uint64, spec *model.JobSpec) *model.Job {
	j := &model.Job{ID: id, Number: numberOf, Spec: spec, State: model.JobPending}
	for i := range spec.Groups {
		j.Groups = append(j.Groups, model.GroupStatus{Waiting: model.NewSet(0, spec.Groups[i].Indices.Tasks())})
	}
	return j
}

// input is what the leader would hand to Solve.
func (w *world) input() core.Input {
	in := core.Input{Now: w.now, Jobs: slices.Clone(w.jobs), Counted: w.counted()}
	for _, n := range w.nodes {
		on := slices.DeleteFunc(slices.Clone(w.running), func(a *model.Allocation) bool { return a.Node != n.Name })
		free := resource.Rebuild(n, on)
		in.Nodes = append(in.Nodes, core.NodeView{Node: n, Free: free})
	}
	for _, q := range w.queues {
		v := core.QueueView{Queue: q}
		for _, a := range w.running {
			if w.queueOf(a) != q.Name {
				continue
			}
			v.UsedCPUMilli += a.CPUMilli
			v.UsedMemoryMiB += a.MemoryMiB
			for _, s := range a.Devices {
				v.UsedDevicesMilli += int64(s.Thousandths)
			}
		}
		in.Queues = append(in.Queues, v)
	}
	in.Occupants = occupants(w.running, w.job)
	return in
}

// occupants lists where tasks run.
func occupants(running []*model.Allocation, job func(string) *model.Job) []core.Occupant {
	var out []core.Occupant
	for _, a := range running {
		out = append(out, core.Occupant{Job: job(a.Job), Group: a.Group, Node: a.Node, Tasks: 1})
	}
	return out
}

func (w *world) job(id string) *model.Job {
	i := slices.IndexFunc(w.jobs, func(j *model.Job) bool { return j.ID == id })
	if i < 0 {
		w.t.Fatalf("no job %s", id)
	}
	return w.jobs[i]
}

func (w *world) queueOf(a *model.Allocation) string {
	return cmp.Or(w.job(a.Job).Spec.Queue, model.DefaultQueue)
}

func (w *world) solve(words []string) string {
	in := w.input()
	_, value := fields(words)
	if s := value["placements"]; s != "" {
		in.Limits.MaxPlacements = number(s)
	}
	if s := value["steps"]; s != "" {
		in.Limits.MaxSteps = number(s)
	}
	if s := value["price-weight"]; s != "" {
		in.PriceWeight = number(s)
	}
	w.plan, w.trace = core.Solve(in)
	return w.show(w.plan, w.trace, w.jobs)
}

// apply carries out the plan the way the state does.
func (w *world) apply() string {
	for _, s := range w.plan.Sets {
		j := w.job(s.Job)
		spec, status := &j.Spec.Groups[s.Group], &j.Groups[s.Group]
		r := &spec.Variants[s.Variant].Resources
		if spec.SameVariant && status.VariantChosen == 0 {
			status.VariantChosen = int32(s.Variant) + 1
		}
		for _, p := range s.Placements {
			a := &model.Allocation{
				Job: s.Job, Group: s.Group, Ordinal: p.Ordinal, Variant: s.Variant, Node: p.Node, Chunk: p.Chunk,
				CPUMilli: r.CPUMilli, MemoryMiB: status.MemoryMiB(spec, s.Variant), DiskMiB: r.DiskMiB, Devices: p.Devices, Exclusive: spec.Exclusive,
			}
			status.Waiting = status.Waiting.Subtract(a.Tasks())
			status.Active = status.Active.Union(a.Tasks())
			status.Joined += a.Tasks().Len() - 1
			w.running = append(w.running, a)
		}
	}
	n := w.plan.Placed()
	w.plan = core.Plan{}
	return fmt.Sprintf("%d started", n)
}

// end ends the allocations of running tasks: finish and fail for good, lose to
// be tried again.
func (w *world) end(verb string, words []string) string {
	j := w.job(words[0])
	g := j.Spec.GroupIndex(words[1])
	status := &j.Groups[g]
	which := status.Active.Clone()
	if words[2] != "all" {
		which = model.Set{}
		for _, r := range indices(words[2]) {
			which.AddRange(r.First, r.Last+1)
		}
	}
	for !which.Empty() {
		ordinal, _ := which.Min()
		i := slices.IndexFunc(w.running, func(a *model.Allocation) bool {
			return a.Job == j.ID && a.Group == g && a.Tasks().Contains(ordinal)
		})
		if i < 0 {
			return fmt.Sprintf("task %d does not run", ordinal)
		}
		tasks := w.running[i].Tasks()
		w.running = slices.Delete(w.running, i, i+1)
		which = which.Subtract(tasks)
		status.Active = status.Active.Subtract(tasks)
		status.Joined -= tasks.Len() - 1
		switch verb {
		case "finish":
			status.Succeeded = status.Succeeded.Union(tasks)
		case "fail":
			status.Failed = status.Failed.Union(tasks)
		default:
			status.Waiting = status.Waiting.Union(tasks)
		}
	}
	return ""
}

func (w *world) free() string {
	var b strings.Builder
	for _, v := range w.input().Nodes {
		fmt.Fprintf(&b, "%s: %s cores, %s", v.Node.Name, model.FormatMilli(v.Free.CPUMilli), model.FormatMiB(v.Free.MemoryMiB))
		for i, d := range v.Free.Devices {
			fmt.Fprintf(&b, ", %s %s/%s", v.Node.Devices[i].ID, model.FormatMilli(int64(d.Thousandths)), model.FormatMiB(d.MemoryMiB))
		}
		b.WriteString("\n")
	}
	return b.String()
}
