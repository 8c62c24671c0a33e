package simfleet

import (
	"context"
	"fmt"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// keepEnded is how many ended tasks a node remembers, so that a server that lags behind and
// still lists one does not get it run again.
const keepEnded = 64

// task is one pretended run. The node's mu guards it.
type task struct {
	id      string
	started int64 // Unix ms
	end     *pb.AllocationReport
}

// update takes a list of the node's allocations.
func (n *node) update(_ context.Context, u *pb.AllocationUpdate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	listed := make(map[string]bool, len(u.Assignments))
	for _, a := range u.Assignments {
		id := a.GetAllocation().GetId()
		if a.GetAllocation().GetState() >= pb.AllocationState_ALLOCATION_STATE_SUCCEEDED {
			n.giveUp(id)
			continue
		}
		listed[id] = true
		n.assigned(a)
	}
	if !u.Full {
		return
	}
	for id := range n.tasks {
		if !listed[id] {
			n.giveUp(id)
		}
	}
}

// assigned starts, stops or repeats the end of a task; n.mu is held.
func (n *node) assigned(a *pb.Assignment) {
	id := a.Allocation.Id
	t, known := n.tasks[id]
	switch {
	case known && t.end != nil:
		n.send(t.end)
	case known && a.Allocation.StopRequested:
		n.finish(t, pb.AllocationState_ALLOCATION_STATE_STOPPED, stopExit("stopped on request"))
	case known:
	case a.Allocation.StopRequested:
		t = &task{id: id}
		n.tasks[id] = t
		n.finish(t, pb.AllocationState_ALLOCATION_STATE_STOPPED, stopExit("stopped before it was started"))
	default:
		n.begin(a)
	}
}

// begin pretends to start a task; n.mu is held.
func (n *node) begin(a *pb.Assignment) {
	t := &task{id: a.Allocation.Id, started: time.Now().UnixMilli()}
	n.tasks[t.id] = t
	if d := a.Variant.GetDriver(); d != model.DriverSim {
		n.finish(t, pb.AllocationState_ALLOCATION_STATE_FAILED, &pb.Exit{
			Code: -1, Reason: model.ReasonLaunchFailed, Message: fmt.Sprintf("a simulated node runs nothing, and driver %q would have to", d),
		})
		return
	}
	n.send(&pb.AllocationReport{AllocationId: t.id, State: pb.AllocationState_ALLOCATION_STATE_RUNNING, StartedMs: t.started})
	code := a.Variant.SimExitCode
	n.fleet.timers.after(time.Duration(a.Variant.SimDurationMs)*time.Millisecond, func() { n.complete(t, code) })
}

// complete ends a task whose time is over.
func (n *node) complete(t *task, code int32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tasks[t.id] != t || t.end != nil {
		return // stopped, or given up by the servers
	}
	state := pb.AllocationState_ALLOCATION_STATE_SUCCEEDED
	if code != 0 {
		state = pb.AllocationState_ALLOCATION_STATE_FAILED
	}
	n.finish(t, state, &pb.Exit{Code: code, Reason: model.ReasonExited})
}

// finish fixes a task's end and reports it; n.mu is held.
func (n *node) finish(t *task, state pb.AllocationState, exit *pb.Exit) {
	t.end = &pb.AllocationReport{
		AllocationId: t.id, State: state, StartedMs: t.started, EndedMs: time.Now().UnixMilli(),
		Exit: exit, Usage: &pb.Usage{Limits: "none"},
	}
	n.send(t.end)
}

// giveUp ends a task that the servers do not want any more, without a report. One that has
// ended stays in memory; n.mu is held.
func (n *node) giveUp(id string) {
	if t, ok := n.tasks[id]; ok && t.end == nil {
		delete(n.tasks, id)
	}
}

// acknowledged forgets old ends that the servers know.
func (n *node) acknowledged(reports []*pb.AllocationReport) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range reports {
		if t, ok := n.tasks[r.AllocationId]; ok && t.end == r {
			n.ended = append(n.ended, r.AllocationId)
		}
	}
	for len(n.ended) > keepEnded {
		delete(n.tasks, n.ended[0])
		n.ended = n.ended[1:]
	}
}

// stopExit is the exit of a task that obeyed SIGTERM.
func stopExit(message string) *pb.Exit {
	return &pb.Exit{Code: 128 + 15, Signal: 15, Reason: model.ReasonStopped, Message: message}
}
