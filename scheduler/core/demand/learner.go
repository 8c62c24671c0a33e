package demand

import (
	"slices"

	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

// Learner keeps the mix of what arrives: counts per class that are halved now and then, so that old work
// fades. The zero value is ready for use.
type Learner struct {
	classes []counted
	at      map[string]int // by Class.Key
	// seen counts arrivals; the rest are the counts at which something is due.
	seen, fade, look, count int64
	// newest is the number of the newest job that was counted.
	newest   uint64
	mix      Mix
	revision int
}

type counted struct {
	class *request.Class
	count int64
	// share is the class's part of the mix that values nodes, in millionths.
	share int64
}

// When the mix is taken anew: first after 200 arrivals, then it is looked at in doubling steps, which
// follow the sampling error of the counts, and later from time to time. Every taking values all states
// again, so it must be worth it: 15 % of the mix has to have moved.
const (
	learnFirst = 200
	learnCount = 128 // arrivals between two counts: rare demand is what is scarce, and is seen late
	learnEvery = 4096
	learnFade  = 16384
	learnDrift = 100_000 // millionths, what one class gains and another loses counted both
	learnUnit  = 1024    // the weight of one arrival, so that halving leaves something
	// learnGroup bounds the arrivals that one group of one job counts for, so that one large array does
	// not drown everything else.
	learnGroup = 1000
	// learnClasses bounds the classes that are remembered: of more, those that are new are not.
	learnClasses = 4096
	million      = 1_000_000
)

// Observe counts the jobs that are newer than any counted before; jobs stand by ascending number.
func (l *Learner) Observe(jobs []*model.Job) {
	from, _ := slices.BinarySearchFunc(jobs, l.newest+1, func(j *model.Job, n uint64) int {
		if j.Number < n {
			return -1
		}
		return 1
	})
	for _, j := range jobs[from:] {
		for g := range j.Spec.Groups {
			l.group(&j.Spec.Groups[g])
		}
		l.newest = j.Number
	}
}

// group counts the tasks of a group, shared among its variants.
func (l *Learner) group(g *model.TaskGroup) {
	n := int64(len(g.Variants))
	if n == 0 {
		return
	}
	arrivals := min(g.Indices.Allocations(), learnGroup)
	for v := range g.Variants {
		if share := (arrivals + n - 1 - int64(v)) / n; share > 0 {
			l.Arrived(request.New(g, &g.Variants[v]), share)
		}
	}
}

// Arrived counts n arrivals of a class.
func (l *Learner) Arrived(c *request.Class, n int64) {
	if l.at == nil {
		l.at = make(map[string]int)
		l.fade, l.look, l.count = learnFade, learnFirst, learnCount
	}
	i, known := l.at[c.Key]
	if !known && len(l.classes) < learnClasses {
		i, known = len(l.classes), true
		l.at[c.Key] = i
		l.classes = append(l.classes, counted{class: c})
	}
	if known {
		l.classes[i].count += n * learnUnit
	}
	l.seen += n
	for l.seen >= l.fade {
		l.fade += learnFade
		l.halve()
	}
	switch {
	case l.seen >= l.look:
		for l.look <= l.seen {
			l.look += min(l.look, learnEvery)
		}
		if l.drift() > learnDrift {
			l.mix.Values = l.list()
			l.take()
		}
		l.mix.Prices = l.list()
	case l.seen >= l.count && !l.mix.Empty():
		l.mix.Prices = l.list()
	default:
		return
	}
	l.count = l.seen + learnCount - l.seen%learnCount
	l.revision++
}

// halve fades all counts and forgets the classes of which nothing is left.
func (l *Learner) halve() {
	kept := l.classes[:0]
	clear(l.at)
	for _, c := range l.classes {
		if c.count /= 2; c.count > 0 || c.share > 0 {
			l.at[c.class.Key] = len(kept)
			kept = append(kept, c)
		}
	}
	clear(l.classes[len(kept):])
	l.classes = kept
}

// drift returns how far the counts have moved from the mix that values nodes.
func (l *Learner) drift() int64 {
	if l.mix.Empty() {
		return 2 * million
	}
	total := l.total()
	var sum int64
	for i := range l.classes {
		d := fraction(l.classes[i].count, total) - l.classes[i].share
		sum += max(d, -d)
	}
	return sum
}

// take notes the counts as what nodes are valued by.
func (l *Learner) take() {
	total := l.total()
	for i := range l.classes {
		l.classes[i].share = fraction(l.classes[i].count, total)
	}
}

func (l *Learner) total() int64 {
	var sum int64
	for i := range l.classes {
		sum += l.classes[i].count
	}
	return sum
}

// fraction returns part of whole in millionths.
func fraction(part, whole int64) int64 {
	if whole == 0 {
		return 0
	}
	return part * million / whole
}

// list returns the classes with their counts.
func (l *Learner) list() []Weighted {
	out := make([]Weighted, 0, len(l.classes))
	for i := range l.classes {
		if c := &l.classes[i]; c.count > 0 {
			out = append(out, Weighted{Class: c.class, Weight: c.count})
		}
	}
	return out
}

// Revision counts how often the mix was taken anew.
func (l *Learner) Revision() int { return l.revision }

// Mix returns the mix as learned so far, the default before enough was seen.
func (l *Learner) Mix() Mix { return l.mix }
