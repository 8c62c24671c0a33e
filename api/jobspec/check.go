package jobspec

import (
	"fmt"
	"slices"
	"strings"

	"caravan/api/caravanv1"
)

// check reports what only the whole job shows: arrays that are too large
// together, gangs that cannot be, dependencies that lead nowhere or in a circle.
func (b *builder) check(spec *caravanv1.JobSpec) {
	b.checkTotal(spec)
	for i, g := range spec.GetGroups() {
		b.checkGang(g, fmt.Sprintf("groups[%d]", i))
	}
	b.checkDependencies(spec)
	b.checkCycles(spec)
}

// reportAt reports a problem at the place of a message path, or of what is
// around it.
func (b *builder) reportAt(path, message, hint string) {
	f := File{places: b.places}
	found, _ := f.locate(path)
	b.report(found.at, found.path, message, hint)
}

func (b *builder) checkTotal(spec *caravanv1.JobSpec) {
	var total int64
	for i, g := range spec.GetGroups() {
		n := arrayLen(g.GetIndices())
		if total <= MaxTasks && total+n > MaxTasks {
			b.reportAt(fmt.Sprintf("groups[%d].indices", i), fmt.Sprintf("with this group the job has %d tasks or more", total+n),
				fmt.Sprintf("a job has at most %d over all groups; split it into several jobs", MaxTasks))
		}
		total += n
	}
}

func (b *builder) checkGang(g *caravanv1.TaskGroup, path string) {
	if !g.GetGang() {
		return
	}
	n := arrayLen(g.GetIndices())
	if len(g.GetMatrix()) > 0 {
		b.reportAt(path+".gang", "the points of a sweep are tasks of their own, not members of a gang", "submit one job for each point, or remove gang")
	}
	if g.GetChunk() > 1 || g.GetAutoChunk() {
		b.reportAt(path+".chunk", "a gang has one task for each index, so it cannot be chunked", "remove chunk, or gang")
	}
	if limit := int64(g.GetMaxRunning()); limit > 0 && limit < n {
		b.reportAt(path+".max_running", fmt.Sprintf("a gang starts all of its %d tasks at once, so it cannot be limited to %d", n, limit), "remove the limit, or gang")
	}
	if n > MaxGang {
		b.reportAt(path+".gang", fmt.Sprintf("a gang of %d tasks cannot start at once", n), fmt.Sprintf("write at most %d tasks, or remove gang", MaxGang))
	}
}

func (b *builder) checkDependencies(spec *caravanv1.JobSpec) {
	groups := make(map[string]*caravanv1.TaskGroup, len(spec.GetGroups()))
	for _, g := range spec.GetGroups() {
		groups[g.GetName()] = g
	}
	for i, g := range spec.GetGroups() {
		for j, dep := range g.GetDependsOn() {
			path := fmt.Sprintf("groups[%d].depends_on[%d]", i, j)
			other, known := groups[dep.GetGroup()]
			if !known {
				names := sortedKeys(groups)
				hint := "the groups are " + strings.Join(names, ", ")
				if near := nearest(dep.GetGroup(), names); near != "" {
					hint = fmt.Sprintf("did you mean %s?", near)
				}
				b.reportAt(path, fmt.Sprintf("the job has no group %s", quote(dep.GetGroup())), hint)
				continue
			}
			if dep.GetEach() && other != g {
				b.checkEach(g, other, path)
			}
		}
	}
}

// checkEach reports an index whose counterpart does not exist.
func (b *builder) checkEach(g, other *caravanv1.TaskGroup, path string) {
	if len(g.GetIndices()) == 0 || len(other.GetIndices()) == 0 || max(arrayLen(g.GetIndices()), arrayLen(other.GetIndices())) > MaxTasks {
		return // reported already
	}
	if index, missing := firstMissing(g.GetIndices(), other.GetIndices()); missing {
		b.reportAt(path, fmt.Sprintf("index %d of %s waits for index %d of %s, which has only %s", index, g.GetName(), index, other.GetName(), formatArray(other.GetIndices())),
			"give both groups the same indices, or leave out each to wait for the whole group")
	}
}

// checkCycles reports groups that wait for each other, each circle once.
func (b *builder) checkCycles(spec *caravanv1.JobSpec) {
	const (
		unseen = iota
		onPath
		done
	)
	position := make(map[string]int, len(spec.GetGroups()))
	for i, g := range spec.GetGroups() {
		position[g.GetName()] = i
	}
	state := make([]int, len(spec.GetGroups()))
	var path []int
	var visit func(i int)
	visit = func(i int) {
		state[i] = onPath
		path = append(path, i)
		for j, dep := range spec.GetGroups()[i].GetDependsOn() {
			next, known := position[dep.GetGroup()]
			switch {
			case !known || state[next] == done:
			case state[next] == unseen:
				visit(next)
			default:
				b.reportCycle(spec, path[slices.Index(path, next):], fmt.Sprintf("groups[%d].depends_on[%d]", i, j))
			}
		}
		path = path[:len(path)-1]
		state[i] = done
	}
	for i := range spec.GetGroups() {
		if state[i] == unseen {
			visit(i)
		}
	}
}

// reportCycle shows a circle of groups at the dependency that closes it.
func (b *builder) reportCycle(spec *caravanv1.JobSpec, cycle []int, path string) {
	groups := spec.GetGroups()
	first := groups[cycle[0]].GetName()
	if len(cycle) == 1 {
		b.reportAt(path, fmt.Sprintf("%s waits for itself", first), "remove the dependency")
		return
	}
	names := make([]string, 0, len(cycle)+1)
	places := make([]string, 0, len(cycle))
	for i, at := range cycle {
		next := groups[cycle[(i+1)%len(cycle)]].GetName()
		j := slices.IndexFunc(groups[at].GetDependsOn(), func(d *caravanv1.Dependency) bool { return d.GetGroup() == next })
		line := b.places[fmt.Sprintf("groups[%d].depends_on[%d]", at, j)].at.line
		names = append(names, groups[at].GetName())
		places = append(places, fmt.Sprintf("%s -> %s on line %d", groups[at].GetName(), next, line))
	}
	b.reportAt(path, "the groups wait for each other: "+strings.Join(append(names, first), " -> "),
		"remove one of "+strings.Join(places, ", "))
}
