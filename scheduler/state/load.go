package state

import (
	"fmt"

	"caravan/scheduler/model"
)

// Loader builds a state from the records of a snapshot. Records may come in
// any order, though key order is fastest; what is derived is computed at the
// end. It belongs to one goroutine.
type Loader struct{ t *tables }

// NewLoader starts from what there is one of: the raft index of the last
// operation, the state's clock, and the number of the next job.
func NewLoader(applied uint64, now model.Time, nextJob uint64) (*Loader, error) {
	if nextJob < 1 || nextJob > maxJobNumber+1 {
		return nil, fmt.Errorf("the next job number %d is out of range", nextJob)
	}
	t := newTables()
	t.meta = meta{applied: applied, now: now, nextJob: nextJob}
	return &Loader{t: t}, nil
}

// AddJob adds a job. The loader keeps it.
func (l *Loader) AddJob(j *model.Job) error {
	if err := checkSpec(j.Spec); err != nil {
		return fmt.Errorf("job %s: %w", j.ID, err)
	}
	if j.Number >= l.t.meta.nextJob || l.t.jobs.byNumber.has(j.Number) || l.t.jobs.swept.has(j.Number) {
		return fmt.Errorf("job %s: its number is used twice or was never given out", j.ID)
	}
	if len(j.Groups) != len(j.Spec.Groups) || j.ID != jobID(j.Spec.Name, j.Number) {
		return fmt.Errorf("job %s: its parts do not fit together", j.ID)
	}
	for g := range j.Groups {
		s := &j.Groups[g]
		for _, set := range []model.Set{s.Waiting, s.Active, s.Succeeded, s.Failed, s.Stopped, s.Eaten, s.Cancelled, s.Paused, s.Front, s.Back} {
			if !set.Empty() && !model.NewSet(0, j.Spec.Groups[g].Indices.Tasks()).ContainsRange(bounds(set)) {
				return fmt.Errorf("job %s: a set of tasks goes beyond its group", j.ID)
			}
		}
	}
	l.t.jobs.byNumber.put(j.Number, j)
	l.t.jobs.file(j)
	return nil
}

// bounds returns the first member of a set that is not empty, and one more than the last.
func bounds(s model.Set) (lo, hi int64) {
	iv := s.Intervals()
	return iv[0].Lo, iv[len(iv)-1].Hi
}

// AddSweptJob adds a job that was dropped and whose tasks and allocations are not yet.
func (l *Loader) AddSweptJob(j SweptJob) error {
	if n, ok := jobNumber(j.ID); !ok || n != j.Number || n >= l.t.meta.nextJob || l.t.jobs.byNumber.has(n) {
		return fmt.Errorf("swept job %s: its number does not fit", j.ID)
	}
	l.t.jobs.swept.put(j.Number, j.ID)
	return nil
}

// AddTask adds a task's record. The loader keeps it.
func (l *Loader) AddTask(r *model.Task) error {
	n, ok := jobNumber(r.Job)
	if !ok || r.Group < 0 || r.Group >= model.MaxGroups || r.Ordinal < 0 || r.Ordinal >= model.MaxTasks {
		return fmt.Errorf("task %s.%d.%d: the key is out of range", r.Job, r.Group, r.Ordinal)
	}
	if j, ok := l.t.jobs.byNumber.get(n); ok && j.ID == r.Job {
		r.Job = j.ID // one copy of the text for all records
	}
	l.t.tasks.put(newTaskKey(n, r.Group, r.Ordinal), r)
	return nil
}

// AddAllocation adds an allocation. The loader keeps it.
func (l *Loader) AddAllocation(a *model.Allocation) error {
	if l.t.allocations.byID.has(a.ID) {
		return fmt.Errorf("allocation %s comes twice", a.ID)
	}
	if j, ok := l.t.jobs.get(a.Job); ok {
		a.Job = j.ID
	}
	if n, ok := l.t.nodes.byName.get(a.Node); ok {
		a.Node = n.Name
	}
	l.t.allocations.add(a)
	return nil
}

// AddNode adds a node. The loader keeps it.
func (l *Loader) AddNode(n *model.Node) error {
	if err := checkNode(n); err != nil {
		return err
	}
	l.t.nodes.byName.put(n.Name, n)
	return nil
}

// AddQueue adds a queue. The loader keeps it.
func (l *Loader) AddQueue(q *model.Queue) error {
	if !validName(q.Name, MaxNameLength, true) {
		return fmt.Errorf("queue %q: the name is invalid", q.Name)
	}
	l.t.queues.add(q)
	return nil
}

// AddLimit adds a limit. The loader keeps it.
func (l *Loader) AddLimit(m *model.Limit) error {
	if err := model.ValidateLimit(m); err != nil {
		return err
	}
	l.t.limits.byName.put(m.Name, m)
	return nil
}

// AddRequest adds the memory of a request. The loader keeps it.
func (l *Loader) AddRequest(r *Request) error {
	if r.ID == "" || l.t.requests.byID.has(r.ID) {
		return fmt.Errorf("request %q comes twice or has no id", r.ID)
	}
	l.t.requests.add(r)
	return nil
}

// AddServer adds a server. The loader keeps it.
func (l *Loader) AddServer(v *model.Server) error {
	if v.ID == "" {
		return fmt.Errorf("a server has no id")
	}
	l.t.servers.put(v.ID, v)
	return nil
}

// AddHealth adds what is remembered of a device or a host. The loader keeps it.
func (l *Loader) AddHealth(r *model.HealthRecord) error {
	if r.Identity == "" || l.t.health.has(r.Identity) {
		return fmt.Errorf("the health of %q comes twice or has no identity", r.Identity)
	}
	l.t.health.put(r.Identity, r)
	return nil
}

// Finish checks what the records say of each other, computes what is derived
// from them, and returns the state. The error says what does not add up; the loader is then of no use.
func (l *Loader) Finish() (*Store, error) {
	if err := checkRecords(l.t); err != nil {
		return nil, fmt.Errorf("the records contradict each other: %w", err)
	}
	for _, a := range l.t.allocations.byID.all() {
		if a.State.Ended() {
			continue
		}
		if j, ok := l.t.jobs.get(a.Job); ok {
			l.t.queues.charge(queueOf(j.Spec), allocationUsage(a), 1)
			l.t.limits.charge(j.Spec.Groups[a.Group].Limits, a.Node, a.Devices, 1)
		}
	}
	live := liveByNode(l.t)
	for name, n := range l.t.nodes.byName.all() {
		l.t.nodes.books.put(name, newBook(n, live[name]))
	}
	for _, j := range l.t.jobs.byNumber.all() {
		l.t.queues.charge(queueOf(j.Spec), jobUsage(j.State), 1)
	}
	return newStore(l.t), nil
}

// liveByNode gathers the live allocations of each node without the help of an index.
func liveByNode(t *tables) map[string][]*model.Allocation {
	live := map[string][]*model.Allocation{}
	for _, a := range t.allocations.byID.all() {
		if !a.State.Ended() {
			live[a.Node] = append(live[a.Node], a)
		}
	}
	return live
}
