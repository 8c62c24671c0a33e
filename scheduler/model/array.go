package model

import "slices"

// Bounds on what a group says of its attempts.
const (
	MaxExitCodes    = 256
	MaxRetryBackoff = Hour
	MaxStride       = 1000
	// DefaultStride is how far apart the tasks lie that OrderInterleave starts first.
	DefaultStride = 10
	// MaxGroupLimits bounds the limits that one group may ask for.
	MaxGroupLimits = 16
	// ExitTempFail is the exit code (EX_TEMPFAIL of sysexits.h) with which a task
	// asks to be run again without using up a retry.
	ExitTempFail = 75
)

// Order is the order in which the tasks of a group start.
type Order uint8

// Orders. The zero value is the same as OrderForward.
const (
	OrderForward Order = iota + 1
	OrderReverse
	// OrderInterleave: every tenth task (or whatever the stride is), then the
	// ones after them, and so on.
	OrderInterleave
	// OrderFirstMiddleLast: the first, the last, the middle, then the middles of
	// what lies between.
	OrderFirstMiddleLast
)

var orderWords = [...]string{"", "forward", "reverse", "interleave", "first-middle-last"}

// String returns the order's word in a job file.
func (o Order) String() string { return word(orderWords[:], int(max(o, OrderForward))) }

// OrderOf returns the order in which tasks start now, and its stride.
func (g *TaskGroup) OrderOf(s *GroupStatus) (Order, int64) {
	order, stride := max(g.Order, OrderForward), int64(DefaultStride)
	if s.Order != 0 {
		order = s.Order
	}
	if s.Stride > 1 {
		stride = int64(s.Stride)
	}
	return order, stride
}

// ExitCodes says which exit codes are no ordinary failure; both lists are
// sorted and have no code in common. ExitTempFail requeues unless it is fatal.
type ExitCodes struct {
	Requeue []int32
	Fatal   []int32
}

// Requeues reports whether a task that exits with the code is run again without
// using up a retry.
func (e *ExitCodes) Requeues(code int32) bool {
	return !e.IsFatal(code) && (code == ExitTempFail || slices.Contains(e.Requeue, code))
}

// IsFatal reports whether a task that exits with the code is never run again.
func (e *ExitCodes) IsFatal(code int32) bool { return slices.Contains(e.Fatal, code) }

// Delay holds back tasks until a time.
type Delay struct {
	Until Time
	Tasks Set
}

// Delayed returns the tasks that are held back at that time.
func (g *GroupStatus) Delayed(now Time) Set {
	var out Set
	for _, d := range g.Delays {
		if d.Until > now {
			out = out.Union(d.Tasks)
		}
	}
	return out
}

// delayGrains is how finely delays are told apart: their ends are rounded up to
// an eighth of their length, so that many failures make few entries.
const delayGrains = 8

// Delay holds back tasks that failed for the given number of times.
func (g *GroupStatus) Delay(tasks Set, failures int32, backoff Duration, now Time) {
	g.ForgetDelays(now, Set{})
	if backoff <= 0 || tasks.Empty() {
		return
	}
	for ; failures > 1 && backoff < MaxRetryBackoff; failures-- {
		backoff *= 2
	}
	backoff = min(backoff, MaxRetryBackoff)
	grain := Time(max(1, backoff/delayGrains))
	until := (now.Add(backoff) + grain - 1) / grain * grain
	at, found := slices.BinarySearchFunc(g.Delays, until, func(d Delay, t Time) int {
		return int(min(1, max(-1, d.Until-t)))
	})
	if !found {
		g.Delays = slices.Insert(g.Delays, at, Delay{Until: until})
	}
	g.Delays[at].Tasks = g.Delays[at].Tasks.Union(tasks)
}

// HoldUntil holds back tasks that have never run until a time.
func (g *GroupStatus) HoldUntil(tasks Set, until Time) {
	g.Delays = []Delay{{Until: until, Tasks: tasks}}
}

// ForgetDelays drops what is over, and what holds back the given tasks.
func (g *GroupStatus) ForgetDelays(now Time, tasks Set) {
	kept := g.Delays[:0]
	for _, d := range g.Delays {
		d.Tasks = d.Tasks.Subtract(tasks)
		if d.Until > now && !d.Tasks.Empty() {
			kept = append(kept, d)
		}
	}
	if len(kept) == 0 {
		kept = nil
	}
	g.Delays = kept
}

// LimitUse is what one allocation holds of a limit.
type LimitUse struct {
	Name  string
	Count int64
}

// LimitScope is what a limit is counted on.
type LimitScope uint8

// Scopes of a limit. The zero value is the same as PerCluster.
const (
	PerCluster LimitScope = iota + 1
	PerNode
	// PerDevice counts on each device that an allocation holds a part of.
	PerDevice
)

// String returns the scope's word on the command line.
func (s LimitScope) String() string {
	switch s {
	case PerNode:
		return "node"
	case PerDevice:
		return "device"
	}
	return "cluster"
}

// Limit is a countable thing that allocations hold while they live.
type Limit struct {
	Name  string
	Count int64
	Scope LimitScope
}
