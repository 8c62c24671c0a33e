package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/e2e/harness"
	"caravan/plugins/device/nvidia/fakenvml"
)

// sysfs builds a host with one GPU of AMD and one FPGA card, in the form of the kernel's
// Documentation/filesystems/sysfs: functions hang where their bus puts them, and classes are links.
func sysfs(t *testing.T, dir string) string {
	t.Helper()
	root := filepath.Join(dir, "sys")
	file := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, root, name, text+"\n", 0o600)
	}
	link := func(name, target string) {
		t.Helper()
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(root, target), full); err != nil {
			t.Fatal(err)
		}
	}
	pci := func(address, vendor, device, class string) string {
		at := "devices/pci0000:00/" + address
		for name, text := range map[string]string{"vendor": "0x" + vendor, "device": "0x" + device, "class": class, "numa_node": "0"} {
			file(at+"/"+name, text)
		}
		link("bus/pci/devices/"+address, at)
		return at
	}
	gpu := pci("0000:00:07.0", "1002", "6929", "0x030000")
	file(gpu+"/mem_info_vram_total", "8589934592")
	for name, numbers := range map[string]string{"card0": "226:0", "renderD128": "226:128"} {
		file(gpu+"/drm/"+name+"/dev", numbers)
		link("class/drm/"+name, gpu+"/drm/"+name)
		link(gpu+"/drm/"+name+"/device", gpu)
	}
	card := pci("0000:00:08.1", "10ee", "5005", "0x120000")
	for name, text := range map[string]string{"ready": "0x1", "dev_offline": "0", "rom.u.1/VBNV": "xilinx_u250_gen3x16_xdma_shell_4_1", "drm/renderD140/dev": "226:140"} {
		file(card+"/"+name, text)
	}
	link("class/drm/renderD140", card+"/drm/renderD140")
	link(card+"/drm/renderD140/device", card)
	return root
}

// pluginPID finds a plugin's process among the children of an agent, 0 for none: one of the agent's own
// program, or the program of that name.
func pluginPID(agent int, plugin string) int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile("/proc/" + e.Name() + "/stat") // it may have ended meanwhile
		line, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		_, rest, _ := strings.Cut(string(stat), ") ")
		words := strings.Split(string(line), "\x00")
		own := len(words) > 2 && words[1] == "device-plugin" && words[2] == plugin
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(agent) && (own || filepath.Base(words[0]) == plugin) {
			return pid
		}
	}
	return 0
}

// TestEachPluginIsKilledWhileItsDevicesAreInUse and nobody notices but the agent's log.
func TestEachPluginIsKilledWhileItsDevicesAreInUse(t *testing.T) {
	dir := shortDir(t)
	root := sysfs(t, dir)
	nvidia := newNVIDIABench(t, 1, fakenvml.M40)
	plugins := map[string]string{"sim": "sim", "amd": "amd", "fpga": "fpga", "caravan-nvidia": "env"} // what the agent calls them
	r := newRig(t, dir, 1, func(int) []string {
		return []string{
			"--device-plugin", "sim -machine gn4", "--device-plugin", "amd -sysfs-root " + root,
			"--device-plugin", "fpga -sysfs-root " + root + " -tools " + dir, "--device-plugin", nvidia.Plugin(0), "--isolation", "host",
		}
	})
	// One task for each of the five GPUs, one for the FPGA.
	gpus, goGPU := r.submit("gpus", 5, "gpu")
	fpgas, goFPGA := r.submit("fpgas", 1, "fpga")
	before := slices.Concat(
		r.awaitTasks(gpus, "running", func([]*pb.Task) bool { return true }),
		r.awaitTasks(fpgas, "running", func([]*pb.Task) bool { return true }),
	)
	ids := fmt.Sprint(keys(r.devices(0)))
	for plugin, name := range plugins {
		pid := pluginPID(r.c.Agents[0].PID(), plugin)
		if pid == 0 {
			t.Fatalf("plugin %s does not run", plugin)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := harness.Eventually(r.ctx, func() (bool, error) {
			next := pluginPID(r.c.Agents[0].PID(), plugin)
			return next != 0 && next != pid && r.tells(name), nil
		}); err != nil {
			t.Fatalf("plugin %s never came back: %v", plugin, err)
		}
		took := time.Since(begun)
		verdict := "within the promise"
		if took > promise {
			verdict = "LATE"
		}
		t.Logf("inventory of %s back after %v (%v promised): %s", plugin, took.Round(10*time.Millisecond), promise, verdict)
		all := r.devices(0)
		if got := fmt.Sprint(keys(all)); got != ids {
			t.Errorf("after the death of %s there are %s, not %s", plugin, got, ids)
		}
		for id, d := range all {
			if !d.Healthy || len(d.GetHealth().GetHistory()) > 0 {
				t.Errorf("after the death of %s, %s is held for ill: %s", plugin, id, d)
			}
		}
	}
	for i, task := range slices.Concat(r.tasks(gpus), r.tasks(fpgas)) {
		if task.Last.Id != before[i].Last.Id || task.State != pb.TaskState_TASK_STATE_RUNNING {
			t.Errorf("a task was disturbed: %v", task)
		}
	}
	for _, file := range []string{goGPU, goFPGA} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, job := range []string{gpus, fpgas} {
		if err := harness.Eventually(r.ctx, func() (bool, error) {
			j, err := r.cl.Jobs.GetJob(r.ctx, &pb.GetJobRequest{JobId: job})
			return err == nil && j.State == pb.JobState_JOB_STATE_SUCCEEDED, err
		}); err != nil {
			t.Errorf("%s has not succeeded: %v", job, err)
		}
	}
}

// tells reports whether the agent has heard its plugin's inventory since it was last down.
func (r *rig) tells(plugin string) bool {
	raw, err := os.ReadFile(r.c.Agents[0].Log)
	if err != nil {
		return false
	}
	log := string(raw)
	failed := strings.LastIndex(log, "a device plugin failed, starting it again: plugin="+plugin)
	return failed >= 0 && strings.LastIndex(log, "device plugin runs: plugin="+plugin) > failed
}

func keys(all map[string]*pb.Device) []string {
	var ids []string
	for id := range all {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
