// Package policy holds the placement policies that the packing simulator compares: the baselines of
// Weng et al., "Beware of Fragmentation" (USENIX ATC 2023, section 6.1), each from its definition
// there, and Caravan's own.
//
// Every policy answers one question: which node, and for a part of a device which device. What it is
// told of a placement it learns through Placed. Scores are integers, and ties go to the node that
// comes first, so equal runs give equal choices. A policy belongs to one goroutine.
package policy

import (
	"fmt"
	"strings"

	"caravan/scheduler/sim/fleet"
)

// Policy chooses where requests go.
type Policy interface {
	// Choose returns where a request goes, false if it fits nowhere. It must not change the fleet.
	Choose(r *fleet.Request) (fleet.Choice, bool)
	// Placed tells that the request was placed and the fleet's books are changed.
	Placed(r *fleet.Request, c fleet.Choice)
}

// Weighted is a request of the workload with how often it occurs.
type Weighted struct {
	Request fleet.Request
	Weight  int64
}

// Config is what a policy is made from.
type Config struct {
	Fleet *fleet.Fleet
	// Workload is the true mix, one entry per class, by class number. FGD is always told, the
	// potential only when MixKnown.
	Workload []Weighted
	// Seed is for the random policy.
	Seed uint64
	// MixKnown tells the caravan policy the true mix instead of letting it learn.
	MixKnown bool
	// Potential tunes the caravan policy.
	Potential Tuning
}

// Names lists the policies in the order of reports.
func Names() []string {
	return []string{"random", "dotprod", "clustering", "packing", "bestfit", "fgd", "caravan"}
}

// New returns the policy of a name.
func New(name string, cfg Config) (Policy, error) {
	switch name {
	case "random":
		return newRandom(cfg), nil
	case "bestfit":
		return &scan{fleet: cfg.Fleet, scorer: bestFit{cfg.Fleet}}, nil
	case "dotprod":
		return &scan{fleet: cfg.Fleet, scorer: dotProduct{cfg.Fleet}}, nil
	case "packing":
		return &scan{fleet: cfg.Fleet, scorer: gpuPacking{cfg.Fleet}}, nil
	case "clustering":
		return newClustering(cfg), nil
	case "fgd":
		return newGradient(cfg), nil
	case "caravan":
		return newCaravan(cfg)
	}
	return nil, fmt.Errorf("unknown policy %q: use one of %s", name, strings.Join(Names(), ", "))
}
