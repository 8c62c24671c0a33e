//go:build cgo

package library_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/gpus"
	"golang.org/x/sys/unix"

	"caravan/plugins/device/nvidia"
	"caravan/plugins/device/nvidia/library"
	"caravan/plugins/device/nvidia/nvmltest"
	"caravan/plugins/sdk/client"
	"caravan/plugins/sdk/conformance"
)

// illEnv names a file that makes the first GPU ill while it exists.
const illEnv = "CARAVAN_TEST_ILL"

// TestMain is also the plugin, on a library in memory.
func TestMain(m *testing.M) {
	if ill := os.Getenv(illEnv); ill != "" {
		if err := serve(ill); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serve(ill string) error {
	server := nvmltest.New(mixed())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		look := time.NewTicker(10 * time.Millisecond)
		defer look.Stop()
		for ctx.Err() == nil {
			<-look.C
			_, err := os.Stat(ill)
			server.Change(func(all []*nvmltest.GPU) { all[0].Pending = err == nil })
		}
	}()
	return nvidia.Main(ctx, library.New(library.Config{NVML: server}), os.Args[1:], os.Stdout)
}

// mixed is a host with an A100 and two M40.
func mixed() []*nvmltest.GPU {
	return []*nvmltest.GPU{{Config: gpus.A100_SXM4_40GB}, {Config: nvmltest.M40()}, {Config: nvmltest.M40()}}
}

func TestThePluginKeepsTheContractOnMocks(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ill, dev := filepath.Join(t.TempDir(), "ill"), t.TempDir()
	for i := range 3 {
		if err := unix.Mknod(filepath.Join(dev, fmt.Sprintf("nvidia%d", i)), unix.S_IFCHR|0o666, int(unix.Mkdev(240, uint32(i)))); err != nil { //nolint:gosec // small numbers
			t.Fatal(err)
		}
	}
	conformance.Test(t, conformance.Config{
		Client: client.Config{
			Command: []string{exe, "-dev-root", dev, "-sysfs-root", t.TempDir(), "-kmsg", "", "-look-interval", "50ms"},
			Env:     []string{illEnv + "=" + ill}, CallTimeout: 30 * time.Second,
		},
		Fault: func(_ context.Context, make bool) error {
			if make {
				return os.WriteFile(ill, nil, 0o600)
			}
			if err := os.Remove(ill); !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		},
	})
}

func look(t *testing.T, l *library.Library) nvidia.Host {
	t.Helper()
	host, err := l.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return host
}

func TestAMixedHostIsReadAsItIs(t *testing.T) {
	l := library.New(library.Config{NVML: nvmltest.New(mixed())})
	host := look(t, l)
	if host.Driver != "550.54.15" || host.CUDA != "12.4" || len(host.GPUs) != 3 || len(host.Levels) != 3 || len(host.Missing) != 0 {
		t.Fatalf("the host is %+v", host)
	}
	a, m := host.GPUs[0], host.GPUs[1]
	if a.ComputeCapability != 800 || a.MIG == nil || a.MIG.Enabled || a.PCI != "0000:3b:00.0" || a.ECC != "on" || a.MemoryMiB != 40960 {
		t.Errorf("the A100 is %+v", a)
	}
	if m.ComputeCapability != 520 || m.MIG != nil || m.Minor != 1 || m.MemoryMiB != 12288 {
		t.Errorf("the M40 is %+v", m)
	}
	samples, err := l.Measure(t.Context())
	if err != nil || len(samples) != 3 {
		t.Fatalf("%v, %v", samples, err)
	}
	for name, want := range map[string]int64{"busy_thousandths": 370, "power_milliwatts": 52000, "energy_millijoules": 7, "temperature_margin_millicelsius": 40000, "encoder_sessions": 2, "pcie_sent_bytes_per_second": 3072, "optical_flow_busy_thousandths": 50} {
		if got := samples[0].Values[name]; got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

// optional are functions that libraries of some time lack.
func optional() []string {
	return []string{
		"nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetNumGpuCores", "nvmlDeviceGetMigMode", "nvmlDeviceGetRemappedRows", "nvmlDeviceGetFieldValues",
		"nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetMarginTemperature", "nvmlDeviceGetJpgUtilization",
		"nvmlDeviceGetOfaUtilization", "nvmlDeviceGetProcessUtilization", "nvmlDeviceGetTopologyCommonAncestor", "nvmlDeviceGetEncoderCapacity",
		"nvmlDeviceGetNvLinkState", "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2", "nvmlDeviceGetComputeRunningProcesses",
		"nvmlSystemGetCudaDriverVersion", "nvmlEventSetCreate", "nvmlDeviceSetComputeMode", "nvmlDeviceGetSerial",
	}
}

func TestWhatALibraryLacksIsNeverCalled(t *testing.T) {
	server := nvmltest.New(mixed(), optional()...)
	server.EventSetCreateFunc, server.SystemGetCudaDriverVersionFunc = nil, nil // a call would panic
	l := library.New(library.Config{NVML: server})
	host := look(t, l)
	if _, err := l.Measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Watch(t.Context(), func(nvidia.Event) {}); err == nil {
		t.Error("events are told without the functions for it")
	}
	if err := l.SetExclusive(t.Context(), nvmltest.UUID(0), true); err == nil || !strings.Contains(err.Error(), "too old") {
		t.Errorf("the compute mode is set by a function that is not there: %v", err)
	}
	if len(host.GPUs) != 3 || host.GPUs[0].MIG != nil || host.GPUs[0].MemoryMiB != 40960 || host.CUDA != "" || len(host.Levels) != 0 {
		t.Errorf("the host is %+v", host)
	}
	host = look(t, l)
	for _, symbol := range optional() {
		if !slices.Contains(host.Missing, symbol) {
			t.Errorf("%s is not called missing", symbol)
		}
	}
}

func TestALibraryWithoutTheLeastIsNoDriver(t *testing.T) {
	l := library.New(library.Config{NVML: nvmltest.New(mixed(), "nvmlDeviceGetUUID")})
	_, err := l.Look(t.Context())
	var absent *nvidia.AbsentError
	if !errors.As(err, &absent) || !strings.Contains(absent.Reason, "nvmlDeviceGetUUID") {
		t.Errorf("%v", err)
	}
}

func TestAGPUThatHangsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := nvmltest.New(mixed())
		l := library.New(library.Config{NVML: server})
		look(t, l)
		hang := make(chan struct{})
		server.Change(func(all []*nvmltest.GPU) { all[1].Hang = hang })
		begun := time.Now()
		for range 5 { // each look gives up in time, and none adds a call that hangs
			host := look(t, l)
			if len(host.GPUs) != 2 || len(host.Failed) != 1 || host.Failed[0].Index != 1 || host.Failed[0].Lost {
				t.Fatalf("the host is %+v", host)
			}
		}
		if took := time.Since(begun); took > 1500*time.Millisecond {
			t.Errorf("five looks took %v, and only the first had to wait", took)
		}
		if err := l.SetExclusive(t.Context(), nvmltest.UUID(2), true); err != nil || time.Since(begun) > 1500*time.Millisecond {
			t.Errorf("a change of the third GPU waited %v for the second: %v", time.Since(begun), err)
		}
		if samples, err := l.Measure(t.Context()); err != nil || len(samples) != 2 {
			t.Errorf("%v, %v", samples, err)
		}
		server.Change(func(all []*nvmltest.GPU) { all[1].Hang = nil })
		close(hang)
		synctest.Wait()
		if host := look(t, l); len(host.GPUs) != 3 || len(host.Failed) != 0 {
			t.Errorf("when it answers again the host is %+v", host)
		}
	})
}

func TestALostGPUIsNamedAsOneThatFailed(t *testing.T) {
	server := nvmltest.New(mixed())
	l := library.New(library.Config{NVML: server})
	server.Change(func(all []*nvmltest.GPU) { all[2].Failure = nvml.ERROR_GPU_IS_LOST })
	if host := look(t, l); len(host.GPUs) != 2 || len(host.Failed) != 1 || !host.Failed[0].Lost {
		t.Errorf("the host is %+v", host)
	}
}

func TestEventsAreToldAsSignals(t *testing.T) {
	for want, e := range map[string][2]uint64{
		"xid-79": {nvml.EventTypeXidCriticalError, 79}, "gpu-ecc-double-bit": {nvml.EventTypeDoubleBitEccError, 0}, "gpu-poison-fatal": {nvml.EventTypeFatalPoisonError, 0},
		"gpu-unavailable": {nvml.EventTypeGpuUnavailableError, 0}, "": {256, 0},
	} {
		t.Run(want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := nvmltest.New(mixed())
				l := library.New(library.Config{NVML: server})
				server.Tell(1, e[0], e[1])
				ctx, cancel := context.WithCancel(t.Context())
				var got []nvidia.Event
				err := l.Watch(ctx, func(e nvidia.Event) {
					if e.UUID != "" { // the first tells that there are events from now on
						got = append(got, e)
						cancel()
					}
				})
				cancel()
				synctest.Wait()
				if err != nil || len(got) != 1 || got[0].Code != want || got[0].UUID != nvmltest.UUID(1) {
					t.Errorf("told %+v, %v", got, err)
				}
				time.Sleep(2 * time.Second) // the wait that is under way ends
			})
		})
	}
}

func TestTheComputeModeIsSet(t *testing.T) {
	server := nvmltest.New(mixed())
	l := library.New(library.Config{NVML: server})
	for _, exclusive := range []bool{true, false} {
		if err := l.SetExclusive(t.Context(), nvmltest.UUID(2), exclusive); err != nil {
			t.Fatal(err)
		}
		if got := server.ComputeMode(2) == nvml.COMPUTEMODE_EXCLUSIVE_PROCESS; got != exclusive || server.ComputeMode(0) != nvml.COMPUTEMODE_DEFAULT {
			t.Errorf("asked for %v, it is %v", exclusive, got)
		}
	}
	if err := l.SetExclusive(t.Context(), "GPU-none", true); err == nil {
		t.Error("a GPU that is not there is set")
	}
}

// TestEveryProfileOfEveryGPUIsMadeAndRemoved goes through go-nvml's tables of real cards.
func TestEveryProfileOfEveryGPUIsMadeAndRemoved(t *testing.T) {
	for _, card := range []gpus.Config{gpus.A30_PCIE_24GB, gpus.A100_SXM4_40GB, gpus.A100_PCIE_80GB, gpus.H100_SXM5_80GB, gpus.H200_SXM5_141GB, gpus.B200_SXM5_180GB} {
		t.Run(card.Name, func(t *testing.T) {
			l := library.New(library.Config{NVML: nvmltest.New([]*nvmltest.GPU{{Config: card, MIG: true}})})
			all := look(t, l).GPUs[0].MIG.Profiles
			if len(all) < 4 {
				t.Fatalf("profiles %+v", all)
			}
			for _, p := range all {
				if len(p.Starts) == 0 {
					continue // go-nvml's table has no places for it
				}
				if err := l.CreateInstance(t.Context(), nvmltest.UUID(0), p, p.Starts[0]); err != nil {
					t.Fatalf("%s: %v", p.Name(), err)
				}
				made := look(t, l).GPUs[0].MIG.Instances
				if len(made) != 1 || made[0].Profile != p.ID || made[0].Slices != p.Slices || made[0].UUID == "" || made[0].MemoryMiB != p.MemoryMiB {
					t.Fatalf("%s is %+v", p.Name(), made)
				}
				if err := l.CreateInstance(t.Context(), nvmltest.UUID(0), p, p.Starts[0]); err == nil {
					t.Errorf("%s was made twice in one place", p.Name())
				}
				if err := l.DestroyInstance(t.Context(), nvmltest.UUID(0), made[0].ID); err != nil {
					t.Fatal(err)
				}
				if left := look(t, l).GPUs[0].MIG.Instances; len(left) != 0 {
					t.Fatalf("left are %+v", left)
				}
			}
		})
	}
}
