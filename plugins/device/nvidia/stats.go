package nvidia

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"caravan/plugins/sdk/pluginv1"
)

// Stats measures the GPUs and what each process uses of them; whose task it is, the agent knows.
func (p *Plugin) Stats(ctx context.Context) (*pluginv1.StatsSample, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.LookTimeout)
	defer cancel()
	measured, err := p.cfg.Library.Measure(ctx)
	if err != nil {
		return &pluginv1.StatsSample{}, nil //nolint:nilerr // the inventory says why there is nothing to measure
	}
	sample := &pluginv1.StatsSample{}
	devices := p.offered()
	for _, m := range measured {
		if devices[deviceID(m.UUID)] {
			sample.Devices = append(sample.Devices, &pluginv1.DeviceStats{DeviceId: deviceID(m.UUID), Values: m.Values})
		}
	}
	for _, u := range p.uses(measured) {
		// Servers of MPS are no task's, and no stranger's: their clients are told one by one.
		if devices[u.DeviceId] && !p.serves(u) {
			sample.Processes = append(sample.Processes, u)
		}
	}
	return sample, nil
}

// offered are the devices of the last inventory.
func (p *Plugin) offered() map[string]bool {
	all := make(map[string]bool)
	for _, g := range p.gpus() {
		if !g.divided() {
			all[deviceID(g.UUID)] = true
			continue
		}
		for _, i := range g.MIG.Instances {
			all[deviceID(i.UUID)] = true
		}
	}
	return all
}

// uses says who uses which device.
func (p *Plugin) uses(measured []Measurement) []*pluginv1.ProcessStats {
	gpus := make(map[string]GPU)
	for _, g := range p.gpus() {
		gpus[g.UUID] = g
	}
	var all []*pluginv1.ProcessStats
	for _, m := range measured {
		for _, process := range m.Processes {
			u := &pluginv1.ProcessStats{DeviceId: deviceID(m.UUID), Pid: int64(process.PID), Values: process.Values}
			if g := gpus[m.UUID]; g.divided() {
				for _, i := range g.MIG.Instances {
					if i.ID == process.Instance {
						u.DeviceId = deviceID(i.UUID)
					}
				}
			}
			u.Command, u.Cgroup = p.describe(process.PID)
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(a, b *pluginv1.ProcessStats) int {
		if c := strings.Compare(a.DeviceId, b.DeviceId); c != 0 {
			return c
		}
		return int(a.Pid - b.Pid)
	})
	return all
}

// describe returns a process's program and its control group; cgroups(7): lines of
// number:controllers:path, one for each hierarchy, of which the longest path tells most.
func (p *Plugin) describe(pid int) (command, cgroup string) {
	dir := filepath.Join(p.cfg.ProcRoot, strconv.Itoa(pid))
	comm, _ := os.ReadFile(filepath.Join(dir, "comm")) // it may have ended
	groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
	for line := range strings.Lines(strings.ToValidUTF8(string(groups), "?")) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 && len(parts[2]) > len(cgroup) {
			cgroup = parts[2]
		}
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(comm)), "?"), cgroup
}

// serves reports whether a process is a server of an MPS daemon of ours.
func (p *Plugin) serves(u *pluginv1.ProcessStats) bool {
	return isServer(u.Command) && p.daemons.used(u.DeviceId)
}
