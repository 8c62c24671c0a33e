package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"caravan/plugins/sdk"
	"caravan/plugins/sdk/client"
	"caravan/plugins/sdk/conformance"
	"caravan/plugins/sdk/pluginv1"
)

// Environment of the test plugin.
const (
	violationEnv = "CARAVAN_TEST_VIOLATION" // what it does wrong; "none" for nothing
	faultEnv     = "CARAVAN_TEST_FAULT"     // a file that makes a device ill while it exists
)

// TestMain is also the plugin under test.
func TestMain(m *testing.M) {
	if v := os.Getenv(violationEnv); v != "" {
		if err := serve(v); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// shelf is a plugin with two devices that do not exist.
type shelf struct{ fault string }

func (p shelf) Inventory(context.Context) (*pluginv1.Inventory, error) {
	inv := &pluginv1.Inventory{}
	for i := range 2 {
		inv.Devices = append(inv.Devices, &pluginv1.Device{
			Id: fmt.Sprintf("shelf-%d", i), Kind: "gpu", Vendor: "none", Model: "shelf", MemoryMib: 1024,
			Thousandths: 1000, ShareThousandths: 250, Health: &pluginv1.Health{},
		})
	}
	if _, err := os.Stat(p.fault); err == nil {
		inv.Devices[0].Health = sdk.Seen(&pluginv1.Signal{Code: "test-fault"})
	}
	return inv, nil
}

func (shelf) Edits(_ context.Context, shares []*pluginv1.Share) (*pluginv1.Edits, error) {
	return &pluginv1.Edits{Env: []string{"SHELF=" + shares[0].DeviceId}}, nil
}

func (shelf) Stats(context.Context) (*pluginv1.StatsSample, error) {
	return &pluginv1.StatsSample{Devices: []*pluginv1.DeviceStats{{DeviceId: "shelf-0"}}}, nil
}

// run holds the test plugin against the rules.
func run(t *testing.T, violation string) []conformance.Result {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	fault := t.TempDir() + "/fault"
	// What never comes is waited for in these; all others have time enough.
	patience := 20 * time.Second
	if slices.Contains([]string{"inventory-in-time", "health-streamed", "health-streamed/well", "stats-known/never", "ends-with-agent"}, violation) {
		patience = time.Second
	}
	results, err := conformance.Run(t.Context(), conformance.Config{
		Client: client.Config{
			Command: []string{exe}, Env: []string{violationEnv + "=" + violation, faultEnv + "=" + fault}, CallTimeout: patience,
		},
		Fault: func(_ context.Context, ill bool) error {
			if ill {
				return os.WriteFile(fault, nil, 0o600)
			}
			if err := os.Remove(fault); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		},
		FaultTimeout: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestAGoodPluginPassesEveryRule(t *testing.T) {
	results := run(t, "none")
	if len(results) != len(conformance.Rules()) {
		t.Errorf("%d results of %d rules", len(results), len(conformance.Rules()))
	}
	for _, r := range results {
		if r.Outcome != conformance.Passed {
			t.Errorf("%s: %v: %s", r.Rule, r.Outcome, r.Detail)
		}
	}
}

// violation is a way to break a rule, and a part of what the suite then says.
type violation struct{ name, says string }

// violations are at least one for each demand of each rule. What a violation is called begins with the
// rule that it breaks.
func violations() []violation {
	return []violation{
		{"describes-itself", "the name is empty"},
		{"inventory-in-time", "within the deadline"},
		{"inventory-valid", "1001 thousandths"},
		{"inventory-valid/double", "two devices have the id"},
		{"inventory-valid/identity", "two devices have the identity"},
		{"inventory-valid/reason", "no reason why"},
		{"ids-stable", "after a restart"},
		{"identities-stable", "identities "},
		{"identities-stable/double", "have the identity"},
		{"identities-stable/part", "is there beside"},
		{"unknown-refused", "oops"},
		{"unknown-refused/unnamed", "no such thing"},
		{"shares-bounded", "thousandths were given"},
		{"shares-divided", "in parts of 250"},
		{"shares-divided/alone", "the second part"},
		{"reserve-idempotent", "when repeated"},
		{"reserve-idempotent/refused", "repeated: "},
		{"reserve-idempotent/other", "other shares under the same name"},
		{"capacity-kept", "given twice"},
		{"capacity-kept/part", "all of it cannot be had"},
		{"capacity-kept/released", "released and still taken"},
		{"one-wins", "got it at once"},
		{"edits-valid", "no equals sign"},
		{"edits-valid/hook", "hook"},
		{"edits-deterministic", "when asked again"},
		{"edits-deterministic/restart", "after a restart"},
		{"release-unknown", "never heard of it"},
		{"health-answers", "has no health"},
		{"health-answers/unknown", "a device that is not there"},
		{"health-streamed", "not told within"},
		{"health-streamed/well", "not told within"},
		{"health-streamed/before", "before it was made so"},
		{"stats-known", "which is not there"},
		{"stats-known/never", "the deadline"},
		{"program-guarded", "no error"},
		{"program-guarded/told", "tells that"},
		{"reset-guarded", "which is held"},
		{"clean-answers", "an unknown device"},
		{"clean-answers/fails", "cannot look"},
		{"clean-idle", "nobody used"},
		{"crash-recovery", "after it"},
		{"crash-recovery/edits", "AGAIN"},
		{"crash-recovery/refused", "it was given already"},
		{"ends-with-agent", "it still runs"},
	}
}

func TestEachRuleHasAViolation(t *testing.T) {
	for _, rule := range conformance.Rules() {
		if !slices.ContainsFunc(violations(), func(v violation) bool { return v.name == rule }) {
			t.Errorf("rule %s has no violation here", rule)
		}
	}
}

func TestEachViolationIsCaughtByItsRule(t *testing.T) {
	for _, v := range violations() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			rule, _, _ := strings.Cut(v.name, "/")
			for _, r := range run(t, v.name) {
				if r.Rule == rule && (r.Outcome != conformance.Failed || !strings.Contains(r.Detail, v.says)) {
					t.Errorf("%v: %s; want a failure that says %q", r.Outcome, r.Detail, v.says)
				}
			}
		})
	}
}

func TestAProgramThatIsNoPluginFailsEveryRule(t *testing.T) {
	results, err := conformance.Run(t.Context(), conformance.Config{Client: client.Config{Command: []string{"/bin/true"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Outcome != conformance.Failed || r.Detail == "" {
			t.Errorf("%s: %v", r.Rule, r.Outcome)
		}
	}
}
