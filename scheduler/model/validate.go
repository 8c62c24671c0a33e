package model

import (
	"fmt"
	"slices"
	"strings"
)

// Validate returns every fault of a spec, in the order of the spec's fields;
// none means that it may be stored. The spec must have its defaults filled in.
func Validate(s *JobSpec) []FieldError {
	v := &validator{}
	v.name("name", s.Name)
	v.between("priority", int64(s.Priority), -MaxPriority, MaxPriority)
	if len(s.Groups) == 0 {
		v.fault("groups", "the job has no task group", "add at least one group with a command")
	}
	v.atMost("groups", int64(len(s.Groups)), MaxGroups, "groups")
	v.workspace(s.Workspace)
	seen := make(map[string]bool)
	var tasks int64
	for i := range s.Groups {
		path := fmt.Sprintf("groups[%d]", i)
		if seen[s.Groups[i].Name] {
			v.fault(path+".name", fmt.Sprintf("a second group is named %q", s.Groups[i].Name), "give each group its own name")
		}
		seen[s.Groups[i].Name] = true
		v.group(path, s, i)
		tasks += s.Groups[i].Indices.Tasks()
	}
	v.atMost("groups", tasks, MaxTasks, "tasks in all")
	v.after(s)
	if cycle := dependencyCycle(s); cycle != nil {
		v.fault(fmt.Sprintf("groups[%d].depends_on", cycle[0]), "the groups wait for each other: "+cycleWords(s, cycle),
			"remove one of these dependencies")
	}
	return v.faults
}

type validator struct{ faults []FieldError }

func (v *validator) fault(path, message, hint string) {
	v.faults = append(v.faults, FieldError{Path: path, Message: message, Hint: hint})
}

func (v *validator) between(path string, n, lo, hi int64) {
	if n < lo || n > hi {
		v.fault(path, fmt.Sprintf("%d is outside %d to %d", n, lo, hi), "")
	}
}

func (v *validator) atMost(path string, n, most int64, what string) {
	if n > most {
		v.fault(path, fmt.Sprintf("%d %s; at most %d are allowed", n, what, most), "split the job")
	}
}

// name checks the one grammar that jobs, groups, variants and queues share, so
// that a dot can separate the parts of an allocation's id.
func (v *validator) name(path, s string) {
	if !ValidName(s) {
		v.fault(path, fmt.Sprintf("%q is not a name", s),
			"use 1 to 48 lower-case letters, digits and '-', beginning with a letter")
	}
}

// ValidName reports whether s is 1 to 48 lower-case letters, digits and '-',
// beginning with a letter and not ending with '-'.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > 48 || s[0] < 'a' || s[0] > 'z' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func (v *validator) group(path string, s *JobSpec, i int) {
	g := &s.Groups[i]
	v.name(path+".name", g.Name)
	v.indices(path, &g.Indices)
	n := g.Indices.Tasks()
	if g.PerNode && !g.Gang {
		v.fault(path+".per_node", "only the tasks of a gang can have a node each", "set gang too")
	}
	if g.Gang {
		v.atMost(path+".indices", n, MaxGangSize, "gang members")
		if g.MaxRunning > 0 && int64(g.MaxRunning) < n {
			v.fault(path+".max_running", fmt.Sprintf("a gang of %d starts all together and cannot be held to %d", n, g.MaxRunning), "remove max_running")
		}
		if g.Indices.Chunk > 1 || g.Indices.Auto {
			v.fault(path+".chunk", "a gang's members cannot be joined into chunks", "remove chunk or gang")
		}
	}
	v.matrix(path, g)
	v.between(path+".max_running", int64(g.MaxRunning), 0, MaxTasks)
	v.between(path+".retries", int64(g.Retries), 0, MaxRetries)
	v.duration(path+".time_limit_ms", g.TimeLimit, 366*Day)
	v.duration(path+".kill_grace_ms", g.KillGrace, Day)
	v.workdir(path+".workdir", g.Workdir)
	if !slices.Contains([]string{"", IsolationHost, IsolationStandard, IsolationStrict}, g.Isolation) {
		v.fault(path+".isolation", fmt.Sprintf("there is no isolation %q", g.Isolation), "use host, standard or strict")
	}
	for k, o := range g.Outputs {
		v.output(fmt.Sprintf("%s.outputs[%d]", path, k), o)
	}
	v.constraints(path+".constraints", g.Constraints)
	v.neighbours(path, g)
	v.env(path+".env", g.Env)
	if len(g.Variants) == 0 {
		v.fault(path+".variants", "the group has nothing to run", "give it a command")
	}
	v.atMost(path+".variants", int64(len(g.Variants)), MaxVariants, "variants")
	for k := range g.Variants {
		v.variant(fmt.Sprintf("%s.variants[%d]", path, k), g, &g.Variants[k])
	}
	for k, d := range g.DependsOn {
		v.dependency(fmt.Sprintf("%s.depends_on[%d]", path, k), s, i, d)
	}
	v.attempts(path, g)
	v.batch(path+".batch", g)
}

func (v *validator) duration(path string, d, most Duration) {
	if d < 0 || d > most {
		v.fault(path, fmt.Sprintf("%d ms is outside 0 to %d days", d, most/Day), "")
	}
}

func (v *validator) workdir(path, dir string) {
	if dir != "" && (!strings.HasPrefix(dir, "/") || strings.Contains(dir, "\x00")) {
		v.fault(path, fmt.Sprintf("%q is not an absolute path", dir), "begin with '/'")
	}
}

func (v *validator) output(path string, o Output) {
	if o.Path == "" || strings.HasPrefix(o.Path, "/") || slices.Contains(strings.Split(o.Path, "/"), "..") {
		v.fault(path+".path", fmt.Sprintf("%q does not lie below the working directory", o.Path), "write a relative path without '..'")
	}
	if !strings.HasPrefix(o.To, "/") {
		v.fault(path+".to", fmt.Sprintf("%q is not an absolute path", o.To), "begin with '/'")
	}
}

func (v *validator) env(path string, env map[string]string) {
	names := make([]string, 0, len(env))
	for k := range env {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.Contains(env[k], "\x00") {
			v.fault(path, fmt.Sprintf("%q cannot be set in an environment", k), "use letters, digits and '_'")
		}
	}
}

func (v *validator) indices(path string, x *Indices) {
	if len(x.Ranges) == 0 {
		v.fault(path+".indices", "the group has no task", "set count or array")
	}
	if len(x.Ranges) > MaxRanges {
		v.atMost(path+".indices", int64(len(x.Ranges)), MaxRanges, "ranges in one array")
		return
	}
	for k, r := range x.Ranges {
		if r.Len() <= 0 {
			v.fault(fmt.Sprintf("%s.indices[%d]", path, k), fmt.Sprintf("%d to %d in steps of %d holds nothing", r.First, r.Last, r.Step), "")
			return
		}
		v.between(fmt.Sprintf("%s.indices[%d].first", path, k), min(r.First, r.Last), 0, 1<<40)
		v.between(fmt.Sprintf("%s.indices[%d].last", path, k), max(r.First, r.Last), 0, 1<<40)
	}
	v.between(path+".chunk", x.Chunk, 1, MaxTasks)
	if n := x.Len(); n > MaxTasks {
		v.atMost(path+".indices", n, MaxTasks, "indices")
		return
	}
	if at, ok := x.repeated(); ok {
		v.fault(path+".indices", fmt.Sprintf("index %d stands in the array twice", at), "list each index once")
	}
}

// repeated returns an index that two ranges share.
func (x Indices) repeated() (int64, bool) {
	for i, r := range x.Ranges {
		rest := Indices{Ranges: x.Ranges[i+1:], Chunk: 1}
		hit := project(Indices{Ranges: []Range{r}, Chunk: 1}, NewSet(0, r.Len()), rest)
		if pos, ok := hit.Min(); ok {
			return rest.At(pos)
		}
	}
	return 0, false
}

func (v *validator) variant(path string, g *TaskGroup, w *Variant) {
	v.name(path+".name", w.Name)
	switch w.Driver {
	case DriverExec:
		if len(w.Command) == 0 || w.Command[0] == "" {
			v.fault(path+".command", "the command is empty", "name a program to run")
		}
	case DriverSim:
		v.duration(path+".sim_duration_ms", w.SimDuration, 366*Day)
	case DriverContainer:
		if g.Isolation == IsolationHost {
			v.fault(path+".driver", "a container cannot have isolation: host", "use standard or strict")
		}
		v.container(path+".container", w.Container)
	default:
		v.fault(path+".driver", fmt.Sprintf("no driver %q", w.Driver), "use exec, container or sim")
	}
	if w.Container != nil && w.Driver != DriverContainer {
		v.fault(path+".container", "stands without the container driver", "use the driver container")
	}
	v.between(path+".speed_permille", int64(w.SpeedPermille), 1, 1_000_000)
	v.duration(path+".setup_ms", w.Setup, 7*Day)
	v.resources(path+".resources", &w.Resources)
	v.constraints(path+".constraints", w.Constraints)
	v.env(path+".env", w.Env)
}

func (v *validator) resources(path string, r *Resources) {
	v.between(path+".cpu_milli", r.CPUMilli, 0, MaxCPUMilli)
	v.between(path+".memory_mib", r.MemoryMiB, 0, MaxMemoryMiB)
	v.between(path+".disk_mib", r.DiskMiB, 0, MaxDiskMiB)
	var devices int64
	for k := range r.Devices {
		d := &r.Devices[k]
		at := fmt.Sprintf("%s.devices[%d]", path, k)
		if d.Kind != KindGPU && d.Kind != KindFPGA {
			v.fault(at+".kind", fmt.Sprintf("no kind of device %q", d.Kind), "use gpu or fpga")
		}
		v.between(at+".count", int64(d.Count), 1, MaxDevicesPerTask)
		v.between(at+".thousandths", int64(d.Thousandths), 1, 1000)
		v.between(at+".memory_mib", d.MemoryMiB, 0, MaxMemoryMiB)
		if d.Thousandths < 1000 && d.Count > 1 {
			v.fault(at+".count", "a share is of one device only", "ask for whole devices, or list the request twice")
		}
		v.constraints(at+".constraints", d.Constraints)
		v.engines(at, d)
		devices += int64(d.Count)
	}
	v.atMost(path+".devices", devices, MaxDevicesPerTask, "devices for one task")
}

func (v *validator) constraints(path string, cs []Constraint) {
	v.atMost(path, int64(len(cs)), 64, "constraints")
	for k := range cs {
		c, at := &cs[k], fmt.Sprintf("%s[%d]", path, k)
		if c.Attribute == "" {
			v.fault(at+".attribute", "the constraint names no attribute", "")
		}
		switch c.Operator {
		case In, NotIn:
			if len(c.Values) == 0 {
				v.fault(at+".values", "nothing to compare "+c.Attribute+" with", "list at least one value")
			}
		case AtLeast, AtMost, Above, Below:
			if len(c.Values) != 1 || !c.Values[0].Number {
				v.fault(at+".values", c.Attribute+" is compared with one number", `write it as in ">=8"`)
			}
		case Exists:
		case Where:
			v.atMost(at+".attribute", int64(len(c.Attribute)), MaxExpression, "bytes of expression")
		default:
			v.fault(at+".operator", "no such comparison", "")
		}
	}
}

func (v *validator) dependency(path string, s *JobSpec, i int, d Dependency) {
	if d.Group < 0 || d.Group >= len(s.Groups) {
		v.fault(path+".group", "no such group", "")
		return
	}
	if d.Condition > OnFailed {
		v.fault(path+".condition", "no such condition", "use succeeded, ended or failed")
	}
	if !d.Each {
		return
	}
	up, g := &s.Groups[d.Group], &s.Groups[i]
	if index, ok := missingIndex(g.Indices, up.Indices); ok {
		v.fault(path+".each", fmt.Sprintf("group %q has no index %d to wait for", up.Name, index),
			"give both groups the same indices, or depend on the whole group")
	}
}

// missingIndex returns an index of a that b lacks. The step count is bounded
// by the ranges, not by the tasks.
func missingIndex(a, b Indices) (int64, bool) {
	if a.Len() > MaxTasks || b.Len() > MaxTasks {
		return 0, false // refused elsewhere
	}
	one := Indices{Ranges: a.Ranges, Chunk: 1}
	have := project(Indices{Ranges: b.Ranges, Chunk: 1}, NewSet(0, b.Len()), one)
	pos, ok := NewSet(0, a.Len()).Subtract(have).Min()
	if !ok {
		return 0, false
	}
	index, _ := a.At(pos)
	return index, true
}

// dependencyCycle returns the groups of a cycle in order, or nil.
func dependencyCycle(s *JobSpec) []int {
	const (
		unseen = iota
		open
		closed
	)
	mark := make([]int, len(s.Groups))
	var path []int
	var visit func(g int) []int
	visit = func(g int) []int {
		mark[g] = open
		path = append(path, g)
		for _, d := range s.Groups[g].DependsOn {
			if d.Group < 0 || d.Group >= len(s.Groups) {
				continue
			}
			switch mark[d.Group] {
			case open:
				return slices.Clone(path[slices.Index(path, d.Group):])
			case unseen:
				if c := visit(d.Group); c != nil {
					return c
				}
			}
		}
		path = path[:len(path)-1]
		mark[g] = closed
		return nil
	}
	for g := range s.Groups {
		if mark[g] == unseen {
			if c := visit(g); c != nil {
				return c
			}
		}
	}
	return nil
}

func cycleWords(s *JobSpec, cycle []int) string {
	names := make([]string, 0, len(cycle)+1)
	for _, g := range cycle {
		names = append(names, s.Groups[g].Name)
	}
	return strings.Join(append(names, names[0]), " -> ")
}
