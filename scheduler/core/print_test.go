package core_test

import (
	"fmt"
	"slices"
	"strings"

	"caravan/scheduler/core"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// show prints a plan, then a line for every group that was not placed whole.
func (w *world) show(plan core.Plan, trace core.Trace, jobs []*model.Job) string {
	var b strings.Builder
	for i := range plan.Sets {
		s := &plan.Sets[i]
		at := slices.IndexFunc(jobs, func(j *model.Job) bool { return j.ID == s.Job })
		showSet(&b, s, &jobs[at].Spec.Groups[s.Group])
	}
	for i := range trace.Groups {
		t := &trace.Groups[i]
		if t.Code != core.CodePlaced {
			b.WriteString(verdict(t))
		}
	}
	if b.Len() == 0 {
		return "nothing to do"
	}
	return b.String()
}

// showSet prints a set, neighbours that go to the same place on one line.
func showSet(b *strings.Builder, s *core.PlacementSet, group *model.TaskGroup) {
	fmt.Fprintf(b, "%s/%s", s.Job, group.Name)
	if len(group.Variants) > 1 {
		b.WriteString(" as " + group.Variants[s.Variant].Name)
	}
	if s.Gang {
		b.WriteString(" gang")
	}
	b.WriteString("\n")
	for i := 0; i < len(s.Placements); {
		p, k := s.Placements[i], i+1
		if !p.Chunk.Empty() {
			fmt.Fprintf(b, "  %s (%s) -> %s\n", p.Chunk, indicesOf(group, p.Chunk), where(p))
			i++
			continue
		}
		for k < len(s.Placements) && s.Placements[k].Chunk.Empty() && s.Placements[k].Ordinal == p.Ordinal+int64(k-i) && where(s.Placements[k]) == where(p) {
			k++
		}
		tasks := fmt.Sprint(p.Ordinal)
		if k > i+1 {
			tasks += fmt.Sprintf("-%d", s.Placements[k-1].Ordinal)
		}
		if !plain(group) {
			tasks += " (" + indicesOf(group, model.NewSet(p.Ordinal, s.Placements[k-1].Ordinal+1)) + ")"
		}
		fmt.Fprintf(b, "  %s -> %s\n", tasks, where(p))
		i = k
	}
}

// plain reports whether what tasks work on is plain from their numbers.
func plain(g *model.TaskGroup) bool {
	r := g.Indices.Ranges
	return len(r) == 1 && r[0].First == 0 && r[0].Step == 1
}

func indicesOf(g *model.TaskGroup, tasks model.Set) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(g.Indices.Of(tasks)), " ", ","), "[]")
}

func where(p core.Placement) string {
	s := p.Node
	for _, d := range p.Devices {
		s += fmt.Sprintf(" %s:%s/%s", d.Device, model.FormatMilli(int64(d.Thousandths)), model.FormatMiB(d.MemoryMiB))
		if d.Media != (model.Media{}) {
			s += fmt.Sprintf("/%d sessions/%s/%s", d.Media.Sessions, model.FormatMilli(int64(d.Media.EncodeMilli)), model.FormatMilli(int64(d.Media.DecodeMilli)))
		}
	}
	return s
}

// verdict prints one line on a group.
func verdict(t *core.GroupTrace) string {
	s := strings.TrimPrefix(fmt.Sprintf("%s/%s: %s, %d of %d ready placed", t.Job, t.Name, t.Code, t.Placed, t.Ready), "/")
	if t.Held > 0 {
		s += fmt.Sprintf(", %d held back", t.Held)
	}
	if t.Blocked > 0 {
		s += fmt.Sprintf(", %d blocked", t.Blocked)
	}
	if len(t.WaitsFor) > 0 {
		s += ", waits for " + strings.Join(t.WaitsFor, " and ")
	}
	if t.Limit != "" {
		s += " (" + t.Limit + ")"
	}
	for _, note := range t.Notes {
		s += "; " + note
	}
	return s + "\n"
}

// explain prints the trace in full.
func (w *world) explain(words []string) string {
	_, value := fields(words)
	var groups []core.GroupTrace
	for _, t := range w.trace.Groups {
		if value["job"] == "" || value["job"] == t.Job {
			groups = append(groups, t)
		}
	}
	return printTrace(groups)
}

func printTrace(groups []core.GroupTrace) string {
	var b strings.Builder
	for i := range groups {
		b.WriteString(verdict(&groups[i]))
		for _, v := range groups[i].Variants {
			fmt.Fprintf(&b, "  %s: fits %d of %d nodes\n", v.Variant, v.Fits, v.Nodes)
			for _, r := range v.Rejections {
				fmt.Fprintf(&b, "    %s: %d, if empty %d\n", r.Constraint, r.Nodes, r.IfEmpty)
			}
			if v.NearestNode != "" {
				fmt.Fprintf(&b, "    nearest %s: %s\n", v.NearestNode, v.NearestLacks)
			}
			if v.Hint != "" {
				fmt.Fprintf(&b, "    hint: %s\n", v.Hint)
			}
		}
	}
	if b.Len() == 0 {
		return "every group fits"
	}
	return b.String()
}

// whyThere compares the node of a running task with the others.
func (w *world) whyThere(words []string) string {
	j := w.job(words[0])
	g, ordinal := j.Spec.GroupIndex(words[1]), number(words[2])
	at := slices.IndexFunc(w.running, func(a *model.Allocation) bool { return a.Job == j.ID && a.Group == g && a.Ordinal == ordinal })
	if at < 0 {
		return "it does not run"
	}
	a := w.running[at]
	held := resource.Of(a)
	q := core.Placed{Job: j, Group: g, Variant: a.Variant, Node: a.Node, Held: &held, Next: 3}
	if _, value := fields(words[3:]); value["next"] != "" {
		q.Next = int(number(value["next"]))
	}
	t := core.ExplainPlacement(w.input(), q)
	var b strings.Builder
	fmt.Fprintf(&b, "%s: rank %d of %d, %d nodes", a.Node, t.Rank, t.Fits, t.Nodes)
	if t.Lacks != "" {
		b.WriteString("; " + t.Lacks)
	}
	b.WriteString("\n")
	if t.Chosen != nil {
		fmt.Fprintf(&b, "  chosen %s\n", parts(t.Chosen))
	}
	for i := range t.Next {
		fmt.Fprintf(&b, "  %s %s: %s\n", t.Next[i].Node.Name, parts(&t.Next[i]), t.Next[i].DecidedBy)
	}
	for _, v := range t.Variants {
		if len(t.Variants) > 1 {
			fmt.Fprintf(&b, "  %s fits %d\n", j.Spec.Groups[g].Variants[v.Variant].Name, v.Fits)
		}
	}
	return b.String()
}

func parts(n *core.RankedNode) string {
	p := n.Parts
	return fmt.Sprint([]int64{p.ForeignKinds, p.Splits, p.Splinter, p.DevicesLeft, p.DeviceMemoryGiB, p.HostLeft})
}
