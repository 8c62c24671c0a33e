package model

// Pace is what was learned of a group with automatic chunks: how long
// allocations of the present size take, and of the size before, from which
// start-up and work are told apart.
type Pace struct {
	// Size is how many tasks an allocation takes; 0 counts as 1.
	Size int64
	// Count allocations of that size have succeeded, in Total time.
	Count int64
	Total Duration
	// BeforeSize and BeforeMean are of the size before; 0 when there was none.
	BeforeSize int64
	BeforeMean Duration
	// Most is a size that failed, and is not gone beyond again; 0 for none.
	Most int64
}

const (
	// paceSample is how many allocations of a size are looked at.
	paceSample = 3
	// paceShare is the part of the run time that start-up may take: a tenth.
	paceShare = 10
	// paceLongest bounds what a retry costs: no allocation is meant to run longer.
	paceLongest = 10 * Minute
	// paceParallel keeps chunks small enough that so many can run side by side.
	paceParallel = 8
)

// Next returns how many tasks the next allocation takes.
func (p *Pace) Next() int64 { return max(1, p.Size) }

// Succeeded takes in an allocation of n tasks that took d, in a group of that
// many tasks. setup is what the job file says of the time to start.
func (p *Pace) Succeeded(n int64, d, setup Duration, tasks int64) {
	if n != p.Next() || d <= 0 {
		return
	}
	p.Count++
	p.Total += d
	if p.Count < paceSample {
		return
	}
	mean := p.Total / Duration(p.Count)
	if !p.worth(mean, setup) || mean*2 > paceLongest {
		p.Count, p.Total = 0, 0
		return
	}
	next := min(2*n, max(1, tasks/paceParallel))
	if p.Most > 0 {
		next = min(next, p.Most)
	}
	if next <= n {
		p.Count, p.Total = 0, 0
		return
	}
	*p = Pace{Size: next, BeforeSize: n, BeforeMean: mean, Most: p.Most}
}

// worth reports whether start-up takes more than its share of an allocation.
// While nothing is known of it, a larger size is tried.
func (p *Pace) worth(mean, setup Duration) bool {
	n := Duration(p.Next())
	switch {
	case p.BeforeSize > 0 && p.BeforeSize < p.Next():
		work := max(0, mean-p.BeforeMean) / (n - Duration(p.BeforeSize))
		setup = max(0, mean-n*work)
	case setup == 0:
		return true
	}
	return setup*paceShare > mean
}

// Failed takes in that an allocation of n tasks failed, which cost the time of
// all of them: chunks get half as large and do not grow beyond that again.
func (p *Pace) Failed(n int64) {
	if n < 2 {
		return
	}
	*p = Pace{Size: max(1, n/2), Most: max(1, n/2)}
}

// LearnedMemory is what was learned of the memory of one variant's tasks.
type LearnedMemory struct {
	// MiB is what allocations get; 0 for what was asked for.
	MiB int64
	// PeakMiB is the highest use among the last Successes allocations.
	PeakMiB   int64
	Successes int64
}

const (
	// memorySample is how many allocations must succeed before memory is lowered.
	memorySample = 5
	// memoryGrain is what amounts are rounded up to.
	memoryGrain = 64
)

// MemoryMiB returns the memory that an allocation of a variant gets.
func (g *GroupStatus) MemoryMiB(spec *TaskGroup, variant int) int64 {
	if spec.MaxMemoryMiB > 0 && variant < len(g.Memory) && g.Memory[variant].MiB > 0 {
		return g.Memory[variant].MiB
	}
	return spec.Variants[variant].Resources.MemoryMiB
}

// learned returns the record of a variant's memory.
func (g *GroupStatus) learned(spec *TaskGroup, variant int) *LearnedMemory {
	if g.Memory == nil {
		g.Memory = make([]LearnedMemory, len(spec.Variants))
	}
	return &g.Memory[variant]
}

// RanOut takes in that an allocation with so much memory was killed for want of
// it, and reports whether the next one gets more: half as much again, up to
// MaxMemoryMiB.
func (g *GroupStatus) RanOut(spec *TaskGroup, variant int, had int64) bool {
	if spec.MaxMemoryMiB <= 0 || had <= 0 {
		return false
	}
	if g.MemoryMiB(spec, variant) > had {
		return true // raised already, for another task
	}
	more := min(spec.MaxMemoryMiB, roundUp(had+had/2))
	if more <= had {
		return false
	}
	*g.learned(spec, variant) = LearnedMemory{MiB: more}
	return true
}

// Fitted takes in the highest use of an allocation that succeeded with so much
// memory. After some of them memory is lowered towards a quarter above the
// highest, if that is worth it and by no more than a quarter at a time.
func (g *GroupStatus) Fitted(spec *TaskGroup, variant int, had, peakBytes int64) {
	if spec.MaxMemoryMiB <= 0 || peakBytes <= 0 || had != g.MemoryMiB(spec, variant) {
		return
	}
	m := g.learned(spec, variant)
	m.Successes++
	m.PeakMiB = max(m.PeakMiB, (peakBytes+1<<20-1)>>20)
	if m.Successes < memorySample {
		return
	}
	target := roundUp(m.PeakMiB + m.PeakMiB/4)
	next := max(target, roundUp(had-had/4))
	m.Successes, m.PeakMiB = 0, 0
	if target < had-had/5 && next < had {
		m.MiB = next
	}
}

func roundUp(mib int64) int64 { return (mib + memoryGrain - 1) / memoryGrain * memoryGrain }

// NodeFailures counts what failed of a job on one node.
type NodeFailures struct {
	Node     string
	Failures int32
	// Last is when the last one failed.
	Last Time
	// AvoidUntil is until when the job keeps away from the node; 0 when it does not.
	AvoidUntil Time
}

// Avoids returns the nodes that the job keeps away from at that time, by name.
func (j *Job) Avoids(now Time) []string {
	var names []string
	for _, f := range j.NodeFailures {
		if f.AvoidUntil > now {
			names = append(names, f.Node)
		}
	}
	return names
}
