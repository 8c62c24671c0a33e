package state

import "caravan/scheduler/model"

// PutQueue adds a queue or changes one. Its parent must exist and must not lie
// below it. Lower limits keep new tasks out; they stop none that runs.
func (t *Txn) PutQueue(q model.Queue) (Answer, *model.Error) {
	old, known := t.tb.queues.byName.get(q.Name)
	if err := t.checkQueue(&q); err != nil {
		return Answer{}, err
	}
	if !known && t.tb.queues.byName.len() >= MaxQueues {
		return Answer{}, overloaded("queue "+q.Name, "queues", MaxQueues, "share a queue")
	}
	usage := t.tb.queues.usageOf(q.Name)
	if known {
		t.tb.queues.charge(old.Parent, usage, -1)
	}
	t.tb.queues.add(&q)
	t.tb.queues.charge(q.Parent, usage, 1)
	t.changedQueues.Insert(q.Name)
	t.event(Event{Type: "queue.put", Message: "queue " + q.Name})
	return Answer{Count: 1}, nil
}

func (t *Txn) checkQueue(q *model.Queue) *model.Error {
	subject := "queue " + q.Name
	switch {
	case !validName(q.Name, MaxNameLength, true):
		return invalid(subject, "a queue name has 1 to 48 lower-case letters, digits, '-' and '.'", "choose another name")
	case q.Weight < 1 || q.Weight > MaxQueueWeight:
		return invalid(subject, "a weight is 1 to 1,000,000", "1 is the ordinary weight")
	case q.MaxCPUMilli < 0 || q.MaxMemoryMiB < 0 || q.MaxDevicesMilli < 0:
		return invalid(subject, "a limit is negative", "0 means no limit")
	case q.Parent == "":
		return nil
	case !t.tb.queues.byName.has(q.Parent):
		return model.NotFound("queue", q.Parent, "the queues are "+t.tb.queues.names())
	}
	above := 0
	for p := range t.tb.queues.chain(q.Parent) {
		if p.Name == q.Name {
			return invalid(subject, "the queue would lie below itself", "choose a parent that is not below "+q.Name)
		}
		above++
	}
	if above+t.tb.queues.height(q.Name) > MaxQueueDepth {
		return invalid(subject, "queues are nested at most 16 deep", "choose a parent further up")
	}
	return nil
}

// height returns how many levels the queue and those below it span; 1 for a
// queue that is not there yet.
func (t *queueTable) height(name string) int {
	height := 1
	for other := range t.byName.all() {
		level := 1
		for q := range t.chain(other) {
			if q.Name == name {
				height = max(height, level)
				break
			}
			level++
		}
	}
	return height
}
