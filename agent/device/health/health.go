package health

import (
	"slices"
	"strings"

	"caravan/scheduler/model"
)

// State is what is made of a device.
type State uint8

// States. Healthy is the zero value.
const (
	Healthy State = iota
	Suspect
	Quarantined
	Repairing
	Probation
	RMA
)

var stateWords = [...]string{"healthy", "suspect", "quarantined", "repairing", "probation", "rma"}

// String returns the state's word.
func (s State) String() string {
	if int(s) < len(stateWords) {
		return stateWords[s]
	}
	return "unknown"
}

// InService reports whether work may be placed.
func (s State) InService() bool { return s == Healthy || s == Probation }

// maxPast bounds what is remembered of a device.
const maxPast = 32

// Fault is a signal that was seen to begin.
type Fault struct {
	Code string
	At   model.Time
}

// Record is what is known of a device. It is a value: Apply returns a new one.
type Record struct {
	State State
	// Since when it is in its state.
	Since model.Time
	// Reason is why, for people; "" while it is healthy.
	Reason string
	// Busy says that a task holds some of it.
	Busy bool
	// Present are the codes seen now, sorted, Calm since when none that counts is.
	Present []string
	Calm    model.Time
	// Past are the newest faults, oldest first.
	Past []Fault
}

// Event is something that happened to a device. The set is closed.
type Event interface{ event() }

// Events. At is when.
type (
	// Raised: a signal is seen that was not, or its count grew.
	Raised struct {
		Code, Detail string
		At           model.Time
	}
	// Cleared: a signal is not seen any more.
	Cleared struct {
		Code string
		At   model.Time
	}
	// Used: a task holds some of it, or none does any more.
	Used struct {
		Busy bool
		At   model.Time
	}
	// Passed: time did.
	Passed struct{ At model.Time }
	// Returned: an operator says that it is well again.
	Returned struct{ At model.Time }
)

func (Raised) event()   {}
func (Cleared) event()  {}
func (Used) event()     {}
func (Passed) event()   {}
func (Returned) event() {}

// Effect is something to carry out.
type Effect uint8

// Effects.
const (
	// Tell that the state has changed.
	Tell Effect = iota + 1
	// Evict what runs on it.
	Evict
)

var effectWords = [...]string{"", "tell", "evict"}

// String returns the effect's word.
func (e Effect) String() string { return effectWords[e] }

// cause is what moves a device from one state to another.
type cause uint8

const (
	suspicious cause = iota // a signal of action suspect
	bad                     // of action quarantine
	hopeless                // of action rma
	calm                    // nothing that counts was seen for long enough
	idle                    // no task holds it
	mended                  // nothing that counts is seen
	unmended                // repair takes too long
	proven                  // probation is over
	returned                // an operator's word
)

// moves are the transitions; a cause without an entry changes nothing.
func moves(from State) map[cause]State {
	switch from {
	case Healthy:
		return map[cause]State{suspicious: Suspect, bad: Quarantined, hopeless: RMA}
	case Suspect:
		return map[cause]State{bad: Quarantined, hopeless: RMA, calm: Healthy, returned: Healthy}
	case Quarantined:
		return map[cause]State{hopeless: RMA, idle: Repairing, returned: Probation}
	case Repairing:
		return map[cause]State{hopeless: RMA, mended: Probation, unmended: RMA, returned: Probation}
	case Probation:
		return map[cause]State{suspicious: Quarantined, bad: Quarantined, hopeless: RMA, proven: Healthy, returned: Healthy}
	case RMA:
		return map[cause]State{returned: Probation}
	}
	return nil
}

// Apply returns the record after an event and what has to be done about it.
func Apply(p *Policy, r Record, e Event) (Record, []Effect) {
	var effects []Effect
	now := model.Time(0)
	switch e := e.(type) {
	case Raised:
		now = e.At
		r.Present = with(r.Present, e.Code)
		r.Past = append(slices.Clone(r.Past), Fault{Code: e.Code, At: e.At})
		r.Past = r.Past[max(0, len(r.Past)-maxPast):]
		reason := e.Code
		if e.Detail != "" {
			reason += ": " + e.Detail
		}
		switch p.judge(r, e.Code, now) {
		case Suspicion:
			r.Calm = now
			r, effects = r.move(suspicious, reason, now)
		case Quarantine:
			r.Calm = now
			r, effects = r.move(bad, reason, now)
		case Replace:
			r.Calm = now
			r, effects = r.move(hopeless, reason, now)
		case Note:
		}
	case Cleared:
		now = e.At
		counted := p.counts(r, now)
		r.Present = without(r.Present, e.Code)
		if counted {
			r.Calm = now
		}
	case Used:
		now, r.Busy = e.At, e.Busy
	case Passed:
		now = e.At
	case Returned:
		now = e.At
		r.Past, r.Calm = nil, now
		r, effects = r.move(returned, "", now)
	}
	r, more := r.settle(p, now)
	return r, append(effects, more...)
}

// settle makes the moves that need no signal, as many as there are.
func (r Record) settle(p *Policy, now model.Time) (Record, []Effect) {
	var effects []Effect
	for {
		quiet := !p.counts(r, now)
		because, reason := cause(0), r.Reason
		switch {
		case r.State == Suspect && quiet && now-r.Calm >= model.Time(p.calm):
			because = calm
		case r.State == Quarantined && !r.Busy:
			because = idle
		case r.State == Repairing && quiet:
			because = mended
		case r.State == Repairing && now-r.Since >= model.Time(p.repair):
			because, reason = unmended, "not mended in time: "+r.Reason
		case r.State == Probation && quiet && now-r.Since >= model.Time(p.probation):
			because = proven
		default:
			return r, effects
		}
		var more []Effect
		r, more = r.move(because, reason, now)
		effects = append(effects, more...)
	}
}

// counts reports whether any signal is present that is more than a note.
func (p *Policy) counts(r Record, now model.Time) bool {
	return slices.ContainsFunc(r.Present, func(code string) bool { return p.judge(r, code, now) > Note })
}

// move makes the transition of a cause, if there is one.
func (r Record) move(because cause, reason string, now model.Time) (Record, []Effect) {
	to, ok := moves(r.State)[because]
	if !ok {
		return r, nil
	}
	evict := r.Busy && (to == Quarantined || to == RMA)
	r.State, r.Since, r.Reason = to, now, reason
	if to == Healthy {
		r.Reason = ""
	}
	if evict {
		return r, []Effect{Tell, Evict}
	}
	return r, []Effect{Tell}
}

func with(list []string, code string) []string {
	i, found := slices.BinarySearch(list, code)
	if found {
		return list
	}
	return slices.Insert(slices.Clone(list), i, code)
}

func without(list []string, code string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(c string) bool { return c == code })
}

// Describe is the state with its reason, for people.
func (r Record) Describe() string {
	if r.Reason == "" {
		return r.State.String()
	}
	return strings.Join([]string{r.State.String(), r.Reason}, ": ")
}
