package health

import "caravan/scheduler/model"

// Event is something that happened to a device. The set is closed.
type Event interface{ event() }

// Events. At is when.
type (
	// Raised: a signal is seen that was not, or its count grew. From is the device where it was
	// seen, for a fault that reaches further than that device; else "".
	Raised struct {
		Code, Detail, From string
		At                 model.Time
	}
	// Cleared: a signal is not seen any more.
	Cleared struct {
		Code, From string
		At         model.Time
	}
	// Used: a task holds some of it, or none does any more.
	Used struct {
		Busy bool
		At   model.Time
	}
	// Passed: time did.
	Passed struct{ At model.Time }
	// WasReset: the reset that was asked for has ended; Failed says why not well, "" if well.
	WasReset struct {
		Failed string
		At     model.Time
	}
	// Tested: the test that was asked for has ended; Failed says why not well, "" if well.
	Tested struct {
		Failed string
		At     model.Time
	}
	// Banned: an operator takes it out of service until it is returned.
	Banned struct {
		Reason string
		// Finish lets what runs end by itself.
		Finish bool
		Order  uint64
		At     model.Time
	}
	// Proved: what made it suspect was done again and went well.
	Proved struct{ At model.Time }
	// Returned: an operator says that it is well again.
	Returned struct {
		Order uint64
		At    model.Time
	}
)

func (Raised) event()   {}
func (Cleared) event()  {}
func (Used) event()     {}
func (Passed) event()   {}
func (WasReset) event() {}
func (Tested) event()   {}
func (Banned) event()   {}
func (Proved) event()   {}
func (Returned) event() {}

// Effect is something to carry out.
type Effect uint8

// Effects.
const (
	// Tell that the state has changed.
	Tell Effect = iota + 1
	// Evict what runs on it.
	Evict
	// Reset it; nobody holds it. Answered by WasReset.
	Reset
	// Test it; nobody holds it. Answered by Tested.
	Test
)

var effectWords = [...]string{"", "tell", "evict", "reset", "test"}

// String returns the effect's word.
func (e Effect) String() string { return effectWords[e] }
