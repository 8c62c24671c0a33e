package state

import (
	"iter"
	"strings"

	"caravan/scheduler/model"
)

// Bounds on the tree of queues.
const (
	// MaxQueues is the largest number of queues.
	MaxQueues = 10_000
	// MaxQueueDepth is the largest number of queues on the way from a leaf to its root.
	MaxQueueDepth = 16
	// MaxQueueWeight is the largest weight.
	MaxQueueWeight = 1_000_000
)

// QueueUsage is what the jobs of a queue and of all queues below it hold now.
type QueueUsage struct {
	JobsPending  int64
	JobsRunning  int64
	TasksRunning int64
	CPUMilli     int64
	MemoryMiB    int64
	// DevicesMilli is thousandths of devices of any kind.
	DevicesMilli int64
}

func (u QueueUsage) plus(v QueueUsage, times int64) QueueUsage {
	u.JobsPending += times * v.JobsPending
	u.JobsRunning += times * v.JobsRunning
	u.TasksRunning += times * v.TasksRunning
	u.CPUMilli += times * v.CPUMilli
	u.MemoryMiB += times * v.MemoryMiB
	u.DevicesMilli += times * v.DevicesMilli
	return u
}

// queueTable holds queues by name, and beside each its usage.
type queueTable struct {
	byName table[string, *model.Queue]
	usage  table[string, QueueUsage]
}

func newQueueTable() queueTable {
	return queueTable{byName: newTable[string, *model.Queue](), usage: newTable[string, QueueUsage]()}
}

func (t *queueTable) copy() queueTable {
	return queueTable{byName: t.byName.copy(), usage: t.usage.copy()}
}

func (t *queueTable) add(q *model.Queue) {
	t.byName.put(q.Name, q)
	if !t.usage.has(q.Name) {
		t.usage.put(q.Name, QueueUsage{})
	}
}

// chain yields the queue and those above it, up to its root.
func (t *queueTable) chain(name string) iter.Seq[*model.Queue] {
	return func(yield func(*model.Queue) bool) {
		for range MaxQueueDepth {
			q, ok := t.byName.get(name)
			if !ok || !yield(q) {
				return
			}
			name = q.Parent
		}
	}
}

func (t *queueTable) usageOf(name string) QueueUsage {
	u, _ := t.usage.get(name)
	return u
}

// charge adds times v to the queue and to those above it.
func (t *queueTable) charge(name string, v QueueUsage, times int64) {
	for q := range t.chain(name) {
		t.usage.put(q.Name, t.usageOf(q.Name).plus(v, times))
	}
}

// full names the queue on the way up whose limit leaves no room for v.
func (t *queueTable) full(name string, v QueueUsage) (string, bool) {
	over := func(used, more, limit int64) bool { return limit > 0 && more > 0 && used+more > limit }
	for q := range t.chain(name) {
		u := t.usageOf(q.Name)
		if over(u.CPUMilli, v.CPUMilli, q.MaxCPUMilli) ||
			over(u.MemoryMiB, v.MemoryMiB, q.MaxMemoryMiB) ||
			over(u.DevicesMilli, v.DevicesMilli, q.MaxDevicesMilli) {
			return q.Name, true
		}
	}
	return "", false
}

// names lists the queues for a hint, at most ten of them.
func (t *queueTable) names() string {
	var b strings.Builder
	n := 0
	for name := range t.byName.all() {
		if n++; n > 10 {
			return b.String() + ", ..."
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name)
	}
	return b.String()
}

// queueOf returns the queue that a job is charged to.
func queueOf(spec *model.JobSpec) string {
	if spec.Queue == "" {
		return model.DefaultQueue
	}
	return spec.Queue
}

// jobUsage is what a job counts for in its queue, its tasks apart.
func jobUsage(s model.JobState) QueueUsage {
	switch s {
	case model.JobPending:
		return QueueUsage{JobsPending: 1}
	case model.JobRunning:
		return QueueUsage{JobsRunning: 1}
	default: // one that has ended holds nothing
		return QueueUsage{}
	}
}

// allocationUsage is what a live allocation counts for in its queue.
func allocationUsage(a *model.Allocation) QueueUsage {
	u := QueueUsage{TasksRunning: 1, CPUMilli: a.CPUMilli, MemoryMiB: a.MemoryMiB}
	for _, d := range a.Devices {
		u.DevicesMilli += int64(d.Thousandths)
	}
	return u
}

// Queue returns a queue by its name.
func (s *Snapshot) Queue(name string) (*model.Queue, bool) { return s.t.queues.byName.get(name) }

// Queues yields all queues by name.
func (s *Snapshot) Queues() iter.Seq[*model.Queue] { return values(s.t.queues.byName.all()) }

// QueueUsage returns what a queue and the queues below it hold now.
func (s *Snapshot) QueueUsage(name string) QueueUsage { return s.t.queues.usageOf(name) }
