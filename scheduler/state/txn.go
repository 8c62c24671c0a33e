package state

import (
	"slices"
	"strings"

	"github.com/tidwall/btree"

	"caravan/scheduler/model"
)

// Answer is what an operation that succeeded tells its caller.
type Answer struct {
	// JobID is the job that was submitted, stopped or retried.
	JobID string
	// Count is how many things were changed; each operation says which.
	Count int64
	// Dropped lists the items of a plan that were stale. A request that is
	// repeated does not get them again.
	Dropped []Dropped
}

// Commit tells what a transaction changed. The lists are sorted and without
// duplicates; a key that is in a list but not in the snapshot was removed.
type Commit struct {
	// Index is the raft index of the last operation.
	Index uint64
	Time  model.Time
	// Snapshot is the state after the commit.
	Snapshot *Snapshot
	// Jobs are ids. A job is listed when the job or any of its tasks changed.
	Jobs []string
	// Allocations are sorted by node.
	Allocations []AllocationKey
	// Nodes are names. A node is listed when the node or what it has free changed.
	Nodes []string
	// Queues are names of queues that were put.
	Queues []string
	// Events is shared; it must not be changed.
	Events []Event
	// Restored is true when the whole state was replaced by that of a snapshot:
	// anything may have changed, and the lists are empty.
	Restored bool
}

// AllocationKey names an allocation and the node it is on.
type AllocationKey struct{ Node, ID string }

// Txn is a series of operations that becomes visible as one.
type Txn struct {
	store *Store
	tb    *tables

	index uint64
	now   model.Time

	// jobs and books hold the clones of this transaction: nobody else has seen
	// them yet, so that they may be changed in place.
	jobs  btree.Map[uint64, *model.Job]
	books btree.Map[string, *book]

	changedJobs   btree.Set[string]
	changedNodes  btree.Set[string]
	changedQueues btree.Set[string]
	allocations   []AllocationKey
	events        []Event
	// ended are the jobs whose waiters are still to be told; see jobEnded.
	ended []*model.Job
}

func newTxn(s *Store) *Txn {
	return &Txn{store: s, tb: s.tables, index: s.tables.meta.applied, now: s.tables.meta.now}
}

// Enter starts the next command: index is its raft index, which never goes
// backwards, and now the leader's clock when it was proposed. The state's
// clock is the larger of now and what it was.
func (t *Txn) Enter(index uint64, now model.Time) {
	must(index >= t.tb.meta.applied, "a raft index runs backwards")
	t.tb.meta.applied = index
	t.tb.meta.now = max(t.tb.meta.now, now)
	t.index, t.now = index, t.tb.meta.now
}

// Once runs op unless a request of that id was answered before; then it gives
// the first answer again, also where that was an error, and changes nothing.
// An empty id is never remembered.
func (t *Txn) Once(id string, op func() (Answer, *model.Error)) (Answer, *model.Error) {
	if id == "" {
		return op()
	}
	if len(id) > MaxRequestID {
		return Answer{}, invalid("request_id", "the request id is longer than 64 bytes", "use a UUID")
	}
	if r, ok := t.tb.requests.byID.get(id); ok {
		return r.answer()
	}
	a, err := op()
	r := &Request{ID: id, Time: t.now, JobID: a.JobID, Count: a.Count}
	if err != nil {
		r = &Request{ID: id, Time: t.now, ErrorKind: err.Kind, ErrorMessage: err.Message, ErrorSubject: err.Subject, ErrorHint: err.Hint}
	}
	t.tb.requests.add(r)
	if t.tb.requests.byID.len() > MaxRequests {
		t.tb.requests.dropOldest(t.now+1, 1)
	}
	return a, err
}

// Commit makes the changes visible in a new snapshot and ends the transaction.
func (t *Txn) Commit() Commit {
	must(t.store.open, "a transaction is committed twice")
	t.tb.events.add(t.events)
	t.store.open = false
	t.store.snapshot = &Snapshot{t: t.tb.copy()}
	slices.SortFunc(t.allocations, func(a, b AllocationKey) int {
		if c := strings.Compare(a.Node, b.Node); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return Commit{
		Index:       t.tb.meta.applied,
		Time:        t.tb.meta.now,
		Snapshot:    t.store.snapshot,
		Jobs:        t.changedJobs.Keys(),
		Allocations: slices.Compact(t.allocations),
		Nodes:       t.changedNodes.Keys(),
		Queues:      t.changedQueues.Keys(),
		Events:      t.events,
	}
}

// expect makes room for that many changes of allocations, each with an event.
func (t *Txn) expect(n int) {
	t.allocations = slices.Grow(t.allocations, n)
	t.events = slices.Grow(t.events, n)
}

// event records what happened, at the index and time of the current command.
func (t *Txn) event(e Event) {
	e.Index, e.Time = t.index, t.now
	t.events = append(t.events, e)
}

// editJob returns the transaction's own copy of a job. Whoever changes State
// or EndedAt goes through setJobState.
func (t *Txn) editJob(j *model.Job) *model.Job {
	c, ok := t.jobs.Get(j.Number)
	if !ok {
		c = j.Clone()
		t.jobs.Set(c.Number, c)
		t.tb.jobs.byNumber.put(c.Number, c)
		t.changedJobs.Insert(c.ID)
	}
	c.Revision = t.index
	return c
}

// setJobState moves a job that editJob returned, and keeps indices and usage.
func (t *Txn) setJobState(j *model.Job, s model.JobState) {
	queue := queueOf(j.Spec)
	t.tb.jobs.unfile(j)
	t.tb.queues.charge(queue, jobUsage(j.State), -1)
	j.State = s
	j.EndedAt = 0
	if s.Ended() {
		j.EndedAt, j.Waits = t.now, nil
	}
	t.tb.queues.charge(queue, jobUsage(s), 1)
	t.tb.jobs.file(j)
}

// editBook returns the transaction's own copy of a node's book.
func (t *Txn) editBook(node string) (*book, bool) {
	if b, ok := t.books.Get(node); ok {
		return b, true
	}
	b, ok := t.tb.nodes.books.get(node)
	if !ok {
		return nil, false
	}
	b = b.clone()
	t.putBook(node, b)
	return b, true
}

// putBook gives a node a book that is the transaction's own.
func (t *Txn) putBook(node string, b *book) {
	t.books.Set(node, b)
	t.tb.nodes.books.put(node, b)
	t.changedNodes.Insert(node)
}

func (t *Txn) noteAllocation(a *model.Allocation) {
	t.allocations = append(t.allocations, AllocationKey{a.Node, a.ID})
	t.changedJobs.Insert(a.Job)
}
