package cgroup

import (
	"fmt"

	"github.com/opencontainers/cgroups"
)

// Usage is what a group consumed since it was created.
type Usage struct {
	UserMs   int64 // CPU time in user mode, milliseconds
	SystemMs int64 // CPU time in the kernel, milliseconds
	// PeakBytes is the highest memory charge, page cache included. 0 when the kernel does
	// not keep it (v2 before Linux 5.19).
	PeakBytes int64
	// CurrentBytes is the memory charge now.
	CurrentBytes int64
	OOMKills     int64 // processes killed by the kernel because of this group's memory limit
}

const nsPerMs = 1_000_000

// Usage reads the group's accounting. It stays readable after the last process has exited,
// until Destroy.
func (g *Group) Usage() (Usage, error) {
	stats, err := g.mgr.Stats(&cgroups.StatsOptions{Controllers: cgroups.CPU | cgroups.Memory})
	if err != nil {
		return Usage{}, fmt.Errorf("cgroup %s: read usage: %w", g.path, err)
	}
	u := splitCPU(stats.CpuStats.CpuUsage)
	u.PeakBytes = int64(stats.MemoryStats.Usage.MaxUsage)
	u.CurrentBytes = int64(stats.MemoryStats.Usage.Usage)
	kills, err := g.mgr.OOMKillCount()
	if err != nil && !isGone(err) {
		return u, fmt.Errorf("cgroup %s: read OOM kills: %w", g.path, err)
	}
	u.OOMKills = int64(kills)
	return u, nil
}

// splitCPU divides the exact total by the sampled user/system ratio: v1 counts the split in
// ticks of 10 ms, so a short task would otherwise show no CPU time at all.
func splitCPU(c cgroups.CpuUsage) Usage {
	total, user, system := c.TotalUsage, c.UsageInUsermode, c.UsageInKernelmode
	if user+system == 0 {
		return Usage{UserMs: int64(total / nsPerMs)}
	}
	// In milliseconds, so that the product stays far from overflow (2^63 ms^2 is 35 days squared).
	totalMs := int64(total / nsPerMs)
	userMs := int64(float64(totalMs) * (float64(user) / float64(user+system)))
	return Usage{UserMs: userMs, SystemMs: totalMs - userMs}
}
