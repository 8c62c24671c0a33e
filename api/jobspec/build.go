package jobspec

import (
	"fmt"
	pathpkg "path"
	"slices"
	"strings"

	"caravan/api/caravanv1"
)

// Defaults of a job file; Parse writes them into the message.
const (
	defaultQueue       = "default"
	defaultDriver      = "exec"
	containerDriver    = "container"
	defaultPull        = "missing"
	defaultGroup       = "main"
	defaultVariant     = "default"
	defaultCPUMilli    = 1000
	defaultMemoryMiB   = 512
	defaultKillGrace   = 10_000
	wholeDevice        = 1000
	defaultSpeed       = 1000
	defaultArrayChunk  = 1
	defaultDeviceCount = 1
	defaultSkew        = 1
)

// builder makes the message from what has been read, notes where each of its
// values was written, and reports fields that contradict each other. Values
// that are bad are left out.
type builder struct {
	*reader
	places map[string]located
}

// put notes where the value of a message path was written.
func (b *builder) put(path string, v *value) {
	if v != nil {
		b.places[path] = located{at: v.at, path: v.path}
	}
}

// putKey is put for a value that is best pointed at by its key.
func (b *builder) putKey(path string, v *value) {
	if v != nil {
		b.places[path] = located{at: v.start(), path: v.path}
	}
}

// take gives a field's data and notes its place; the default when it is absent.
func take[T any](b *builder, f fields, name, path string, unset T) T {
	v := f.get(name)
	b.put(path, v)
	if data, ok := as[T](v); ok {
		return data
	}
	return unset
}

func (b *builder) job(top *value) *caravanv1.JobSpec {
	f, ok := as[fields](top)
	if !ok {
		return &caravanv1.JobSpec{}
	}
	spec := &caravanv1.JobSpec{
		Name:     take(b, f, "name", "name", ""),
		Queue:    take(b, f, "queue", "queue", defaultQueue),
		Priority: int32(take[int64](b, f, "priority", "priority", 0)),
		Labels:   take[map[string]string](b, f, "labels", "labels", nil),
	}
	if len(spec.GetLabels()) == 0 {
		spec.Labels = nil
	}
	spec.After, spec.Singleton = b.after(f.get("after")), take(b, f, "singleton", "singleton", false)
	if dir := take(b, f, "sync", "workspace", ""); dir != "" {
		spec.Workspace = &caravanv1.Workspace{Path: dir}
	}
	groups := f.get("groups")
	b.putKey("groups", groups)
	own := ownGroup(f)
	switch {
	case groups == nil && len(own) == 0:
		b.report(top.at, "", "the job has no task group", "add run: and the command to run, or groups: for several groups")
	case groups == nil:
		group := &value{name: defaultGroup, at: top.at, data: own}
		spec.Groups = []*caravanv1.TaskGroup{b.group(group, "groups[0]")}
	default:
		for _, v := range own {
			b.report(v.key, v.path, "stands beside groups", "move it into a group, or write all of the only group at the top and leave out groups")
		}
		list, _ := as[fields](groups)
		for i, v := range list {
			spec.Groups = append(spec.Groups, b.group(v, fmt.Sprintf("groups[%d]", i)))
		}
	}
	return spec
}

// ownGroup gives the fields at the top of a file that belong to its only group.
func ownGroup(f fields) fields {
	group := groupObject()
	var own fields
	for _, v := range f {
		if _, ok := group.field(v.name); ok {
			own = append(own, v)
		}
	}
	return own
}

func (b *builder) group(v *value, path string) *caravanv1.TaskGroup {
	b.putKey(path, v)
	b.putKey(path+".name", v)
	f, _ := as[fields](v)
	g := &caravanv1.TaskGroup{
		Name:        v.name,
		Chunk:       int32(take[int64](b, f, "chunk", path+".chunk", defaultArrayChunk)),
		MaxRunning:  int32(take[int64](b, f, "max_running", path+".max_running", 0)),
		Gang:        gangWord(f) != "",
		PerNode:     gangWord(f) == gangPerNode,
		Constraints: b.conditions(f, path+".constraints"),
		Env:         b.env(f, path+".env"),
		Outputs:     b.outputs(f.get("outputs"), path+".outputs"),
		Verify:      take[[]string](b, f, "verify", path+".verify", nil),
		TimeLimitMs: take[int64](b, f, "time_limit", path+".time_limit_ms", 0),
		Retries:     int32(take[int64](b, f, "retries", path+".retries", 0)),
		SameVariant: take(b, f, "same_variant", path+".same_variant", false),
		KillGraceMs: take[int64](b, f, "kill_grace", path+".kill_grace_ms", defaultKillGrace),
		Workdir:     take(b, f, "workdir", path+".workdir", ""),
		Once:        take(b, f, "once", path+".once", ""),
		Isolation:   take(b, f, "isolation", path+".isolation", ""),
		DependsOn:   b.dependencies(f.get("depends_on"), path+".depends_on"),
		Exclusive:   take(b, f, "exclusive", path+".exclusive", false),
		Spread:      b.spread(f.get("spread"), path+".spread"),
		ApartFrom:   b.apart(f.get("apart_from"), path+".apart_from"),
	}
	b.put(path+".gang", f.get("gang"))
	if g.GetChunk() == 0 {
		g.Chunk, g.AutoChunk = defaultArrayChunk, true
	}
	b.attempts(g, f, path)
	b.indices(g, f, path)
	if v.bad {
		return g
	}
	variants := f.get("variants")
	if variants == nil {
		g.Variants = []*caravanv1.Variant{b.variant(v, f, path+".variants[0]", defaultVariant)}
		b.learnable(g, f)
		return g
	}
	b.putKey(path+".variants", variants)
	for _, way := range wayFields() {
		if own := f.get(way.name); own != nil {
			b.report(own.key, own.path, "stands beside variants", "move it into each variant that needs it, or leave out variants")
		}
	}
	list, _ := as[fields](variants)
	for i, c := range list {
		at := fmt.Sprintf("%s.variants[%d]", path, i)
		way, _ := as[fields](c)
		variant := b.variant(c, way, at, c.name)
		variant.Constraints = b.conditions(way, at+".constraints")
		variant.Env = b.env(way, at+".env")
		variant.SpeedPermille = int32(take[int64](b, way, "speed", at+".speed_permille", defaultSpeed))
		g.Variants = append(g.Variants, variant)
	}
	b.learnable(g, f)
	return g
}

// indices sets a group's indices from array or count.
func (b *builder) indices(g *caravanv1.TaskGroup, f fields, path string) {
	if f.get("matrix") != nil {
		b.matrix(g, f, path)
		return
	}
	array, count := f.get("array"), f.get("count")
	if array != nil && count != nil {
		b.report(later(array, count).key, later(array, count).path, "both array and count are written", "keep one: count: 8 is the same as array: 0-7")
		return
	}
	if array != nil {
		b.put(path+".indices", array)
		set, _ := as[indexSet](array)
		g.Indices = set.ranges
		if limit := f.get("max_running"); set.maxRunning > 0 && limit != nil {
			b.report(limit.key, limit.path, "the array already limits running tasks by %", "keep one of the two")
		} else if set.maxRunning > 0 {
			g.MaxRunning = set.maxRunning
			b.put(path+".max_running", array)
		}
		return
	}
	b.put(path+".indices", count)
	g.Indices = countRange(take[int64](b, f, "count", path+".indices", 1))
}

// countRange gives the indices of count: n.
func countRange(n int64) []*caravanv1.IndexRange {
	return []*caravanv1.IndexRange{{First: 0, Last: n - 1, Step: 1}}
}

// later gives the one of two values that stands further down.
func later(a, b *value) *value {
	if a.key.line > b.key.line || a.key.line == b.key.line && a.key.col > b.key.col {
		return a
	}
	return b
}

// variant builds what a way to run a task says, from a variant or from a group
// that has only one way.
func (b *builder) variant(v *value, f fields, path, name string) *caravanv1.Variant {
	b.putKey(path, v)
	b.putKey(path+".name", v)
	variant := &caravanv1.Variant{
		Name:          name,
		Driver:        take(b, f, "driver", path+".driver", driverFor(f)),
		SetupMs:       take[int64](b, f, "setup", path+".setup_ms", 0),
		SpeedPermille: defaultSpeed,
		Resources:     b.resources(f.get("resources"), path+".resources"),
	}
	if v.bad {
		return variant
	}
	run, command := f.get("run"), f.get("command")
	if run != nil {
		variant.Command = take[[]string](b, f, "run", path+".command", nil)
	} else {
		variant.Command = take[[]string](b, f, "command", path+".command", nil)
	}
	if run != nil && command != nil {
		second := later(run, command)
		b.report(second.key, second.path, "both run and command are written", "keep run for shell text, or command for a program with arguments")
	}
	b.driver(variant, v, f, path)
	return variant
}

func (b *builder) env(f fields, path string) map[string]string {
	env := take[map[string]string](b, f, "env", path, nil)
	if len(env) == 0 {
		return nil
	}
	return env
}

func (b *builder) constraints(v *value, path string) []*caravanv1.Constraint {
	b.putKey(path, v)
	terms, _ := as[[]term](v)
	return b.putTerms(terms, v, path)
}

// putTerms notes where each condition was written.
func (b *builder) putTerms(terms []term, v *value, path string) []*caravanv1.Constraint {
	var constraints []*caravanv1.Constraint
	for i, t := range terms {
		b.places[fmt.Sprintf("%s[%d]", path, i)] = located{at: t.at, path: join(v.path, t.constraint.GetAttribute())}
		constraints = append(constraints, t.constraint)
	}
	return constraints
}

func (b *builder) outputs(v *value, path string) []*caravanv1.Output {
	b.putKey(path, v)
	list, _ := as[[]*value](v)
	var outputs []*caravanv1.Output
	for i, c := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		b.put(at, c)
		f, _ := as[fields](c)
		out := &caravanv1.Output{
			Path: take(b, f, "path", at+".path", ""),
			To:   take(b, f, "to", at+".to", ""),
		}
		if strings.ContainsAny(out.GetPath(), "*?[") && out.GetTo() != "" && !strings.HasSuffix(out.GetTo(), "/") {
			to := f.get("to")
			b.report(to.at, to.path, "the pattern may match several files, but this names one", "write a directory, with a slash at its end, as in "+strings.TrimSuffix(pathpkg.Dir(out.GetTo()), "/")+"/")
		}
		outputs = append(outputs, out)
	}
	return outputs
}

func (b *builder) dependencies(v *value, path string) []*caravanv1.Dependency {
	b.putKey(path, v)
	list, _ := as[[]*value](v)
	var deps []*caravanv1.Dependency
	for _, c := range list {
		at := fmt.Sprintf("%s[%d]", path, len(deps))
		dep := &caravanv1.Dependency{}
		place := c
		if f, ok := as[fields](c); ok {
			dep.Group = take(b, f, "group", at+".group", "")
			dep.Each = take(b, f, "each", at+".each", false)
			dep.Condition = conditionOf(take(b, f, "condition", at+".condition", ""))
			place = f.get("group")
		} else {
			dep.Group, _ = as[string](c)
		}
		if dep.GetGroup() == "" {
			continue // reported already
		}
		b.put(at, place)
		b.put(at+".group", place)
		if slices.ContainsFunc(deps, func(other *caravanv1.Dependency) bool { return other.GetGroup() == dep.GetGroup() }) {
			b.report(place.at, place.path, fmt.Sprintf("waits for %s twice", quote(dep.GetGroup())), "keep one")
		}
		deps = append(deps, dep)
	}
	return deps
}
