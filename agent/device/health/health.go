package health

import (
	"slices"
	"strings"

	"caravan/scheduler/model"
)

// Codes of faults that the agent itself sees; each has a row in the policy.
const (
	// CodeGone: a device that was there is there no more.
	CodeGone = "device-gone"
	// CodeNotClean: something of a task that has ended is left on the device.
	CodeNotClean = "device-not-clean"
	// CodeSquatter: a process uses the device that is of no task that holds it.
	CodeSquatter = "device-squatter"
	// CodeTest: the test after a repair has failed.
	CodeTest = "self-test-failed"
	// CodeReset: a reset has failed.
	CodeReset = "reset-failed"
	// CodeProlog and CodeEpilog: the operator's program has failed.
	CodeProlog, CodeEpilog = "prolog-failed", "epilog-failed"
	// CodeHook: what a plugin has run before or after a task has failed.
	CodeHook = "device-hook-failed"
	// CodeOperator stands in histories for an operator's word.
	CodeOperator = "operator"
)

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
	banned                  // an operator's word
	returned                // an operator's word
)

// moves are the transitions; a cause without an entry changes nothing.
func moves(from model.HealthState) map[cause]model.HealthState {
	switch from {
	case model.HealthUnset, model.Healthy:
		return map[cause]model.HealthState{suspicious: model.Suspect, bad: model.Quarantined, hopeless: model.RMA, banned: model.Quarantined}
	case model.Suspect:
		return map[cause]model.HealthState{
			bad: model.Quarantined, hopeless: model.RMA, calm: model.Healthy, banned: model.Quarantined, returned: model.Healthy,
		}
	case model.Quarantined:
		return map[cause]model.HealthState{hopeless: model.RMA, idle: model.Repairing, returned: model.Probation}
	case model.Repairing:
		return map[cause]model.HealthState{
			hopeless: model.RMA, mended: model.Probation, unmended: model.RMA, banned: model.Quarantined, returned: model.Probation,
		}
	case model.Probation:
		return map[cause]model.HealthState{
			suspicious: model.Quarantined, bad: model.Quarantined, hopeless: model.RMA, proven: model.Healthy,
			banned: model.Quarantined, returned: model.Healthy,
		}
	case model.RMA:
		return map[cause]model.HealthState{returned: model.Probation, banned: model.Quarantined}
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
		r, effects = r.raised(p, e)
	case Cleared:
		now = e.At
		counted := p.counts(r, now)
		r.Present = without(r.Present, key(e.Code, e.From))
		if counted {
			r.Calm = now
		}
	case Used:
		now, r.Busy = e.At, e.Busy
	case Passed:
		now = e.At
	case WasReset:
		now = e.At
		r, effects = r.wasReset(p, e)
	case Tested:
		now = e.At
		r, effects = r.tested(p, e)
	case Banned:
		now = e.At
		r.Held, r.Order = true, max(r.Order, e.Order)
		reason := "by order: " + e.Reason
		if r.State == model.Quarantined {
			r.Reason = reason
			effects = []Effect{Tell}
		} else {
			r, effects = r.move(p, banned, CodeOperator, reason, now)
		}
		r.Finish = e.Finish
		if r.Busy && !e.Finish {
			effects = append(effects, Evict)
		}
	case Proved:
		now = e.At
		if r.State == model.Suspect && !p.counts(r, now) {
			r, effects = r.move(p, calm, "", "", now)
		}
	case Returned:
		now = e.At
		r.Held, r.Order, r.ToReset = false, max(r.Order, e.Order), false
		r.Past, r.Out, r.Calm = nil, nil, now
		r, effects = r.move(p, returned, CodeOperator, "", now)
	}
	r, more := r.settle(p, now)
	return r, append(effects, more...)
}

// key tells a signal of the device itself from the same one of a device further off.
func key(code, from string) string {
	if from == "" {
		return code
	}
	return code + "@" + from
}

// raised takes a signal in.
func (r Record) raised(p *Policy, e Raised) (Record, []Effect) {
	r.Present = with(r.Present, key(e.Code, e.From))
	r.Past = append(slices.Clone(r.Past), Fault{Code: e.Code, At: e.At})
	r.Past = r.Past[max(0, len(r.Past)-maxPast):]
	reason := e.Code
	if e.From != "" {
		reason += " of " + e.From
	}
	if e.Detail != "" {
		reason += ": " + e.Detail
	}
	rule, do := p.rule(e.Code), p.judge(r, e.Code, e.At)
	var because cause
	switch do {
	case Suspicion:
		because = suspicious
	case Quarantine:
		because = bad
	case Replace:
		because = hopeless
	case Restart:
		r = r.note(e.Code, e.At, false)
		if r.Busy {
			return r, []Effect{Evict}
		}
		return r, nil
	case Note:
		if rule.tell {
			r = r.note(e.Code, e.At, false)
		}
		return r, nil
	}
	r.Calm = e.At
	if because == bad && p.worn(r, e.At) {
		because, reason = hopeless, reason+"; out of service too often"
	}
	before := r.State
	r, effects := r.move(p, because, e.Code, reason, e.At)
	if r.State == before {
		r = r.note(e.Code, e.At, false)
	}
	if do == Quarantine && rule.reset {
		r.ToReset = true
	}
	if do >= Quarantine {
		r.Finish = rule.finish
		if r.Busy && r.Evicts() {
			effects = append(effects, Evict)
		}
	}
	return r, effects
}

func (r Record) wasReset(p *Policy, e WasReset) (Record, []Effect) {
	if !r.Resetting {
		return r, nil
	}
	r.Resetting = false
	if e.Failed == "" {
		r.ToReset = false
		return r, nil
	}
	// It stays to be reset, after a pause. The policy's row says how often that is tried.
	r, effects := r.raised(p, Raised{Code: CodeReset, Detail: e.Failed, At: e.At})
	r.Present = without(r.Present, CodeReset)
	return r, effects
}

func (r Record) tested(p *Policy, e Tested) (Record, []Effect) {
	if !r.Testing {
		return r, nil
	}
	r.Asked = false
	if e.Failed == "" {
		r.Testing, r.Since = false, e.At
		return r.note("", e.At, true), []Effect{Tell}
	}
	r, effects := r.raised(p, Raised{Code: CodeTest, Detail: e.Failed, At: e.At})
	r.Present = without(r.Present, CodeTest)
	return r, effects
}

// settle makes the moves that need no signal, as many as there are.
func (r Record) settle(p *Policy, now model.Time) (Record, []Effect) {
	var effects []Effect
	for {
		quiet := !p.counts(r, now)
		because, reason := cause(0), r.Reason
		switch {
		case r.State == model.Suspect && quiet && now-r.Calm >= model.Time(p.calm):
			because = calm
		case r.State == model.Quarantined && !r.Busy && !r.Held:
			because = idle
		case r.State == model.Repairing && now-r.Since >= model.Time(p.repair):
			because, reason = unmended, "not mended in time: "+r.Reason
		case r.State == model.Repairing && r.ToReset && r.resettable(now):
			r.Resetting = true
			return r, append(effects, Reset)
		case r.State == model.Repairing && !r.ToReset && quiet:
			because = mended
		case r.State == model.Probation && r.Testing && !r.Asked && !r.Busy:
			r.Asked = true
			return r, append(effects, Test)
		case r.State == model.Probation && !r.Testing && quiet && now-r.Since >= model.Time(p.probation):
			because = proven
		default:
			return r, effects
		}
		var more []Effect
		r, more = r.move(p, because, "", reason, now)
		effects = append(effects, more...)
	}
}

// resetPause is the time between two tries to reset a device.
const resetPause = model.Time(model.Minute)

// resettable reports whether a reset can be tried now.
func (r Record) resettable(now model.Time) bool {
	if r.Resetting || r.Busy || slices.Contains(r.Present, CodeGone) {
		return false
	}
	for _, f := range r.Past {
		if f.Code == CodeReset && now-f.At < resetPause {
			return false
		}
	}
	return true
}

// move makes the transition of a cause, if there is one.
func (r Record) move(p *Policy, because cause, fault, reason string, now model.Time) (Record, []Effect) {
	to, ok := moves(r.State)[because]
	if !ok {
		return r, nil
	}
	r.State, r.Since, r.Reason = to, now, strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "?")
	r.Resetting, r.Asked, r.Testing = false, false, to == model.Probation && p.test
	switch to {
	case model.Healthy:
		r.Reason = ""
	case model.Quarantined:
		r.Out = append(slices.Clone(r.Out), now)
		r.Out = r.Out[max(0, len(r.Out)-maxPast):]
	}
	return r.note(fault, now, true), []Effect{Tell}
}
