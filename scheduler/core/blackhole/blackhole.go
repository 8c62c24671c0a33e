// Package blackhole finds devices and hosts that make every job fail, and quickly: such a place is
// always free, and so would eat a whole queue.
//
// A Detector is told of the ends of attempts. A place is a black hole when enough different jobs
// have failed there quickly among the last different ones that ended there. A job that also fails
// elsewhere and succeeds nowhere does not count: it is the job that is broken. What does not need a
// device counts for its host alone; a host is a black hole only where no single device explains it.
//
// It is pure: time comes with the ends, and equal ends give equal verdicts. What it remembers is
// bounded by the policy's time and numbers. It is a cache, not a record: a new leader begins with
// none, and a black hole soon shows again. The leader has one, and tells the node's agent of what it
// finds, whose health policy decides what that amounts to. It belongs to one goroutine.
package blackhole

import (
	"fmt"
	"slices"
	"strings"

	"caravan/scheduler/model"
)

// End is the end of an attempt: a success, or a failure of its own.
type End struct {
	At model.Time
	// Ran is how long it ran.
	Ran model.Duration
	Job string
	// Node and Devices are where it ran.
	Node    string
	Devices []string
	// Well: it succeeded.
	Well bool
}

// Verdict is a place that makes jobs fail.
type Verdict struct {
	Node string
	// Device is "" for the host.
	Device string
	// Reason is for people.
	Reason string
}

// Detector remembers ends. New makes one.
type Detector struct {
	policy Policy
	places map[place][]End
	jobs   map[string][]End // of each node the last
	seen   int
}

type place struct{ node, device string }

// New returns a detector that has seen nothing.
func New(p Policy) *Detector {
	return &Detector{policy: p, places: make(map[place][]End), jobs: make(map[string][]End)}
}

// maxNodes bounds the nodes that are remembered of one job.
const maxNodes = 16

// tidyEvery is how many ends there are between two clearances.
const tidyEvery = 4096

// Observe takes an end in and returns what it proves, devices first. A place that is found begins
// anew.
func (d *Detector) Observe(e End) []Verdict {
	if d.policy.Off() || !e.Well && e.Ran > d.policy.Fast {
		return nil
	}
	if d.seen++; d.seen%tidyEvery == 0 {
		d.tidy(e.At)
	}
	d.jobs[e.Job] = d.latest(d.jobs[e.Job], e, maxNodes, func(o End) bool { return o.Node == e.Node })
	var found []Verdict
	for _, device := range e.Devices {
		if v, ok := d.at(place{e.Node, device}, e); ok {
			found = append(found, v)
		}
	}
	v, ok := d.at(place{node: e.Node}, e)
	switch {
	case len(found) > 0:
		delete(d.places, place{node: e.Node})
	case ok:
		found = append(found, v)
	}
	return found
}

// latest puts an end behind those that are not too old, in the place of the one like it.
func (d *Detector) latest(ends []End, e End, most int, like func(End) bool) []End {
	kept := slices.DeleteFunc(slices.Clone(ends), func(o End) bool { return like(o) || d.old(o, e.At) })
	kept = append(kept, e)
	return kept[max(0, len(kept)-most):]
}

func (d *Detector) old(e End, now model.Time) bool { return now-e.At > model.Time(d.policy.Within) }

// at takes an end in at one place and judges it.
func (d *Detector) at(p place, e End) (Verdict, bool) {
	ends := d.latest(d.places[p], e, d.policy.Of, func(o End) bool { return o.Job == e.Job })
	d.places[p] = ends
	var bad []End
	for _, o := range ends {
		if !o.Well && !d.broken(o) {
			bad = append(bad, o)
		}
	}
	if len(bad) < d.policy.Jobs || p.device == "" && oneDevice(bad) {
		return Verdict{}, false
	}
	delete(d.places, p)
	names := make([]string, len(bad))
	for i, o := range bad {
		names[i] = o.Job
	}
	return Verdict{Node: p.node, Device: p.device, Reason: fmt.Sprintf(
		"%d of the last %d different jobs here failed within %d s of their start: %s",
		len(bad), len(ends), d.policy.Fast/model.Second, strings.Join(names, ", "),
	)}, true
}

// broken reports whether a job that failed somewhere fails elsewhere too, and succeeds nowhere.
func (d *Detector) broken(e End) bool {
	elsewhere := false
	for _, o := range d.jobs[e.Job] {
		if o.Well {
			return false
		}
		elsewhere = elsewhere || o.Node != e.Node && !d.old(o, e.At)
	}
	return elsewhere
}

// oneDevice reports whether a single device was part of all failures: then the device will be found,
// or has been, and the host is not to blame.
func oneDevice(bad []End) bool {
	for _, device := range bad[0].Devices {
		if !slices.ContainsFunc(bad[1:], func(o End) bool { return !slices.Contains(o.Devices, device) }) {
			return true
		}
	}
	return false
}

// tidy forgets what is too old to count.
func (d *Detector) tidy(now model.Time) {
	for p, ends := range d.places { //caravan:unordered each entry is looked at for itself
		if d.old(ends[len(ends)-1], now) {
			delete(d.places, p)
		}
	}
	for job, ends := range d.jobs { //caravan:unordered each entry is looked at for itself
		if d.old(ends[len(ends)-1], now) {
			delete(d.jobs, job)
		}
	}
}
