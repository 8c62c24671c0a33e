package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"caravan/agent"
	"caravan/agent/device"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/family"
)

// fakeHost is a root with /proc and /sys of another machine.
type fakeHost struct {
	t    *testing.T
	root string
}

// newFakeHost is a machine with so many processors of the model that GN4, GA1 and F1 are built of.
func newFakeHost(t *testing.T, vcpu int, memMiB int64) *fakeHost {
	t.Helper()
	f := &fakeHost{t: t, root: t.TempDir()}
	f.write("proc/cpuinfo", strings.Repeat("processor\t: 0\nmodel name\t: Intel(R) Xeon(R) CPU E5-2682 v4 @ 2.50GHz\n\n", vcpu))
	f.write("proc/meminfo", fmt.Sprintf("MemTotal:  %d kB\n", memMiB<<10))
	f.write("proc/sys/kernel/hostname", "fake\n")
	f.write("proc/sys/kernel/random/boot_id", "6f1d1c2e-3f3b-4a55-9d3c-1f0e8f8a2b11\n")
	f.write("sys/devices/system/cpu/online", fmt.Sprintf("0-%d\n", vcpu-1))
	f.write("sys/class/empty", "")
	return f
}

func (f *fakeHost) write(name, text string) {
	f.t.Helper()
	full := filepath.Join(f.root, name)
	err := os.MkdirAll(filepath.Dir(full), 0o755)
	if err == nil {
		err = os.WriteFile(full, []byte(text), 0o600)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeHost) link(name, target string) {
	f.t.Helper()
	full := filepath.Join(f.root, name)
	err := os.MkdirAll(filepath.Dir(full), 0o755)
	if err == nil {
		err = os.Symlink(filepath.Join(f.root, target), full)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// pci adds a function behind a bridge of its own and returns its directory.
func (f *fakeHost) pci(address, vendor, id, class string, numa int) string {
	dir := "sys/devices/pci" + address[:7] + "/" + address[:8] + "01.0/" + address
	for name, value := range map[string]string{
		"vendor": vendor, "device": id, "class": class, "numa_node": fmt.Sprint(numa),
		"current_link_speed": "8.0 GT/s PCIe", "max_link_speed": "8.0 GT/s PCIe", "current_link_width": "16", "max_link_width": "16",
	} {
		f.write(dir+"/"+name, value+"\n")
	}
	f.link("sys/bus/pci/devices/"+address, dir)
	return dir
}

// s7150 adds the n-th card, or part of one, with so much memory.
func (f *fakeHost) s7150(n int, id string, memMiB int64, numa int) {
	dir := f.pci(fmt.Sprintf("0000:%02x:00.0", n+1), "0x1002", id, "0x030000", numa)
	f.write(dir+"/mem_info_vram_total", fmt.Sprint(memMiB<<20))
	f.write(dir+"/gpu_busy_percent", "0")
	f.write(fmt.Sprintf("%s/drm/renderD%d/dev", dir, 128+n), fmt.Sprintf("226:%d\n", 128+n))
	f.write(fmt.Sprintf("%s/drm/card%d/dev", dir, n), fmt.Sprintf("226:%d\n", n))
}

// arria adds an Arria 10 card with one port that runs an image.
func (f *fakeHost) arria(n int, image string) {
	dir := f.pci(fmt.Sprintf("0000:%02x:00.0", 0x3b+n), "0x8086", "0x09c4", "0x120000", n)
	region := fmt.Sprintf("%s/fpga_region/region%d", dir, n)
	f.write(region+"/dfl-fme.0/bitstream_id", "0x23000110010310\n")
	f.write(region+"/dfl-fme.0/dfl-fme-region.2/fpga_region/region9/compat_id", "f9b0a5d8c3e34c1eb6d5a1f4e7c20d33\n")
	port := fmt.Sprintf("%s/dfl-port.%d", region, n)
	f.write(port+"/id", "0\n")
	f.write(port+"/dev", fmt.Sprintf("241:%d\n", n))
	f.write(port+"/afu_id", image+"\n")
}

// registered returns what an agent on the fake host registers.
func (f *fakeHost) registered(plugin string, change ...func(*agent.Config)) *pb.NodeInfo {
	f.t.Helper()
	catalogue, err := family.Load()
	if err != nil {
		f.t.Fatal(err)
	}
	h := newHost(f.t)
	h.start(append([]func(*agent.Config){func(c *agent.Config) {
		c.HostRoot, c.Catalogue = f.root, catalogue
		c.DevicePlugins = []device.Plugin{{Name: plugin, Command: []string{os.Args[0], plugin + "-plugin", "-sysfs-root", filepath.Join(f.root, "sys")}}}
	}}, change...)...)
	return h.servers.Info(node)
}

func TestAHostWithFourS7150IsAGA1(t *testing.T) {
	f := newFakeHost(t, 56, 160<<10*97/100)
	for i := range 4 {
		f.s7150(i, "0x6929", 8192, i/2)
	}
	info := f.registered("amd")
	if info.InstanceType != "ecs.ga1.14xlarge" || info.Family != "ga1" || info.Attributes["instance_type.from"].GetText() != "matched" || len(info.Devices) != 4 {
		t.Errorf("registered as %s of %s, %v", info.InstanceType, info.Family, info)
	}
	// 0 and 1 are on one processor, and so are 2 and 3.
	if l := info.DeviceLinks; len(l) != 6 || l[0] <= l[1] || l[5] <= l[1] || l[1] != l[2] {
		t.Errorf("links %v", l)
	}
}

func TestAQuarterOfAnS7150IsTheSmallestGA1(t *testing.T) {
	f := newFakeHost(t, 4, 10<<10*97/100)
	f.s7150(0, "0x692f", 2000, 0)
	info := f.registered("amd")
	d := info.Devices[0]
	if info.InstanceType != "ecs.ga1.xlarge" || d.Thousandths != 250 || d.MemoryMib != 2000 || d.Model != "S7150" {
		t.Errorf("registered as %s with %v", info.InstanceType, d)
	}
}

func TestAHostWithArria10IsAnF1WithItsImages(t *testing.T) {
	const image = "8b5f21d0a7c94c10a1b2c3d4e5f60718"
	f := newFakeHost(t, 56, 224<<10*97/100)
	f.arria(0, image)
	f.arria(1, "")
	images := f.root + "/images"
	f.write("images/images.yaml", "- {name: aes, id: 8b5f21d0-a7c9-4c10-a1b2-c3d4e5f60718, interface: f9b0a5d8-c3e3-4c1e-b6d5-a1f4e7c20d33}\n- {name: other, interface: 0000}\n")
	info := f.registered("fpga", func(c *agent.Config) { c.ImagesDir = images })
	if info.InstanceType != "ecs.f1-c28f1.14xlarge" || len(info.Devices) != 2 {
		t.Fatalf("registered as %s with %v", info.InstanceType, info.Devices)
	}
	for i, want := range []string{"ready aes " + image, "empty  "} {
		a := info.Devices[i].Attributes
		if got := a["region"].GetText() + " " + a["image"].GetText() + " " + a["image_id"].GetText(); got != want || a["images"].GetText() != "aes" {
			t.Errorf("device %d is %q, want %q: %v", i, got, want, a)
		}
	}
}

func TestAnOperatorNamesTheType(t *testing.T) {
	f := newFakeHost(t, 3, 5000)
	named := func(name string) func(*agent.Config) { return func(c *agent.Config) { c.InstanceType = name } }
	if info := f.registered("amd", named("gn4-c4g1.xlarge")); info.InstanceType != "ecs.gn4-c4g1.xlarge" || info.Family != "gn4" || info.Attributes["instance_type.from"] != nil {
		t.Errorf("registered as %s of %q", info.InstanceType, info.Family)
	}
	if info := f.registered("amd", named("my-old-box")); info.InstanceType != "my-old-box" || info.Family != "" {
		t.Errorf("registered as %s of %q", info.InstanceType, info.Family)
	}
	if info := f.registered("amd"); info.InstanceType != "" {
		t.Errorf("a host like no other is taken for %s", info.InstanceType)
	}
}

func TestTypesThatFactsDoNotTellApartAreNamed(t *testing.T) {
	f := newFakeHost(t, 32, 64000)
	info := f.registered("amd")
	if info.InstanceType == "" || info.Attributes["instance_type.from"].GetText() != "guessed" || info.Attributes["instance_type.others"].GetText() == "" {
		t.Errorf("registered as %s, %v", info.InstanceType, info.Attributes)
	}
}
