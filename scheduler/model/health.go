package model

// HealthState is what an agent makes of a device, or of its host.
type HealthState uint8

// States of health. Unset, as an agent without device health leaves it, counts as healthy.
const (
	HealthUnset HealthState = iota
	Healthy
	// Suspect: what runs may finish, nothing is placed.
	Suspect
	// Quarantined: what runs has to leave.
	Quarantined
	// Repairing: being reset, or until nothing bad is seen any more.
	Repairing
	// Probation: in service again, and watched.
	Probation
	// RMA: to be replaced.
	RMA
)

// String returns the state's word.
func (s HealthState) String() string { return word(healthWords[:], int(s)) }

var healthWords = [...]string{"", "healthy", "suspect", "quarantined", "repairing", "probation", "rma"}

// Valid reports whether s is one of the states, unset included.
func (s HealthState) Valid() bool { return s <= RMA }

// Health is what is made of a device or of a host.
type Health struct {
	State HealthState
	// Since when it is in its state.
	Since Time
	// LastFault is when the newest fault was seen; 0 for none that is remembered.
	LastFault Time
	// Order is the newest order that the agent has obeyed.
	Order uint64
	// History comes with an agent's word and is kept in a HealthRecord, not here.
	History []HealthEntry
}

// HealthEntry is a line of a history.
type HealthEntry struct {
	// At rises strictly within a history.
	At Time
	// Fault is a code of the agent's health policy; "" for a change that no fault has caused.
	Fault string
	// State is what it was from then on.
	State HealthState
}

// Bounds of what is remembered of health.
const (
	// MaxHealthEntries of one history; the oldest go first.
	MaxHealthEntries = 32
	// MaxHealthReason bounds a reason, in bytes.
	MaxHealthReason = 256
	// MaxFaultCode bounds a code, in bytes.
	MaxFaultCode = 128
)

// HealthRecord is what is remembered of a device, or of a host, that was ever ill. It is found by
// its identity, so that it stays with a device that moves to another host.
type HealthRecord struct {
	Identity string
	// Node and Device say where it was seen last; Device is "" for a host.
	Node   string
	Device string
	// History is oldest first, at most MaxHealthEntries.
	History []HealthEntry
	// Order has not been obeyed yet; its Index is 0 when there is none.
	Order HealthOrder
}

// Clone returns a copy whose fields may be set; History is shared.
func (r *HealthRecord) Clone() *HealthRecord {
	c := *r
	return &c
}

// LastFault returns when the newest fault was seen, 0 for none.
func (r *HealthRecord) LastFault() Time {
	for i := len(r.History) - 1; i >= 0; i-- {
		if r.History[i].Fault != "" {
			return r.History[i].At
		}
	}
	return 0
}

// HealthVerb is what an order wants.
type HealthVerb uint8

// Verbs of orders.
const (
	// OrderQuarantine takes out of service until a return.
	OrderQuarantine HealthVerb = iota + 1
	// OrderReturn begins probation.
	OrderReturn
	// OrderFault tells of a fault that only the servers can see.
	OrderFault
)

// String returns the verb's word.
func (v HealthVerb) String() string { return word(verbWords[:], int(v)) }

var verbWords = [...]string{"", "quarantine", "return", "fault"}

// HealthOrder is a word to an agent about a device or its host.
type HealthOrder struct {
	// Index is the raft index of the order.
	Index uint64
	// Device of the node; "" for the host.
	Device string
	Verb   HealthVerb
	Reason string
	// Finish lets what runs end by itself.
	Finish bool
	// Fault is the code to raise, for OrderFault.
	Fault string
	By    string
	At    Time
}

// HostIdentity is the identity under which the health of a node's host is remembered.
func HostIdentity(node string) string { return "host/" + node }

// DeviceIdentity is the identity under which a device is remembered: its own, else its place.
func DeviceIdentity(node string, d *Device) string {
	if d.Identity != "" {
		return "device/" + d.Kind + "/" + d.Vendor + "/" + d.Identity
	}
	return "place/" + node + "/" + d.ID
}
