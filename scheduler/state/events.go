package state

import (
	"iter"

	"caravan/scheduler/model"
)

// MaxEvents is how many events are kept for late readers. They are derived,
// take no part in the digest, and are gone after a restart.
const MaxEvents = 16_384

// Event tells people what happened. Empty fields do not apply.
type Event struct {
	// Index is the raft index of the operation; several events may share one.
	Index uint64
	Time  model.Time
	// Type is a subject and a past participle: job.submitted, task.placed, node.lost.
	Type       string
	Job        string
	Group      string
	Allocation string
	Node       string
	Message    string
}

// eventLog keeps the newest events, in one chunk per commit. Chunks are never
// changed once they are in.
type eventLog struct {
	chunks table[uint64, []Event]
	next   uint64
	count  int
}

func newEventLog() eventLog { return eventLog{chunks: newTable[uint64, []Event]()} }

func (l *eventLog) copy() eventLog {
	c := *l
	c.chunks = l.chunks.copy()
	return c
}

// add appends the events of one commit and drops the oldest over the bound.
func (l *eventLog) add(events []Event) {
	if len(events) == 0 {
		return
	}
	events = events[max(0, len(events)-MaxEvents):]
	l.chunks.put(l.next, events)
	l.next++
	l.count += len(events)
	for l.count > MaxEvents {
		k, chunk, _ := l.chunks.m.Min()
		l.chunks.remove(k)
		l.count -= len(chunk)
	}
}

// Events yields the kept events with an index of at least from, in order.
func (s *Snapshot) Events(from uint64) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for _, chunk := range s.t.events.chunks.all() {
			if chunk[len(chunk)-1].Index < from {
				continue
			}
			for i := range chunk {
				if chunk[i].Index >= from && !yield(chunk[i]) {
					return
				}
			}
		}
	}
}

// OldestEvent returns the index of the oldest event that is kept; what
// happened before it can no longer be told. It is 0 when there is none.
func (s *Snapshot) OldestEvent() uint64 {
	_, chunk, ok := s.t.events.chunks.m.Min()
	if !ok {
		return 0
	}
	return chunk[0].Index
}
