// Package quota keeps what each queue holds and may hold while a cycle places
// tasks. A queue's limits bind its own tasks and those of every queue below
// it. core creates one Ledger per cycle.
package quota

import (
	"fmt"
	"math"

	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

// View is a queue and what the tasks of its own jobs hold, those of the queues
// below it not counted.
type View struct {
	Queue            *model.Queue
	UsedCPUMilli     int64
	UsedMemoryMiB    int64
	UsedDevicesMilli int64
}

// Unlimited is what Room returns when no limit binds.
const Unlimited = math.MaxInt64

// Ledger is the queues' books.
type Ledger struct {
	queues []account
	byName map[string]int
}

type account struct {
	queue  *model.Queue
	parent int // -1 for a root
	used   [kinds]int64
}

// what is counted
const (
	cpu = iota
	memory
	devices
	kinds
)

// New returns a ledger of the given queues. A parent that is missing, or that
// would close a circle, counts as none.
func New(views []View) *Ledger {
	l := &Ledger{queues: make([]account, len(views)), byName: make(map[string]int, len(views))}
	for i, v := range views {
		l.queues[i] = account{queue: v.Queue, parent: -1}
		l.byName[v.Queue.Name] = i
	}
	for i, v := range views {
		if p, ok := l.byName[v.Queue.Parent]; ok && v.Queue.Parent != "" && !l.below(p, i) {
			l.queues[i].parent = p
		}
	}
	for i, v := range views {
		l.charge(i, [kinds]int64{v.UsedCPUMilli, v.UsedMemoryMiB, v.UsedDevicesMilli})
	}
	return l
}

// below reports whether queue i is queue top or below it.
func (l *Ledger) below(i, top int) bool {
	for ; i >= 0; i = l.queues[i].parent {
		if i == top {
			return true
		}
	}
	return false
}

func (l *Ledger) charge(i int, amount [kinds]int64) {
	for ; i >= 0; i = l.queues[i].parent {
		for k, n := range amount {
			l.queues[i].used[k] += n
		}
	}
}

// Charge books n tasks of a class on a job's queue and the queues above it.
func (l *Ledger) Charge(queue string, c *request.Class, n int64) {
	if i, ok := l.find(queue); ok {
		d := demand(c)
		for k := range d {
			d[k] *= n
		}
		l.charge(i, d)
	}
}

// Room returns how many more tasks of a class the queue and those above it
// admit, and the limit that binds first. A queue that the ledger does not
// know has no limits.
func (l *Ledger) Room(queue string, c *request.Class) (n int64, limit Limit) {
	n = Unlimited
	i, ok := l.find(queue)
	if !ok {
		return n, Limit{}
	}
	d := demand(c)
	at, kind := -1, 0
	for ; i >= 0; i = l.queues[i].parent {
		q := &l.queues[i]
		most := [kinds]int64{q.queue.MaxCPUMilli, q.queue.MaxMemoryMiB, q.queue.MaxDevicesMilli}
		for k := range kinds {
			if most[k] <= 0 || d[k] <= 0 {
				continue
			}
			if room := max(0, most[k]-q.used[k]) / d[k]; room < n {
				n, at, kind = room, i, k
			}
		}
	}
	if at < 0 {
		return n, Limit{}
	}
	return n, Limit{queue: l.queues[at].queue, kind: kind, used: l.queues[at].used[kind]}
}

// Limit is a queue's limit that was found to bind; the zero value is none.
type Limit struct {
	queue *model.Queue
	kind  int
	used  int64
}

// String writes the limit with what is held of it: "queue video holds 8 of 8
// cores".
func (m Limit) String() string {
	if m.queue == nil {
		return ""
	}
	used, most, unit := model.FormatMilli(m.used), "", ""
	switch m.kind {
	case cpu:
		most, unit = model.FormatMilli(m.queue.MaxCPUMilli), "cores"
	case memory:
		used, most, unit = model.FormatMiB(m.used), model.FormatMiB(m.queue.MaxMemoryMiB), "memory"
	default:
		most, unit = model.FormatMilli(m.queue.MaxDevicesMilli), "devices"
	}
	return fmt.Sprintf("queue %s holds %s of %s %s", m.queue.Name, used, most, unit)
}

func (l *Ledger) find(queue string) (int, bool) {
	if queue == "" {
		queue = model.DefaultQueue
	}
	i, ok := l.byName[queue]
	return i, ok
}

func demand(c *request.Class) [kinds]int64 {
	return [kinds]int64{c.CPUMilli, c.MemoryMiB, c.DevicesMilli()}
}
