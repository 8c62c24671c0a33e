package sim

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/plugins/sdk"
	"caravan/plugins/sdk/client"
	"caravan/plugins/sdk/conformance"
	"caravan/plugins/sdk/pluginv1"
	"caravan/scheduler/family"
)

// TestMain is also the plugin.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "plugin" {
		if err := Main(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, args ...string) client.Config {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return client.Config{Command: append([]string{exe, "plugin"}, args...), CallTimeout: 20 * time.Second}
}

func TestEveryMachineOfTheCatalogueCanBePretended(t *testing.T) {
	catalogue, err := family.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range catalogue.Families() {
		for _, machine := range f.Types {
			p, err := New(Config{Machine: machine.Name})
			if err != nil {
				t.Fatal(err)
			}
			inv, err := p.Inventory(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := sdk.CheckInventory(inv); err != nil {
				t.Errorf("%s: %v", machine.Name, err)
			}
			var sum int64
			for _, d := range inv.Devices {
				sum += int64(d.Thousandths)
			}
			if sum != machine.DeviceThousandths() {
				t.Errorf("%s: %d thousandths, the catalogue says %d", machine.Name, sum, machine.DeviceThousandths())
			}
		}
	}
	if _, err := New(Config{Machine: "gn44"}); err == nil || !strings.Contains(err.Error(), "gn4") {
		t.Errorf("a family that does not exist: %v", err)
	}
}

func TestItKeepsTheContract(t *testing.T) {
	for machine, device := range map[string]string{"gn4": "sim-m40-0", "ecs.ga1.xlarge": "sim-s7150-0", "f1": "sim-a10gx1150-0"} {
		t.Run(machine, func(t *testing.T) {
			faults := filepath.Join(t.TempDir(), "faults.yaml")
			conformance.Test(t, conformance.Config{
				Client: command(t, "-machine", machine, "-faults", faults),
				Fault: func(_ context.Context, ill bool) error {
					text := "{}"
					if ill {
						text = "devices: {" + device + ": {signals: {test-fault: on command}}}"
					}
					return os.WriteFile(faults, []byte(text), 0o600)
				},
			})
		})
	}
}

func start(t *testing.T, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

func TestAnImageIsProgrammedStepByStepAndStays(t *testing.T) {
	state := t.TempDir()
	args := command(t, "-machine", "f1", "-state", state, "-program-time", "50ms")
	c := start(t, args)
	last, count := int32(-1), 0
	err := c.Program(t.Context(), &pluginv1.ProgramRequest{DeviceId: "sim-a10gx1150-0", Image: "aes"}, func(p *pluginv1.ProgramProgress) {
		if p.DoneThousandths < last {
			t.Errorf("progress went back from %d to %d", last, p.DoneThousandths)
		}
		last, count = p.DoneThousandths, count+1
	})
	if err != nil || last != sdk.Whole || count < 3 {
		t.Errorf("programming: %v after %d reports up to %d", err, count, last)
	}
	c.Stop()
	inv, err := start(t, args).Inventory(t.Context())
	if err != nil || inv.Devices[0].Region.Image != "aes" || inv.Devices[0].Region.State != pluginv1.RegionState_REGION_STATE_READY || inv.Devices[1].Region.Image != "" {
		t.Errorf("after a restart: %v, %v", inv, err)
	}
}

func TestARegionIsProgrammedOrUsedNeverBoth(t *testing.T) {
	c := start(t, command(t, "-machine", "f1", "-state", t.TempDir(), "-program-time", "20s"))
	const device = "sim-a10gx1150-0"
	share := []*pluginv1.Share{{DeviceId: device, Thousandths: 1000}}
	if _, err := c.Reserve(t.Context(), &pluginv1.ReserveRequest{AllocationId: "a", Shares: share}); err != nil {
		t.Fatal(err)
	}
	req := &pluginv1.ProgramRequest{DeviceId: device, Image: "aes"}
	if err := c.Program(t.Context(), req, nil); status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "in use by a") {
		t.Errorf("programming what is in use: %v", err)
	}
	if err := c.Release(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun, done := make(chan struct{}, 100), make(chan error, 1)
	go func() {
		done <- c.Program(ctx, req, func(*pluginv1.ProgramProgress) { begun <- struct{}{} })
	}()
	<-begun
	if _, err := c.Reserve(t.Context(), &pluginv1.ReserveRequest{AllocationId: "b", Shares: share}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("reserving what is being programmed: %v", err)
	}
	if inv, err := c.Inventory(t.Context()); err != nil || inv.Devices[0].Region.State != pluginv1.RegionState_REGION_STATE_PROGRAMMING {
		t.Errorf("while it is programmed: %v, %v", inv, err)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("programming that was given up is reported as done")
	}
}

func TestProgrammingThatFailsOrTakesTooLongSaysSo(t *testing.T) {
	faults := filepath.Join(t.TempDir(), "faults.yaml")
	c := start(t, command(t, "-machine", "f1", "-faults", faults, "-state", t.TempDir(), "-program-time", "100ms"))
	req := &pluginv1.ProgramRequest{DeviceId: "sim-a10gx1150-1", Image: "aes", TimeoutMs: 20}
	if err := c.Program(t.Context(), req, nil); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("too slow: %v", err)
	}
	write(t, faults, "program_fails: CRC error")
	req.TimeoutMs = 20_000
	if err := c.Program(t.Context(), req, nil); status.Code(err) != codes.Aborted || !strings.Contains(err.Error(), "CRC error") {
		t.Errorf("a bad image: %v", err)
	}
}

func TestAMistakeInTheFileOfFaultsIsTold(t *testing.T) {
	faults := filepath.Join(t.TempDir(), "faults.yaml")
	write(t, faults, "device: {}")
	c := start(t, command(t, "-machine", "gn4", "-faults", faults))
	if _, err := c.Inventory(t.Context()); err == nil || !strings.Contains(err.Error(), "device") {
		t.Errorf("got %v", err)
	}
}
