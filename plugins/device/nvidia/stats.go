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

// Stats measures the GPUs and charges each process's use to the allocation that it belongs to.
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
		if devices[u.DeviceId] {
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
			var groups []string
			u.Command, groups = p.describe(process.PID)
			u.AllocationId, u.Cgroup = p.allocation(u.DeviceId, groups)
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

// describe returns a process's program and control groups; cgroups(7): lines of
// number:controllers:path, one for each hierarchy.
func (p *Plugin) describe(pid int) (command string, cgroups []string) {
	dir := filepath.Join(p.cfg.ProcRoot, strconv.Itoa(pid))
	comm, _ := os.ReadFile(filepath.Join(dir, "comm")) // it may have ended
	groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
	for line := range strings.Lines(strings.ToValidUTF8(string(groups), "?")) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 {
			cgroups = append(cgroups, parts[2])
		}
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(comm)), "?"), cgroups
}

// allocation is the one that holds a device and in whose control group a process is: the agent
// names groups by their allocations. Without one, the longest group is the most telling.
func (p *Plugin) allocation(device string, cgroups []string) (id, cgroup string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, group := range cgroups {
		for element := range strings.SplitSeq(group, "/") {
			if slices.Contains(p.holders[element], device) {
				return element, group
			}
		}
		if len(group) > len(cgroup) {
			cgroup = group
		}
	}
	return "", cgroup
}

// findSquatters counts the processes that use a GPU without an allocation that holds it.
func (p *Plugin) findSquatters(ctx context.Context) error {
	if !p.settled() {
		return nil
	}
	measured, err := p.cfg.Library.Measure(ctx)
	if err != nil {
		return nil //nolint:nilerr // the inventory says it
	}
	p.noteIdle(measured)
	found := make(map[string]int)
	for _, m := range measured {
		for _, u := range p.uses([]Measurement{m}) {
			served := isServer(u.Command) && p.daemons.used(m.UUID)
			if u.AllocationId == "" && u.Cgroup != "" && !served {
				found[m.UUID]++
			}
		}
	}
	p.mu.Lock()
	same := len(found) == len(p.squatters)
	for gpu, n := range found {
		same = same && p.squatters[gpu] == n
	}
	p.squatters = found
	p.mu.Unlock()
	if !same {
		p.wake()
	}
	return nil
}
