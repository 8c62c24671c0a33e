package state

import (
	"caravan/scheduler/model"
)

// tables is the whole state. Below each table stand the indices derived from
// it; derived ones are rebuilt on restore and take no part in the digest.
type tables struct {
	meta meta

	jobs jobTable

	// tasks holds the tasks that were placed at least once.
	tasks table[taskKey, *model.Task]

	allocations allocationTable
	nodes       nodeTable
	queues      queueTable
	limits      limitTable
	requests    requestTable

	servers table[string, *model.Server]

	// health holds what is remembered of devices and hosts, by identity.
	health table[string, *model.HealthRecord]

	events eventLog
}

// meta is what there is one of.
type meta struct {
	// applied is the raft index of the last operation.
	applied uint64
	// now is the state's clock: the largest time of any operation.
	now model.Time
	// nextJob is the number of the next job; the first is 1.
	nextJob uint64
}

func newTables() *tables {
	t := &tables{
		meta:        meta{nextJob: 1},
		jobs:        newJobTable(),
		tasks:       newTable[taskKey, *model.Task](),
		allocations: newAllocationTable(),
		nodes:       newNodeTable(),
		queues:      newQueueTable(),
		limits:      newLimitTable(),
		requests:    newRequestTable(),
		servers:     newTable[string, *model.Server](),
		health:      newTable[string, *model.HealthRecord](),
		events:      newEventLog(),
	}
	t.queues.add(&model.Queue{Name: model.DefaultQueue, Weight: 1})
	return t
}

// copy returns tables that share everything until written. Writer only.
func (t *tables) copy() *tables {
	return &tables{
		meta:        t.meta,
		jobs:        t.jobs.copy(),
		tasks:       t.tasks.copy(),
		allocations: t.allocations.copy(),
		nodes:       t.nodes.copy(),
		queues:      t.queues.copy(),
		limits:      t.limits.copy(),
		requests:    t.requests.copy(),
		servers:     t.servers.copy(),
		health:      t.health.copy(),
		events:      t.events.copy(),
	}
}
