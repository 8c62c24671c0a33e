package state

import (
	"fmt"
	"strconv"

	"caravan/scheduler/model"
)

// Bounds on a job that the tables rest on, besides those of package model.
const (
	// MaxNameLength is the longest name of a job or group, in bytes.
	MaxNameLength = 48
	// MaxIndices is the largest number of array indices in one group; a task may
	// stand for many.
	MaxIndices = 10_000_000
	// maxIndex keeps arithmetic on indices away from overflow.
	maxIndex = 1 << 53
	// MaxJobs is the largest number of jobs kept, ended ones included.
	MaxJobs = 10_000_000
)

// SubmitJob adds a job with every task waiting, at the same cost whether a
// group has one task or a million. The answer's JobID is its name and number.
func (t *Txn) SubmitJob(spec *model.JobSpec, owner string) (Answer, *model.Error) {
	if err := checkSpec(spec); err != nil {
		return Answer{}, err
	}
	queue := queueOf(spec)
	if !t.tb.queues.byName.has(queue) {
		return Answer{}, model.NotFound("queue", queue, "the queues are "+t.tb.queues.names())
	}
	if t.tb.jobs.byNumber.len() >= MaxJobs || t.tb.meta.nextJob > maxJobNumber {
		return Answer{}, overloaded("job "+spec.Name, "jobs", MaxJobs, "wait until ended jobs are dropped, or shorten how long they are kept")
	}
	waits, err := t.waitsOf(spec, owner)
	if err != nil {
		return Answer{}, err
	}
	number := t.tb.meta.nextJob
	t.tb.meta.nextJob += spec.Numbers()
	j := &model.Job{
		ID:          jobID(spec.Name, number),
		Number:      number,
		Spec:        spec,
		Owner:       owner,
		State:       model.JobPending,
		SubmittedAt: t.now,
		Groups:      make([]model.GroupStatus, len(spec.Groups)),
		Revision:    t.index,
		Waits:       waits,
	}
	for g := range spec.Groups {
		all := model.NewSet(0, spec.Groups[g].Indices.Tasks())
		j.Groups[g].Waiting = all
		if spec.Held {
			j.Groups[g].Paused = all
		}
		if spec.Begin > t.now {
			j.Groups[g].HoldUntil(all, spec.Begin)
		}
	}
	t.tb.jobs.byNumber.put(number, j)
	t.tb.jobs.file(j)
	t.tb.queues.charge(queue, jobUsage(j.State), 1)
	t.jobs.Set(number, j)
	t.changedJobs.Insert(j.ID)
	t.event(Event{Type: "job.submitted", Job: j.ID, Message: owner + " submitted " + plural(spec.Tasks(), "task") + " to queue " + queue})
	return Answer{JobID: j.ID, Count: spec.Tasks()}, nil
}

// checkSpec refuses a spec that the tables could not hold. It is no substitute
// for the full validation before a job is proposed; and because every server
// must judge alike, a rule here may only ever be loosened.
func checkSpec(s *model.JobSpec) *model.Error {
	var c specCheck
	c.name("name", s.Name)
	c.demand(len(s.Groups) >= 1 && len(s.Groups) <= model.MaxGroups, "groups", "a job has 1 to 64 groups")
	seen := map[string]bool{}
	var tasks int64
	for i := range s.Groups {
		g, path := &s.Groups[i], "groups["+strconv.Itoa(i)+"]"
		c.name(path+".name", g.Name)
		c.demand(!seen[g.Name], path+".name", "another group has the same name")
		seen[g.Name] = true
		if n, ok := c.indices(path+".indices", g.Indices); ok {
			tasks += n
			c.group(path, g, n)
		}
		for _, d := range g.DependsOn {
			c.demand(d.Group >= 0 && d.Group < len(s.Groups) && d.Group != i, path+".depends_on", "no such group")
		}
	}
	c.demand(tasks <= model.MaxTasks, "groups", "a job has at most 1,000,000 tasks")
	if len(c.fields) == 0 && cyclic(s) {
		c.demand(false, "groups", "the dependencies form a circle")
	}
	if len(c.fields) == 0 {
		return nil
	}
	return &model.Error{
		Kind: model.KindInvalid, Subject: "job " + s.Name, Message: "this job cannot be taken",
		Hint: "mend the fields named and submit again", Fields: c.fields,
	}
}

// specCheck gathers the faults of a spec, up to a bound.
type specCheck struct{ fields []model.FieldError }

const maxFieldErrors = 20

func (c *specCheck) demand(ok bool, path, message string) {
	if !ok && len(c.fields) < maxFieldErrors {
		c.fields = append(c.fields, model.FieldError{Path: path, Message: message})
	}
}

func (c *specCheck) name(path, s string) {
	c.demand(validName(s, MaxNameLength, false), path, "a name has 1 to 48 lower-case letters, digits and '-'")
}

// indices returns the number of tasks of an array.
func (c *specCheck) indices(path string, x model.Indices) (int64, bool) {
	before := len(c.fields)
	c.demand(len(x.Ranges) > 0, path, "there must be at least one index")
	c.demand(x.Chunk >= 0, path, "the chunk must be at least 1")
	var n int64
	for _, r := range x.Ranges {
		ok := r.Step != 0 && r.Step > -maxIndex && r.Step < maxIndex &&
			r.First > -maxIndex && r.First < maxIndex && r.Last > -maxIndex && r.Last < maxIndex
		ok = ok && r.Len() > 0 && (r.Last-r.First)%r.Step == 0
		c.demand(ok, path, fmt.Sprintf("%d to %d by %d is no range", r.First, r.Last, r.Step))
		if ok && n <= MaxIndices {
			n += r.Len()
		}
	}
	c.demand(n <= MaxIndices, path, "a group has at most 10,000,000 indices")
	if len(c.fields) > before || n == 0 {
		return 0, false
	}
	return x.Tasks(), true
}

func (c *specCheck) group(path string, g *model.TaskGroup, tasks int64) {
	c.demand(!g.Gang || tasks <= model.MaxGangSize, path+".indices", "a gang has at most 100,000 tasks")
	c.demand(len(g.Matrix) == 0 || g.Matrix.Points() == tasks, path+".indices", "a sweep has one task for each point")
	c.demand(g.MaxRunning >= 0, path+".max_running", "must not be negative")
	c.demand(!g.Gang || g.MaxRunning == 0 || int64(g.MaxRunning) >= tasks, path+".max_running", "a gang runs all its tasks at once")
	c.demand(g.Retries >= 0 && g.Retries <= model.MaxRetries, path+".retries", "must be 0 to 1000")
	c.demand(len(g.Variants) >= 1 && len(g.Variants) <= model.MaxVariants, path+".variants", "a group has 1 to 16 variants")
	for k := range g.Variants {
		r := &g.Variants[k].Resources
		ok := r.CPUMilli >= 0 && r.CPUMilli <= model.MaxCPUMilli && r.MemoryMiB >= 0 && r.MemoryMiB <= model.MaxMemoryMiB &&
			r.DiskMiB >= 0 && r.DiskMiB <= model.MaxDiskMiB
		c.demand(ok, path+".variants["+strconv.Itoa(k)+"].resources", "an amount is negative or beyond what any node has")
	}
}

// validName reports whether s is 1 to limit lower-case letters, digits and
// '-', and '.' where dots are allowed. Job and group names have none, because the
// dot separates the parts of an allocation id.
func validName(s string, limit int, dots bool) bool {
	if len(s) == 0 || len(s) > limit {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || dots && c == '.') {
			return false
		}
	}
	return true
}

// cyclic reports whether a group depends on itself, directly or not, by
// removing groups that depend on none that is left.
func cyclic(s *model.JobSpec) bool {
	done := make([]bool, len(s.Groups))
	for range s.Groups {
		for i := range s.Groups {
			free := true
			for _, d := range s.Groups[i].DependsOn {
				free = free && done[d.Group]
			}
			done[i] = free
		}
	}
	for _, d := range done {
		if !d {
			return true
		}
	}
	return false
}

// plural writes 1 task, 2 tasks.
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(n, 10) + " " + noun + "s"
}
