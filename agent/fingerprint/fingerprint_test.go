package fingerprint

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// tree makes a root with files; a name that ends in '/' is a directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(full, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// xeon is a small server with two sockets.
func xeon() map[string]string {
	processor := "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) CPU E5-2682 v4 @ 2.50GHz\nflags\t\t: fpu sse4_2 avx avx2 fma aes rdtscp\n\n"
	return map[string]string{
		"proc/cpuinfo":                     strings.Repeat(processor, 4),
		"proc/meminfo":                     "MemTotal:       16384000 kB\nMemFree:         1000000 kB\n",
		"proc/sys/kernel/hostname":         "Render-07.Example\n",
		"proc/sys/kernel/osrelease":        "5.10.0-32-amd64\n",
		"proc/sys/kernel/random/boot_id":   "6f1d1c2e-3f3b-4a55-9d3c-1f0e8f8a2b11\n",
		"sys/devices/system/node/node0/":   "",
		"sys/devices/system/node/node1/":   "",
		"sys/devices/system/node/online":   "0-1\n",
		"sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
		"etc/os-release":                   "NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n",
	}
}

func TestAHostIsSeenAsItIs(t *testing.T) {
	got, err := Take(t.Context(), Config{
		Root: tree(t, xeon()), DataDir: t.TempDir(), Version: "v1", Zone: "z1", InstanceType: "ecs.gn4.large",
		Reserved:   Reserve{CPUMilli: 500, MemoryMiB: 1000},
		Attributes: map[string]model.Attribute{"licence": model.Text("nuke"), "os": model.Text("overridden")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "render-07.example" || got.CpuMilli != 3500 || got.MemoryMib != 15000 || got.DiskMib <= 0 ||
		got.BootId != "6f1d1c2e-3f3b-4a55-9d3c-1f0e8f8a2b11" || got.Zone != "z1" || got.InstanceType != "ecs.gn4.large" || got.Version != "v1" {
		t.Errorf("node %v", got)
	}
	attributes := make(map[string]string)
	for name, value := range got.Attributes {
		attributes[name] = wire.AttributeFromProto(value).String()
	}
	arch := attributes["arch"]
	want := map[string]string{
		"arch": arch, "cgroup": "v2", "cpu.cores": "4", "cpu.model": "Intel(R) Xeon(R) CPU E5-2682 v4 @ 2.50GHz",
		"cpu.sse4_2": "true", "cpu.avx": "true", "cpu.avx2": "true", "cpu.fma": "true", "cpu.aes": "true",
		"kernel": "5.10.0-32-amd64", "kernel.version": "5.01", "numa.nodes": "2", "licence": "nuke",
		"os": "overridden", "os.version": "12",
	}
	if diff := cmp.Diff(want, attributes); diff != "" || arch == "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

func TestWhatSchedulingNeedsIsNotGuessed(t *testing.T) {
	for name, c := range map[string]struct {
		remove string
		want   string
	}{
		"no processors": {"proc/cpuinfo", "processors"},
		"no memory":     {"proc/meminfo", "memory"},
		"no boot id":    {"proc/sys/kernel/random/boot_id", "boot id"},
		"no host name":  {"proc/sys/kernel/hostname", "name the node"},
	} {
		files := xeon()
		delete(files, c.remove)
		if _, err := Take(t.Context(), Config{Root: tree(t, files), DataDir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Take(t.Context(), Config{Root: tree(t, xeon()), DataDir: "/no/such/directory"}); err == nil {
		t.Error("the disk of a missing directory was made up")
	}
}

func TestWhatAHostDoesNotTellIsLeftOut(t *testing.T) {
	files := xeon()
	delete(files, "etc/os-release")
	delete(files, "proc/sys/kernel/osrelease")
	delete(files, "sys/devices/system/node/node0/")
	delete(files, "sys/devices/system/node/node1/")
	got, err := Take(t.Context(), Config{Root: tree(t, files), DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"os", "os.version", "kernel", "kernel.version"} {
		if v, ok := got.Attributes[name]; ok {
			t.Errorf("%s is %v", name, v)
		}
	}
	if n := wire.AttributeFromProto(got.Attributes["numa.nodes"]); n != model.Milli(1000) {
		t.Errorf("numa.nodes is %v", n)
	}
}

func TestAReserveThatLeavesNothingIsRefused(t *testing.T) {
	_, err := Take(t.Context(), Config{Root: tree(t, xeon()), DataDir: t.TempDir(), Reserved: Reserve{MemoryMiB: 1 << 20}})
	if err == nil || !strings.Contains(err.Error(), "lower the reserve") {
		t.Errorf("got %v", err)
	}
}

// shelf is a DeviceSource with fixed devices.
type shelf struct {
	devices []*pb.Device
	err     error
}

func (s shelf) Devices(context.Context) ([]*pb.Device, error) { return s.devices, s.err }

func TestDevicesComeFromTheirSources(t *testing.T) {
	cfg := Config{Root: tree(t, xeon()), DataDir: t.TempDir()}
	cfg.Devices = []DeviceSource{shelf{devices: []*pb.Device{{Id: "gpu-0"}, {Id: "gpu-1"}}}, shelf{devices: []*pb.Device{{Id: "fpga-0"}}}}
	got, err := Take(t.Context(), cfg)
	if err != nil || len(got.Devices) != 3 || got.Devices[2].Id != "fpga-0" {
		t.Errorf("devices %v, %v", got.GetDevices(), err)
	}
	broken := errors.New("plugin is gone")
	cfg.Devices = []DeviceSource{shelf{err: broken}}
	if _, err := Take(t.Context(), cfg); !errors.Is(err, broken) {
		t.Errorf("a broken source gives %v", err)
	}
}

func TestKernelReleasesCompareAsNumbers(t *testing.T) {
	for release, want := range map[string]int64{"6.18.3": 6018, "5.4.0-26-generic": 5004, "6.1-rc3": 6001, "4.19": 4019} {
		if got, ok := kernelMilli(release); got != want || !ok {
			t.Errorf("%s: %d, %v", release, got, ok)
		}
	}
	for _, release := range []string{"", "six", "6", "6.x"} {
		if got, ok := kernelMilli(release); ok {
			t.Errorf("%q: %d", release, got)
		}
	}
}

// The host that runs the tests is a host like any other.
func TestThisHost(t *testing.T) {
	got, err := Take(t.Context(), Config{DataDir: t.TempDir()})
	if err != nil || got.CpuMilli < 1000 || got.MemoryMib < 1 || len(got.BootId) != 36 {
		t.Errorf("%v, %v", got, err)
	}
}
