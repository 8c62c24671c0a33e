package health

import (
	"slices"
	"strings"

	"caravan/scheduler/model"
)

// InService reports whether work may be placed in a state.
func (r Record) InService() bool {
	return r.State == model.HealthUnset || r.State == model.Healthy || r.State == model.Probation && !r.Testing
}

// maxPast bounds what is remembered of a device's faults.
const maxPast = 32

// Fault is a signal that was seen to begin.
type Fault struct {
	Code string     `json:"code"`
	At   model.Time `json:"at_ms"`
}

// Record is what is known of a device or a host. It is a value: Apply returns a new one. The zero
// value is a device of which nothing was ever seen.
type Record struct {
	State model.HealthState `json:"state"`
	// Since when it is in its state.
	Since model.Time `json:"since_ms"`
	// Reason is why, for people; "" while it is healthy.
	Reason string `json:"reason,omitempty"`
	// Busy says that a task holds some of it.
	Busy bool `json:"-"`
	// Held: an operator has quarantined it, and only an operator's return leads out.
	Held bool `json:"held,omitempty"`
	// Finish: what runs on it while it is quarantined may end by itself.
	Finish bool `json:"finish,omitempty"`
	// Present are the codes seen now, sorted, Calm since when none that counts is.
	Present []string   `json:"present,omitempty"`
	Calm    model.Time `json:"calm_ms,omitempty"`
	// Past are the newest faults, Out the newest times at which it was quarantined; oldest first.
	Past []Fault      `json:"past,omitempty"`
	Out  []model.Time `json:"out_ms,omitempty"`
	// ToReset: its fault calls for a reset. Resetting: one is under way.
	ToReset   bool `json:"to_reset,omitempty"`
	Resetting bool `json:"-"`
	// Testing: it is in probation and the test has not passed yet.
	Testing bool `json:"testing,omitempty"`
	// Asked: the test that Testing waits for is under way.
	Asked bool `json:"-"`
	// Order is the newest order that was obeyed.
	Order uint64 `json:"order,omitempty"`
	// History is what the servers are told, oldest first; At rises strictly.
	History []model.HealthEntry `json:"history,omitempty"`
}

// maxHistory bounds what the servers are told at a time; they keep more.
const maxHistory = 16

// Evicts reports whether nothing may go on running on it.
func (r Record) Evicts() bool {
	return (r.State == model.Quarantined || r.State == model.RMA) && !r.Finish
}

// Ill reports whether there is anything about the record that has to outlive the agent.
func (r Record) Ill() bool {
	return r.State > model.Healthy || r.Held || r.Order != 0 || len(r.Past) > 0 || len(r.History) > 0
}

// note adds a line to the history. A fault that changes nothing and was noted within a minute is
// not noted again, so that a flood of errors is no flood of news.
func (r Record) note(fault string, now model.Time, moved bool) Record {
	if n := len(r.History); n > 0 {
		last := r.History[n-1]
		if !moved && last.Fault == fault && now-last.At < model.Time(model.Minute) {
			return r
		}
		now = max(now, last.At+1)
	}
	r.History = append(slices.Clip(r.History), model.HealthEntry{At: now, Fault: fault, State: max(r.State, model.Healthy)})
	r.History = r.History[max(0, len(r.History)-maxHistory):]
	return r
}

// Describe is the state with its reason, for people.
func (r Record) Describe() string {
	state := max(r.State, model.Healthy).String()
	if r.Reason == "" {
		return state
	}
	return strings.Join([]string{state, r.Reason}, ": ")
}

// maxReason keeps a reason within what servers take.
const maxReason = model.MaxHealthReason

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
