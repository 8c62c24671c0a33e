package devices

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pb "caravan/api/caravanv1"
	"caravan/e2e/harness"
	"caravan/plugins/device/nvidia/fakenvml"
	"caravan/plugins/device/sysfstest"
)

// host is a machine that does not exist: its /proc and /sys, and the nodes of its devices in /dev.
type host struct {
	t    *testing.T
	tree *sysfstest.Tree
	root string
	dev  string
}

// newHost is one with so many processors of the model that GN4, GA1 and F1 are built of.
func newHost(t *testing.T, vcpu int, memGiB int64) *host {
	t.Helper()
	root := t.TempDir()
	h := &host{t: t, tree: sysfstest.New(t), root: root, dev: devDir(t)}
	if err := os.Symlink(h.tree.Root, filepath.Join(root, "sys")); err != nil {
		t.Fatal(err)
	}
	h.tree.Write("devices/system/cpu/online", fmt.Sprintf("0-%d", vcpu-1))
	for name, text := range map[string]string{
		"proc/cpuinfo": strings.Repeat("processor\t: 0\nmodel name\t: Intel(R) Xeon(R) CPU E5-2682 v4 @ 2.50GHz\n\n", vcpu),
		"proc/meminfo": fmt.Sprintf("MemTotal:  %d kB\n", memGiB<<20*97/100), "proc/sys/kernel/hostname": "fake\n",
		"proc/sys/kernel/random/boot_id": "6f1d1c2e-3f3b-4a55-9d3c-1f0e8f8a2b11\n",
	} {
		full := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(full), 0o755)
		if err == nil {
			err = os.WriteFile(full, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// flags are the agent's. Its real host has other processors, so tasks run on any.
func (h *host) flags(plugin string) []string {
	return []string{"--host-root", h.root, "--cpu-binding", "off", "--device-plugin", plugin + " -sysfs-root " + h.tree.Root + " -dev-root " + h.dev}
}

// node makes a device node and says its numbers.
func (h *host) node(name string, minor uint32) string {
	mknod(h.t, filepath.Join(h.dev, name), minor)
	return fmt.Sprintf("%d:%d", major, minor)
}

// amd adds the n-th GPU of AMD.
func (h *host) amd(n int, id, memory string, minor uint32) {
	h.t.Helper()
	dir := h.tree.AMD(n, fmt.Sprintf("pci0000:00/0000:00:%02x.0", n+1), fmt.Sprintf("0000:%02x:00.0", n+1), id, sysfstest.Attributes{
		"mem_info_vram_total": memory, "gpu_busy_percent": "0",
	})
	for i, name := range []string{fmt.Sprintf("card%d", n), fmt.Sprintf("renderD%d", 128+n)} {
		h.tree.Write(dir+"/drm/"+name+"/dev", h.node("dri/"+name, minor+uint32(i))) //nolint:gosec // small numbers
	}
}

const (
	shell    = "f9b0a5d8c3e34c1eb6d5a1f4e7c20d33"
	loadedID = "8b5f21d0a7c94c10a1b2c3d4e5f60718"
)

// arria adds the n-th Arria 10 with one port, which runs an image or none.
func (h *host) arria(n int, image string, minor uint32) {
	h.t.Helper()
	pci := h.tree.PCI(fmt.Sprintf("pci0000:3%d/0000:3%d:00.0", n, n), fmt.Sprintf("0000:%02x:00.0", 0x3b+n), "8086:09c4", "0x120000", nil)
	base := h.tree.Class(pci, "fpga_region", fmt.Sprintf("region%d", n), "")
	h.tree.Write(base+fmt.Sprintf("/dfl-fme.%d/dev", n), h.node(fmt.Sprintf("dfl-fme.%d", n), minor))
	h.tree.Write(base+fmt.Sprintf("/dfl-fme.%d/dfl-fme-region.2/fpga_region/region9/compat_id", n), shell)
	port := fmt.Sprintf("%s/dfl-port.%d", base, n)
	h.tree.Write(port+"/id", "0")
	h.tree.Write(port+"/afu_id", image)
	h.tree.Write(port+"/dev", h.node(fmt.Sprintf("dfl-port.%d", n), minor+1))
}

// hosts are a GN4, a GN5, a GA1 with four S7150, a GA1 with a quarter of one, and an F1, each with the
// plugin that real ones have.
type hosts struct {
	*fleet
	gn4, gn5, ga1, quarter, f1 *host
}

func newHosts(t *testing.T) *hosts {
	t.Helper()
	h := &hosts{fleet: &fleet{t: t, isolation: "standard"}}
	bench, err := fakenvml.NewBench(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	nvidia := func(h *host, state *fakenvml.State, minor uint32) []string {
		for i, name := range []string{"nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"} {
			h.node(name, minor+uint32(i)) //nolint:gosec // small numbers
		}
		return h.flags(strings.Join([]string{"/usr/bin/env", bench.Env(fakenvml.Old), state.Env(), bench.Program(), "-kmsg", filepath.Join(h.root, "no-log")}, " "))
	}
	h.gn4, h.gn5, h.ga1, h.quarter, h.f1 = newHost(t, 56, 96), newHost(t, 8, 60), newHost(t, 56, 160), newHost(t, 4, 10), newHost(t, 56, 224)
	for n := range 4 {
		h.ga1.amd(n, "1002:6929", "8589934592", uint32(60+2*n)) //nolint:gosec // small numbers
	}
	h.quarter.amd(0, "1002:692f", "2097152000", 70)
	h.f1.arria(0, "", 80)
	h.f1.arria(1, loadedID, 90)
	images := t.TempDir()
	if err := os.WriteFile(filepath.Join(images, "images.yaml"), []byte("- {name: aes, id: "+loadedID+", interface: "+shell+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p100 := func(n int) fakenvml.Keys {
		return fakenvml.Keys{fmt.Sprintf("gpu.%d.name", n): "Tesla P100-PCIE-16GB", fmt.Sprintf("gpu.%d.memory_mib", n): "16280", fmt.Sprintf("gpu.%d.cc", n): "6.0"}
	}
	gn5 := fakenvml.NewState(t, fakenvml.GN4(), p100(0), p100(1))
	flags := [][]string{
		nvidia(h.gn4, fakenvml.NewState(t, fakenvml.GN4()), 20), nvidia(h.gn5, gn5, 30),
		h.ga1.flags("amd"), h.quarter.flags("amd"), append(h.f1.flags("fpga"), "--images", images),
	}
	h.start(harness.Options{Agents: len(flags), FlagsOfAgent: func(i int) []string { return flags[i] }})
	return h
}

func (h *hosts) infos() map[string]*pb.NodeInfo {
	h.t.Helper()
	conn, err := h.c.Conn(h.c.Servers[0])
	if err != nil {
		h.t.Fatal(err)
	}
	list, err := pb.NewNodeServiceClient(conn).ListNodes(h.ctx, &pb.ListNodesRequest{})
	if err != nil {
		h.t.Fatal(err)
	}
	all := make(map[string]*pb.NodeInfo)
	for _, n := range list.Nodes {
		all[n.Info.Name] = n.Info
	}
	return all
}

// sees runs a job for a device and returns where it ran, its device, the device nodes that it found and the
// variables of vendors.
func (h *hosts) sees(name, device string) (node, id string, nodes, env []string) {
	h.t.Helper()
	script := "find /dev -path '/dev/caravan-e2e-*' -type c | sort; env | grep -E '^(CUDA|NVIDIA|HIP|ROCR|GPU|FPGA)_|^CARAVAN_DEVICES=' | sort"
	task, out := h.run(job(name, device, script))
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "/dev/") {
			parts := strings.SplitN(line, "/", 4)
			nodes = append(nodes, parts[len(parts)-1])
		} else if line != "" {
			env = append(env, line)
		}
	}
	return task.Last.Node, task.Last.Devices[0].DeviceId, nodes, env
}

func TestHostsAreTakenForWhatTheyAre(t *testing.T) {
	h := newHosts(t)
	infos := h.infos()
	for node, want := range map[string]string{
		"a1": "ecs.gn4.14xlarge gn4 matched M40:1000:12288 M40:1000:12288",
		"a2": "ecs.gn5-c4g1.2xlarge gn5 matched P100:1000:16280 P100:1000:16280",
		"a3": "ecs.ga1.14xlarge ga1 matched S7150:1000:8192 S7150:1000:8192 S7150:1000:8192 S7150:1000:8192",
		"a4": "ecs.ga1.xlarge ga1 matched S7150:250:2000",
		"a5": "ecs.f1-c28f1.14xlarge f1 matched A10GX1150:1000:16384 A10GX1150:1000:16384",
	} {
		i := infos[node]
		got := fmt.Sprint(i.GetInstanceType(), " ", i.GetFamily(), " ", i.GetAttributes()["instance_type.from"].GetText())
		for _, d := range i.GetDevices() {
			got += fmt.Sprintf(" %s:%d:%d", d.Model, d.Thousandths, d.MemoryMib)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", node, got, want)
		}
	}
	if a := infos["a5"].GetDevices()[1].GetAttributes(); a["image"].GetText() != "aes" || a["image_id"].GetText() != loadedID || a["dsp"].GetMilli() != 1_518_000 {
		t.Errorf("the region with an image is %v", a)
	}
	check := func(what, node string, nodes, env []string, wantNode string, wantNodes, wantEnv []string) {
		t.Helper()
		if node != wantNode || !slices.Equal(nodes, wantNodes) || !slices.Equal(env, wantEnv) {
			t.Errorf("%s ran on %s, want %s;\nits nodes are\n%q, want\n%q;\nits variables\n%q, want\n%q", what, node, wantNode, nodes, wantNodes, env, wantEnv)
		}
	}
	node, id, nodes, env := h.sees("memory", `{gpu: 1, memory: ">=12GiB", model: M40}`)
	minor := map[string]string{fakenvml.UUID(0): "nvidia0", fakenvml.UUID(1): "nvidia1"}[id]
	check("a GPU with 12 GiB", node, nodes, env, "a1", []string{"nvidia-uvm", minor, "nvidiactl"},
		[]string{"CARAVAN_DEVICES=" + id, "CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=" + id, "NVIDIA_VISIBLE_DEVICES=" + id})

	node, id, nodes, env = h.sees("double", `{gpu: 1, fp64_tflops: ">=1"}`)
	minor = map[string]string{fakenvml.UUID(0): "nvidia0", fakenvml.UUID(1): "nvidia1"}[id]
	check("double precision", node, nodes, env, "a2", []string{"nvidia-uvm", minor, "nvidiactl"},
		[]string{"CARAVAN_DEVICES=" + id, "CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=" + id, "NVIDIA_VISIBLE_DEVICES=" + id})

	node, id, nodes, env = h.sees("quarter", `{gpu: 0.25, model: S7150, vendor: amd}`)
	check("a quarter of a card", node, nodes, env, "a4", []string{"dri/card0", "dri/renderD128"},
		[]string{"CARAVAN_DEVICES=" + id, "CUDA_DEVICE_ORDER=PCI_BUS_ID", "GPU_DEVICE_ORDINAL=0", "HIP_VISIBLE_DEVICES=0"})

	node, id, nodes, env = h.sees("image", `{fpga: 1, image: aes}`)
	check("an FPGA with an image", node, nodes, env, "a5", []string{"dfl-port.1"},
		[]string{"CARAVAN_DEVICES=" + id, "FPGA_IMAGES=" + loadedID, "FPGA_VISIBLE_DEVICES=" + id})
	if id != "fpga-0000:3c:00.0-port0" {
		t.Errorf("the image is on another card than %s", id)
	}
}
