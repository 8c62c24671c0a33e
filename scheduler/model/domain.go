package model

import "fmt"

// Domain is a part of the fleet that tasks share or are kept apart in.
type Domain uint8

// Domains.
const (
	DomainNode Domain = iota + 1
	DomainRack
	DomainZone
)

var domainNames = [...]string{"", "node", "rack", "zone"}

// String returns node, rack or zone.
func (d Domain) String() string {
	if int(d) < len(domainNames) {
		return domainNames[d]
	}
	return ""
}

// Of names the domain that a node lies in; it is empty for a node that does not
// say. A rack is one of its zone.
func (d Domain) Of(n *Node) string {
	switch d {
	case DomainRack:
		if n.Rack == "" {
			return ""
		}
		return n.Zone + "/" + n.Rack
	case DomainZone:
		return n.Zone
	}
	return n.Name
}

// Spread bounds how unevenly a group's running tasks lie over domains.
type Spread struct {
	Over Domain
	// MaxSkew is the most that one domain may hold more than another that could
	// serve the group, 1 to MaxTasks.
	MaxSkew int32
}

// String writes the rule as messages name it.
func (s *Spread) String() string {
	return fmt.Sprintf("spread over %s, max_skew %d", s.Over, s.MaxSkew)
}

// Apart names tasks that must not share a domain with those of a group. With
// neither Job nor Label it is the group's own tasks.
type Apart struct {
	// Job is the name or the id of a job.
	Job string
	// Label is a key of a job's labels; WithValue asks for Value as well.
	Label     string
	Value     string
	WithValue bool
	Over      Domain
}

// Self reports whether the rule is about the group's own tasks.
func (a *Apart) Self() bool { return a.Job == "" && a.Label == "" }

// Names reports whether the rule of a group is about the tasks of another
// group; job and other are the jobs that the two belong to.
func (a *Apart) Names(job *Job, group int, other *Job, otherGroup int) bool {
	switch {
	case a.Self():
		return job.ID == other.ID && group == otherGroup
	case a.Job != "":
		return a.Job == other.Spec.Name || a.Job == other.ID
	}
	value, ok := other.Spec.Labels[a.Label]
	return ok && (!a.WithValue || value == a.Value)
}

// String writes the rule as messages name it.
func (a *Apart) String() string {
	what := "the group's own tasks"
	switch {
	case a.Job != "":
		what = "job " + a.Job
	case a.WithValue:
		what = "label " + a.Label + "=" + a.Value
	case a.Label != "":
		what = "label " + a.Label
	}
	return fmt.Sprintf("apart from %s over %s", what, a.Over)
}
