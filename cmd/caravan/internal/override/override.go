// Package override changes single values of a job on the command line, as in
// "submit --set encode.count=4". It knows the values that people vary from one
// submission to the next; everything else belongs in the job file.
package override

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"caravan/api/caravanv1"
	"caravan/api/jobspec"
)

// Set applies PATH=VALUE to a job. PATH is
//
//	name, queue, priority, labels.KEY        a value of the job
//	GROUP.FIELD                              a value of one group
//	FIELD                                    the same value of every group
//
// with the fields listed by Fields, and env.KEY. cpu, memory and disk hold for
// every variant.
func Set(spec *caravanv1.JobSpec, assignment string) error {
	path, value, ok := strings.Cut(assignment, "=")
	if !ok || path == "" {
		return fmt.Errorf("%q is not PATH=VALUE, such as encode.count=4", assignment)
	}
	if done, err := setJob(spec, path, value); done || err != nil {
		return wrap(path, err)
	}
	groups, field := spec.Groups, path
	if name, rest, found := strings.Cut(path, "."); found && name != "env" {
		groups, field = groupNamed(spec, name), rest
		if groups == nil {
			return fmt.Errorf("%s: the job has no group %q; it has %s", path, name, groupNames(spec))
		}
	}
	for _, g := range groups {
		if err := setGroup(g, field, value); err != nil {
			return wrap(path, err)
		}
	}
	return nil
}

// Fields lists the fields of a group that Set knows, sorted.
func Fields() []string { return slices.Sorted(maps.Keys(groupFields())) }

func wrap(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", path, err)
}

func setJob(spec *caravanv1.JobSpec, path, value string) (done bool, err error) {
	if key, ok := strings.CutPrefix(path, "labels."); ok {
		spec.Labels = with(spec.Labels, key, value)
		return true, nil
	}
	switch path {
	case "name":
		spec.Name = value
	case "queue":
		spec.Queue = value
	case "priority":
		spec.Priority, err = integer(value)
	default:
		return false, nil
	}
	return true, err
}

func setGroup(g *caravanv1.TaskGroup, field, value string) error {
	if key, ok := strings.CutPrefix(field, "env."); ok {
		g.Env = with(g.Env, key, value)
		return nil
	}
	set, known := groupFields()[field]
	if !known {
		return fmt.Errorf("no such field; there are name, queue, priority, labels.KEY, and for groups env.KEY, %s", strings.Join(Fields(), ", "))
	}
	return set(g, value)
}

// groupFields maps the fields of a group to their setters.
func groupFields() map[string]func(*caravanv1.TaskGroup, string) error {
	return map[string]func(*caravanv1.TaskGroup, string) error{
		"count": func(g *caravanv1.TaskGroup, v string) error {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil || n < 1 {
				return fmt.Errorf("%q is not a number of tasks", v)
			}
			g.Indices = []*caravanv1.IndexRange{{First: 0, Last: n - 1, Step: 1}}
			return nil
		},
		"array": func(g *caravanv1.TaskGroup, v string) error {
			ranges, most, err := jobspec.ParseArray(v)
			if err != nil {
				return err
			}
			g.Indices = ranges
			if most > 0 {
				g.MaxRunning = most
			}
			return nil
		},
		"chunk":       number(func(g *caravanv1.TaskGroup) *int32 { return &g.Chunk }),
		"max_running": number(func(g *caravanv1.TaskGroup) *int32 { return &g.MaxRunning }),
		"retries":     number(func(g *caravanv1.TaskGroup) *int32 { return &g.Retries }),
		"time_limit": func(g *caravanv1.TaskGroup, v string) (err error) {
			g.TimeLimitMs, err = jobspec.ParseDuration(v)
			return err
		},
		"workdir": func(g *caravanv1.TaskGroup, v string) error {
			g.Workdir = v
			return nil
		},
		"cpu":    resource(jobspec.ParseCPU, func(r *caravanv1.Resources) *int64 { return &r.CpuMilli }),
		"memory": resource(jobspec.ParseSize, func(r *caravanv1.Resources) *int64 { return &r.MemoryMib }),
		"disk":   resource(jobspec.ParseSize, func(r *caravanv1.Resources) *int64 { return &r.DiskMib }),
	}
}

// number makes a setter for a plain number of a group.
func number(field func(*caravanv1.TaskGroup) *int32) func(*caravanv1.TaskGroup, string) error {
	return func(g *caravanv1.TaskGroup, v string) (err error) {
		*field(g), err = integer(v)
		return err
	}
}

// resource makes a setter for an amount that every variant of a group asks for.
func resource(parse func(string) (int64, error), field func(*caravanv1.Resources) *int64) func(*caravanv1.TaskGroup, string) error {
	return func(g *caravanv1.TaskGroup, v string) error {
		amount, err := parse(v)
		if err != nil {
			return err
		}
		for _, variant := range g.Variants {
			if variant.Resources == nil {
				variant.Resources = &caravanv1.Resources{}
			}
			*field(variant.Resources) = amount
		}
		return nil
	}
}

func integer(v string) (int32, error) {
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", v)
	}
	return int32(n), nil
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

func groupNamed(spec *caravanv1.JobSpec, name string) []*caravanv1.TaskGroup {
	for _, g := range spec.Groups {
		if g.Name == name {
			return []*caravanv1.TaskGroup{g}
		}
	}
	return nil
}

func groupNames(spec *caravanv1.JobSpec) string {
	var names []string
	for _, g := range spec.Groups {
		names = append(names, g.Name)
	}
	return strings.Join(names, ", ")
}
