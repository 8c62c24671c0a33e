// Package taskref reads and writes the names that people use for tasks:
// GROUP[INDEX] with the index of the job file, e.g. encode[3]. A group of one
// task goes by its group's name alone. The commands of the command line use it for arguments,
// log prefixes and tables.
package taskref

import (
	"fmt"
	"strconv"
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// Ref is a task, or all tasks of a group when Index is nil, or all tasks of
// the job when Group is empty too.
type Ref struct {
	Group string
	Index *int64
}

// Parse reads GROUP, GROUP[INDEX] or GROUP/INDEX; the latter needs no quotes
// in any shell.
func Parse(s string) (Ref, error) {
	group, index, found := strings.Cut(s, "/")
	if before, after, ok := strings.Cut(s, "["); ok {
		inner, closed := strings.CutSuffix(after, "]")
		if !closed {
			return Ref{}, fmt.Errorf("task %q has no closing bracket", s)
		}
		group, index, found = before, inner, true
	}
	if group == "" {
		return Ref{}, fmt.Errorf("task %q names no group", s)
	}
	if !found {
		return Ref{Group: group}, nil
	}
	n, err := strconv.ParseInt(index, 10, 64)
	if err != nil {
		return Ref{}, fmt.Errorf("task %q: %q is not an index", s, index)
	}
	return Ref{Group: group, Index: &n}, nil
}

// Names tells the names of one job's tasks.
type Names struct{ groups map[string]model.Indices }

// Of returns the names of a job's tasks.
func Of(spec *pb.JobSpec) Names {
	n := Names{groups: map[string]model.Indices{}}
	for _, g := range spec.GetGroups() {
		x := model.Indices{Chunk: int64(max(1, g.Chunk))}
		for _, r := range g.Indices {
			step := r.Step
			if step == 0 {
				step = 1
			}
			x.Ranges = append(x.Ranges, model.Range{First: r.First, Last: r.Last, Step: step})
		}
		n.groups[g.Name] = x
	}
	return n
}

// Tasks returns how many tasks a group has.
func (n Names) Tasks(group string) int64 { return n.groups[group].Tasks() }

// Total returns how many tasks the job has.
func (n Names) Total() int64 {
	var total int64
	for _, x := range n.groups {
		total += x.Tasks()
	}
	return total
}

// Task returns the name of a group's task by its ordinal.
func (n Names) Task(group string, ordinal int64) string {
	x, known := n.groups[group]
	if !known {
		return fmt.Sprintf("%s#%d", group, ordinal)
	}
	if x.Tasks() <= 1 {
		return group
	}
	if index, ok := x.At(ordinal); ok {
		return fmt.Sprintf("%s[%d]", group, index)
	}
	return fmt.Sprintf("%s#%d", group, ordinal)
}

// Allocation returns the name of the first task that an allocation JOB.GROUP.ORDINAL.ATTEMPT
// is an attempt of; an id of another form is returned as it is.
func (n Names) Allocation(id string) string {
	parts := strings.Split(id, ".")
	if len(parts) != 4 {
		return id
	}
	ordinal, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return id
	}
	return n.Task(parts[1], ordinal)
}
