package runner

import (
	"caravan/agent/driver"
	"caravan/scheduler/model"
)

// Event is something that happened to an allocation. The set is closed.
type Event interface{ event() }

// Events.
type (
	// Assigned: the servers list it.
	Assigned struct{ StopRequested bool }
	// Unassigned: the servers' full list does not hold it.
	Unassigned struct{}
	// Registered: the node registered again; what the servers said before may not hold.
	Registered struct{}
	// LeaseChanged: the node's lease began or ended.
	LeaseChanged struct{ Held bool }
	// SlotFree: it may be started now; see State.Ready.
	SlotFree struct{}
	// Launched: the driver has it.
	Launched struct{}
	// LaunchFailed: the driver could not begin, and nothing runs.
	LaunchFailed struct {
		At      model.Time
		Message string
		// Refused is set where the job is to blame, for sure.
		Refused bool
		// Fault is set where host or devices are to blame.
		Fault *driver.Fault
	}
	// Started: the command runs.
	Started struct{ At model.Time }
	// Exited: the driver reports the end. Result.State is Succeeded if the command did all
	// it promised, else Failed.
	Exited struct {
		Result Result
		// Fault explains a failure that is not the task's own; nil for none.
		Fault *driver.Fault
	}
	// Evicted: a fault of the host or a device wants it to end.
	Evicted struct{ Fault driver.Fault }
	// Published: all outputs are in their place.
	Published struct{}
	// PublishFailed: they are not, and trying again would not help.
	PublishFailed struct{ Message string }
	// PublishHeld: the lease ended before they were; what is missing waits for the next.
	PublishHeld struct{}
	// Acknowledged: the servers know the result.
	Acknowledged struct{}
)

func (Assigned) event()      {}
func (Unassigned) event()    {}
func (Registered) event()    {}
func (LeaseChanged) event()  {}
func (SlotFree) event()      {}
func (Launched) event()      {}
func (LaunchFailed) event()  {}
func (Started) event()       {}
func (Exited) event()        {}
func (Evicted) event()       {}
func (Published) event()     {}
func (PublishFailed) event() {}
func (PublishHeld) event()   {}
func (Acknowledged) event()  {}

// Effect is something to carry out. Effects of one event are carried out in order.
type Effect uint8

// Effects.
const (
	// Launch has the driver begin the allocation; answered by Launched or LaunchFailed.
	Launch Effect = iota + 1
	// Stop has the driver end the task, with the group's grace; the end comes as Exited.
	Stop
	// Publish puts the outputs in place; answered by Published or PublishFailed.
	Publish
	// Save puts the result on disk.
	Save
	// Report tells the servers the state; a result is answered by Acknowledged.
	Report
	// Mark notes on disk that the servers know the result.
	Mark
	// Forget drops the allocation from memory. Its directory stays, for its logs.
	Forget
)

var effectWords = [...]string{"", "launch", "stop", "publish", "save", "report", "mark", "forget"}

// String returns the effect's word.
func (e Effect) String() string {
	if int(e) < len(effectWords) {
		return effectWords[e]
	}
	return "unknown"
}
