package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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

// wrong is a server that does one thing wrong.
type wrong struct {
	pluginv1.DeviceServiceServer
	violation string
	answers   int
}

func serve(violation string) error {
	s, err := sdk.NewServer(sdk.Config{Name: "shelf", Plugin: shelf{os.Getenv(faultEnv)}, LookInterval: 10 * time.Millisecond})
	if err != nil {
		return err
	}
	if violation == "ends-with-agent" {
		if err := os.Unsetenv(sdk.LifelineEnv); err != nil {
			return err
		}
	}
	return sdk.ServeService(&wrong{DeviceServiceServer: s, violation: violation})
}

func (w *wrong) Describe(ctx context.Context, r *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	if w.violation == "describes-itself" {
		return &pluginv1.DescribeResponse{}, nil
	}
	return w.DeviceServiceServer.Describe(ctx, r)
}

// sender changes inventories on their way.
type sender struct {
	pluginv1.DeviceService_FingerprintServer
	change func(*pluginv1.Inventory) *pluginv1.Inventory
}

func (s sender) Send(inv *pluginv1.Inventory) error {
	if inv = s.change(inv); inv == nil {
		return nil
	}
	return s.DeviceService_FingerprintServer.Send(inv)
}

func (w *wrong) Fingerprint(r *pluginv1.FingerprintRequest, out pluginv1.DeviceService_FingerprintServer) error {
	sent := false
	return w.DeviceServiceServer.Fingerprint(r, sender{out, func(inv *pluginv1.Inventory) *pluginv1.Inventory {
		switch w.violation {
		case "inventory-in-time":
			return nil
		case "inventory-valid":
			inv.Devices[1].Thousandths = 1001
		case "inventory-double":
			inv.Devices[1].Id = inv.Devices[0].Id
		case "ids-stable":
			inv.Devices[0].Id = fmt.Sprintf("shelf-%d", rand.Int64())
		case "identities-stable":
			inv.Devices[0].Identity = fmt.Sprint(rand.Int64())
		case "identity-double":
			inv.Devices[0].Identity, inv.Devices[1].Identity = "one", "one"
		case "part-beside-whole":
			inv.Devices[1].PartOf = inv.Devices[0].Id
		case "crash-recovery":
			if _, err := os.Stat(os.Getenv(faultEnv) + ".reserved"); err == nil {
				inv.Devices = inv.Devices[:1]
			}
		case "health-streamed":
			if sent {
				return nil
			}
			sent = true
		}
		return inv
	}})
}

func (w *wrong) Reserve(ctx context.Context, r *pluginv1.ReserveRequest) (*pluginv1.ReserveResponse, error) {
	w.answers++
	resp, err := w.DeviceServiceServer.Reserve(ctx, r)
	given := &pluginv1.ReserveResponse{Edits: &pluginv1.Edits{}}
	switch {
	case w.violation == "unknown-refused" && status.Code(err) == codes.NotFound:
		return nil, status.Error(codes.Internal, "oops")
	case w.violation == "shares-bounded" && status.Code(err) == codes.InvalidArgument:
		return given, nil
	case w.violation == "reserve-idempotent" && err == nil:
		resp.Edits.Env = []string{fmt.Sprintf("SERIAL=%d", w.answers)}
	case w.violation == "capacity-kept" && status.Code(err) == codes.ResourceExhausted:
		return given, nil
	case w.violation == "edits-valid" && err == nil:
		return &pluginv1.ReserveResponse{Edits: &pluginv1.Edits{Env: []string{"no equals sign"}}}, nil
	case w.violation == "edits-deterministic" && err == nil:
		return &pluginv1.ReserveResponse{Edits: &pluginv1.Edits{Env: []string{"ALLOCATION=" + r.AllocationId}}}, nil
	case w.violation == "crash-recovery" && err == nil && w.answers == 1 && r.Shares[0].Thousandths == 1000:
		// Only the last rules reserve in a process that has just been started.
		return resp, os.WriteFile(os.Getenv(faultEnv)+".reserved", nil, 0o600)
	}
	return resp, err
}

func (w *wrong) Release(ctx context.Context, r *pluginv1.ReleaseRequest) (*pluginv1.ReleaseResponse, error) {
	if w.violation == "release-unknown" && strings.HasPrefix(r.AllocationId, "nobody") {
		return nil, status.Error(codes.NotFound, "never heard of it")
	}
	return w.DeviceServiceServer.Release(ctx, r)
}

func (w *wrong) Health(ctx context.Context, r *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	if w.violation == "health-answers" {
		return &pluginv1.HealthResponse{}, nil
	}
	return w.DeviceServiceServer.Health(ctx, r)
}

func (w *wrong) Stats(r *pluginv1.StatsRequest, out pluginv1.DeviceService_StatsServer) error {
	if w.violation == "stats-known" {
		return out.Send(&pluginv1.StatsSample{Devices: []*pluginv1.DeviceStats{{DeviceId: "ghost"}}})
	}
	return w.DeviceServiceServer.Stats(r, out)
}

func (w *wrong) Program(r *pluginv1.ProgramRequest, out pluginv1.DeviceService_ProgramServer) error {
	if w.violation == "program-guarded" {
		return out.Send(&pluginv1.ProgramProgress{Done: true})
	}
	return w.DeviceServiceServer.Program(r, out)
}

func (w *wrong) Reset(ctx context.Context, r *pluginv1.ResetRequest) (*pluginv1.ResetResponse, error) {
	if w.violation == "reset-guarded" {
		return &pluginv1.ResetResponse{}, nil
	}
	return w.DeviceServiceServer.Reset(ctx, r)
}

func (w *wrong) Clean(ctx context.Context, r *pluginv1.CleanRequest) (*pluginv1.CleanResponse, error) {
	if w.violation == "clean-answers" {
		return &pluginv1.CleanResponse{}, nil
	}
	if w.violation == "clean-idle" {
		return &pluginv1.CleanResponse{MemoryLeftBytes: 1}, nil
	}
	return w.DeviceServiceServer.Clean(ctx, r)
}

// run holds the test plugin against the rules.
func run(t *testing.T, violation string) []conformance.Result {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	fault := t.TempDir() + "/fault"
	// Answers that never come are waited for in two of these; all others have time enough.
	patience := 20 * time.Second
	if violation == "inventory-in-time" || violation == "health-streamed" || violation == "ends-with-agent" {
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

func TestEachRuleCatchesItsViolation(t *testing.T) {
	violations := map[string]string{"inventory-double": "inventory-valid", "identity-double": "identities-stable", "part-beside-whole": "identities-stable"}
	for _, rule := range conformance.Rules() {
		violations[rule] = rule
	}
	for violation, rule := range violations {
		t.Run(violation, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(run(t, violation), func(r conformance.Result) bool {
				return r.Rule == rule && r.Outcome == conformance.Failed && r.Detail != ""
			})
			if i < 0 {
				t.Errorf("a plugin that violates %q passes", rule)
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
