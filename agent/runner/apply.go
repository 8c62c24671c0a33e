package runner

import (
	"strings"

	"caravan/agent/driver"
	"caravan/scheduler/model"
)

// Apply returns the state after an event and what has to be done about it. An event that
// does not fit the phase (a duplicate, a late answer) changes nothing.
func Apply(s State, e Event) (State, []Effect) {
	switch e := e.(type) {
	case Assigned:
		return s.assigned(e.StopRequested)
	case Unassigned:
		return s.unassigned()
	case Registered:
		if s.Word == Wanted {
			s.Word = Unheard
		}
		return s, nil
	case LeaseChanged:
		return s.leaseChanged(e.Held)
	case SlotFree:
		if !s.Ready() {
			return s, nil
		}
		s.Phase = Launching
		return s, []Effect{Launch}
	case Launched:
		return s.launched()
	case LaunchFailed:
		return s.launchFailed(e)
	case Started:
		if s.Phase != Running || s.StartedAt != 0 {
			return s, nil
		}
		s.StartedAt = e.At
		return s, []Effect{Report}
	case Exited:
		return s.exited(e)
	case Evicted:
		return s.evicted(e.Fault)
	case Published:
		if s.Phase != Publishing {
			return s, nil
		}
		return s.end()
	case PublishFailed:
		return s.publishFailed(e.Message)
	case PublishHeld:
		if s.Phase != Publishing {
			return s, nil
		}
		s.Phase = Held
		if s.Word == Unwanted {
			return s.unassigned()
		}
		return s.publishIfAllowed()
	case Acknowledged:
		if s.Phase != Ended {
			return s, nil
		}
		s.Phase = Settled
		return s, []Effect{Mark, Forget}
	}
	return s, nil
}

func (s State) assigned(stop bool) (State, []Effect) {
	s.Word = Wanted
	if s.Phase == Ended || s.Phase == Settled {
		// The list was made before the result arrived; telling it again does no harm.
		s.Phase = Ended
		return s, []Effect{Report}
	}
	if stop {
		return s.stop()
	}
	return s.publishIfAllowed()
}

func (s State) unassigned() (State, []Effect) {
	s.Word = Unwanted
	switch s.Phase {
	case Waiting:
		s.Phase = Settled
		return s, []Effect{Forget}
	case Held:
		// Another copy may have published: this one must not.
		s.Result = stoppedResult(s.Result, "the servers gave the task up before its outputs were published")
		return s.end()
	default:
		return s.stop()
	}
}

// stop ends what has not ended by itself. A command that has succeeded stays a success.
func (s State) stop() (State, []Effect) {
	if s.Stopping {
		return s, nil
	}
	switch s.Phase {
	case Waiting:
		s.Stopping = true
		s.Result = stoppedResult(Result{}, "stopped before it was started")
		return s.end()
	case Launching:
		s.Stopping = true // once it is launched
		return s, nil
	case Running:
		already := s.Fenced || s.Evicted.Reason != ""
		s.Stopping = true
		if already {
			return s, nil
		}
		return s, []Effect{Stop}
	default:
		return s, nil
	}
}

func (s State) leaseChanged(held bool) (State, []Effect) {
	s.Lease = held
	if held {
		return s.publishIfAllowed()
	}
	if !s.AtMostOnce || s.Fenced || s.Phase != Launching && s.Phase != Running {
		return s, nil
	}
	// One that is being stopped is told again: what is left of its grace may be too much.
	s.Fenced = true
	if s.Phase == Launching {
		return s, nil
	}
	return s, []Effect{Stop}
}

func (s State) launched() (State, []Effect) {
	if s.Phase != Launching {
		return s, nil
	}
	s.Phase = Running
	if s.Stopping || s.Fenced || s.Evicted.Reason != "" {
		return s, []Effect{Stop}
	}
	return s, nil
}

func (s State) launchFailed(e LaunchFailed) (State, []Effect) {
	if s.Phase != Launching {
		return s, nil
	}
	s.Result = Result{
		State: model.AllocationFailed, EndedAt: e.At,
		Exit: model.Exit{Code: -1, Reason: model.ReasonLaunchFailed, Message: e.Message},
	}
	if e.Refused {
		s.Result.Exit.Code = driver.CodeRefused
	}
	switch {
	case s.Stopping:
		s.Result = stoppedResult(s.Result, "stopped while it was started")
	case e.Fault != nil:
		s.Result = faultResult(s.Result, *e.Fault)
	case s.Evicted.Reason != "":
		s.Result = faultResult(s.Result, s.Evicted)
	}
	return s.end()
}

// evicted stops what a fault of host or device has hit. What has not begun yet is given back at
// once; a command that has succeeded stays a success.
func (s State) evicted(f driver.Fault) (State, []Effect) {
	if s.Evicted.Reason != "" {
		return s, nil
	}
	already := s.Stopping || s.Fenced
	switch s.Phase {
	case Launching:
		s.Evicted = f
	case Running:
		s.Evicted = f
		if !already {
			return s, []Effect{Stop}
		}
	}
	return s, nil
}

func (s State) exited(e Exited) (State, []Effect) {
	if s.Phase != Running {
		return s, nil
	}
	r := e.Result
	if s.StartedAt == 0 {
		s.StartedAt = r.StartedAt
	}
	s.Result = r
	switch {
	case r.State == model.AllocationSucceeded && s.Publishes:
		s.Phase = Held
		if s.Word == Unwanted {
			return s.unassigned()
		}
		return s.publishIfAllowed()
	case r.Exit.Reason == model.ReasonStopped && s.Stopping:
		s.Result.State = model.AllocationStopped
	case r.Exit.Reason == string(driver.ReasonLeaseEnded):
		s.Result = lostResult(r, r.Exit.Message)
	case r.State != model.AllocationSucceeded && s.Evicted.Reason != "":
		s.Result = faultResult(r, s.Evicted)
	case r.State != model.AllocationSucceeded && e.Fault != nil && r.Exit.Reason != model.ReasonStopped:
		s.Result = faultResult(r, *e.Fault)
	case r.Exit.Reason != model.ReasonStopped:
	case s.Fenced:
		s.Result = lostResult(r, "the node's lease ended, and the task must not run twice (the servers were out of reach for longer than the lease)")
	default:
		// Nobody asked for it: the host is shutting down.
		s.Result = lostResult(r, r.Exit.Message)
	}
	return s.end()
}

// publishIfAllowed leaves Held when lease and servers agree.
func (s State) publishIfAllowed() (State, []Effect) {
	if s.Phase != Held || !s.Lease || s.Word != Wanted {
		return s, nil
	}
	s.Phase = Publishing
	return s, []Effect{Publish}
}

func (s State) publishFailed(message string) (State, []Effect) {
	if s.Phase != Publishing {
		return s, nil
	}
	s.Result.State = model.AllocationFailed
	s.Result.Exit.Reason, s.Result.Exit.Message = model.ReasonPublishFailed, message
	return s.end()
}

// end fixes the result.
func (s State) end() (State, []Effect) {
	s.Phase = Ended
	s.Result.Exit.Message = bounded(s.Result.Exit.Message)
	return s, []Effect{Save, Report}
}

// MaxMessage bounds what a result says for people, in bytes: a full batch of reports fits into
// one log entry.
const MaxMessage = 2 << 10

// bounded makes a message fit for the wire: short enough, and valid UTF-8, which file names
// in it need not be.
func bounded(message string) string {
	if len(message) > MaxMessage {
		message = message[:MaxMessage-len(cut)] + cut
	}
	return strings.ToValidUTF8(message, "\ufffd")
}

// cut ends a message that was too long.
const cut = " [...]"

// stoppedResult turns a result into that of a stopped allocation.
func stoppedResult(r Result, message string) Result {
	r.State = model.AllocationStopped
	r.Exit = model.Exit{Code: r.Exit.Code, Signal: r.Exit.Signal, Reason: model.ReasonStopped, Message: message}
	return r
}

// faultResult turns a result into that of an allocation that a fault of its host or a device ended:
// the task is to be tried again, at no charge to its retries.
func faultResult(r Result, f driver.Fault) Result {
	r.State = model.AllocationLost
	r.Exit.Reason, r.Exit.Message = string(f.Reason), f.Detail
	return r
}

// lostResult turns a result into that of an allocation that its node could not keep: the task
// is to be tried again, at no charge to its retries.
func lostResult(r Result, message string) Result {
	r.State = model.AllocationLost
	r.Exit.Reason, r.Exit.Message = model.ReasonNodeLost, message
	return r
}
