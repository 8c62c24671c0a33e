package driver

import "slices"

// Isolation says how far a task is shut off from its host and from other tasks.
type Isolation string

const (
	// IsolationHost shuts it off by its user and its control group alone.
	IsolationHost Isolation = "host"
	// IsolationStandard adds a sandbox: own processes, /tmp, /dev and shared memory, no
	// privileges; see package sandbox.
	IsolationStandard Isolation = "standard"
	// IsolationStrict makes the host's files read-only too.
	IsolationStrict Isolation = "strict"
)

// levels are all there are, from the weakest to the strongest.
func levels() []Isolation { return []Isolation{IsolationHost, IsolationStandard, IsolationStrict} }

// Valid reports whether there is such a level.
func (i Isolation) Valid() bool { return slices.Contains(levels(), i) }

// Weaker reports whether i shuts a task off less than other does.
func (i Isolation) Weaker(other Isolation) bool {
	return slices.Index(levels(), i) < slices.Index(levels(), other)
}
