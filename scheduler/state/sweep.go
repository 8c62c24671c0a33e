package state

import (
	"caravan/scheduler/model"
)

// Sweep drops what is past its keeping time: requests made before the one
// time, and before the other jobs that ended, with their tasks and
// allocations, nodes that were lost and are not draining, and histories of
// health without news since healthBefore. It drops at most
// limit records. The answer's Count is how many it dropped; when it equals
// limit, there is more to do.
func (t *Txn) Sweep(requestsBefore, endedBefore, healthBefore model.Time, limit int) (Answer, *model.Error) {
	if limit <= 0 {
		return Answer{}, invalid("limit", "the limit must be at least 1", "a thousand is a good measure")
	}
	left := limit
	left -= t.tb.requests.dropOldest(requestsBefore, left)
	left -= t.sweepHealth(healthBefore, left)
	left -= t.sweepNodes(endedBefore, left)
	left -= t.sweepJobs(endedBefore, left)
	return Answer{Count: int64(limit - left)}, nil
}

// sweepNodes drops nodes that were lost before that time. They hold nothing.
func (t *Txn) sweepNodes(before model.Time, limit int) int {
	var gone []string
	for name, n := range t.tb.nodes.byName.all() {
		if len(gone) >= limit {
			break
		}
		if n.State == model.NodeLost && !n.Draining && n.ChangedAt < before {
			gone = append(gone, name)
		}
	}
	for _, name := range gone {
		t.tb.nodes.byName.remove(name)
		t.tb.nodes.books.remove(name)
		t.books.Delete(name)
		t.changedNodes.Insert(name)
		t.event(Event{Type: "node.dropped", Node: name, Message: "it stayed lost"})
	}
	return len(gone)
}

// sweepJobs drops jobs that ended before that time. A job vanishes at once and
// is remembered as swept until its tasks and allocations are gone too: a job
// that was half there could be retried, and would use allocation ids twice.
func (t *Txn) sweepJobs(before model.Time, limit int) int {
	dropped := t.finishSwept(limit)
	for dropped < limit {
		k, ok := t.tb.jobs.ended.m.Min()
		if !ok || k.at >= before {
			break
		}
		j, ok := t.tb.jobs.byNumber.get(k.number)
		must(ok, "an ended job is missing from the table")
		t.tb.jobs.unfile(j)
		t.tb.jobs.byNumber.remove(j.Number)
		t.jobs.Delete(j.Number)
		t.changedJobs.Insert(j.ID)
		t.tb.jobs.swept.put(j.Number, j.ID)
		dropped++
		dropped += t.finishSwept(limit - dropped)
	}
	return dropped
}

// finishSwept drops up to limit tasks and allocations of swept jobs.
func (t *Txn) finishSwept(limit int) int {
	dropped := 0
	for dropped < limit {
		number, id, ok := t.tb.jobs.swept.m.Min()
		if !ok {
			break
		}
		n := t.dropTasks(number, limit-dropped)
		n += t.dropAllocations(id, limit-dropped-n)
		dropped += n
		if dropped < limit {
			t.tb.jobs.swept.remove(number)
		}
	}
	return dropped
}

func (t *Txn) dropTasks(job uint64, limit int) int {
	var keys []taskKey
	for k := range t.tb.tasks.from(newTaskKey(job, 0, 0)) {
		if k.job() != job || len(keys) >= limit {
			break
		}
		keys = append(keys, k)
	}
	for _, k := range keys {
		t.tb.tasks.remove(k)
	}
	return len(keys)
}

func (t *Txn) dropAllocations(job string, limit int) int {
	var gone []*model.Allocation
	for a := range t.tb.allocations.of(job) {
		if len(gone) >= limit {
			break
		}
		gone = append(gone, a)
	}
	for _, a := range gone {
		t.tb.allocations.remove(a)
		t.allocations = append(t.allocations, AllocationKey{a.Node, a.ID})
	}
	return len(gone)
}
