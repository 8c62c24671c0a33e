// Package conformance holds a device plugin against the contract, rule by rule.
//
// Run takes the command of any plugin, in any language, and returns one Result for each rule; Test
// is the same for a Go test. A rule that this host cannot try, because the plugin has no device
// here or nobody says how to make one ill, is reported as untried, never as passed.
//
// The suite starts the plugin several times, kills it, and reserves and releases its devices: it
// must not run beside an agent that uses the same devices. It does not open or program them.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"testing" //nolint:depguard // the suite is called from tests, and from a command that needs no test
	"time"

	"caravan/plugins/sdk/client"
	"caravan/plugins/sdk/pluginv1"
)

// Config says what to test.
type Config struct {
	// Client says how to start the plugin; its CallTimeout is the deadline that answers are held
	// against.
	Client client.Config
	// Fault makes a device ill (true) and well again (false); nil if there is no way. The plugin
	// must tell of either within FaultTimeout.
	Fault func(ctx context.Context, ill bool) error
	// FaultTimeout is how long a plugin may take to tell of a change; default 15 s, three looks
	// at the usual interval.
	FaultTimeout time.Duration
}

// Outcome of a rule.
type Outcome uint8

// Outcomes.
const (
	Passed Outcome = iota + 1
	Failed
	// Untried: this host gives no occasion.
	Untried
)

// String returns the outcome's word.
func (o Outcome) String() string {
	switch o {
	case Passed:
		return "ok"
	case Failed:
		return "FAILED"
	default:
		return "untried"
	}
}

// Result is what became of one rule.
type Result struct {
	// Rule is its name, and Demand what it demands.
	Rule, Demand string
	Outcome      Outcome
	// Detail says what was wrong, or why the rule was not tried.
	Detail string
}

// rule is one demand of the contract. Its check returns nil, an untried or what is wrong.
type rule struct {
	name, demand string
	check        func(context.Context, *suite) error
}

// untried is the error of a check that has no occasion.
type untried string

func (u untried) Error() string { return string(u) }

// suite is the plugin under test.
type suite struct {
	cfg       Config
	client    *client.Client
	inventory *pluginv1.Inventory
	serial    int
}

// Rules returns the names of all rules in the order they are tried.
func Rules() []string {
	var names []string
	for _, r := range rules() {
		names = append(names, r.name)
	}
	return names
}

// Run tries all rules in order. The error is not about the plugin: ctx ended.
func Run(ctx context.Context, cfg Config) ([]Result, error) {
	if cfg.FaultTimeout <= 0 {
		cfg.FaultTimeout = 15 * time.Second
	}
	s := &suite{cfg: cfg}
	defer s.stop()
	var results []Result
	for _, r := range rules() {
		err := s.try(ctx, r)
		if ctx.Err() != nil {
			return results, ctx.Err()
		}
		result := Result{Rule: r.name, Demand: r.demand, Outcome: Passed}
		var no untried
		switch {
		case errors.As(err, &no):
			result.Outcome, result.Detail = Untried, no.Error()
		case err != nil:
			result.Outcome, result.Detail = Failed, err.Error()
		}
		results = append(results, result)
	}
	return results, nil
}

// Test runs all rules as subtests. A rule that is not tried is logged.
func Test(t *testing.T, cfg Config) {
	t.Helper()
	results, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		t.Run(r.Rule, func(t *testing.T) {
			if r.Outcome == Failed {
				t.Errorf("%s: %s", r.Demand, r.Detail)
			}
			if r.Outcome == Untried {
				t.Logf("untried: %s", r.Detail)
			}
		})
	}
}

// try has the plugin running before each rule, whatever the one before did to it.
func (s *suite) try(ctx context.Context, r rule) error {
	if s.client == nil || s.client.Exited() {
		if err := s.restart(ctx); err != nil {
			return err
		}
	}
	return r.check(ctx, s)
}

func (s *suite) restart(ctx context.Context) error {
	s.stop()
	c, err := client.Start(ctx, s.cfg.Client)
	if err != nil {
		return err
	}
	s.client = c
	return nil
}

func (s *suite) stop() {
	if s.client != nil {
		s.client.Stop()
		s.client = nil
	}
}

// devices returns the devices of which nothing ill is seen, for rules that need one: a plugin may
// refuse to hand out the others.
func (s *suite) devices() ([]*pluginv1.Device, error) {
	var well []*pluginv1.Device
	for _, d := range s.inventory.GetDevices() {
		if len(d.GetHealth().GetSignals()) == 0 {
			well = append(well, d)
		}
	}
	if len(well) == 0 {
		return nil, untried("the plugin has no healthy device on this host")
	}
	return well, nil
}

// allocation returns an allocation's id that was not used before.
func (s *suite) allocation() string {
	s.serial++
	return fmt.Sprintf("conformance.%d", s.serial)
}

// whole asks for all of a device.
func whole(d *pluginv1.Device) *pluginv1.Share {
	return &pluginv1.Share{DeviceId: d.Id, Thousandths: d.Thousandths, MemoryMib: d.MemoryMib}
}

func (s *suite) reserve(ctx context.Context, allocation string, shares ...*pluginv1.Share) (*pluginv1.Edits, error) {
	return s.client.Reserve(ctx, &pluginv1.ReserveRequest{AllocationId: allocation, Shares: shares})
}
