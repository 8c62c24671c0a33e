package amd

import (
	"slices"
	"strconv"

	"caravan/plugins/device/internal/sysfs"
)

// process is one that uses a GPU.
type process struct {
	pid    int64
	memory int64 // bytes of the GPU's memory, 0 where the compute driver does not tell
}

// processes returns who uses a GPU, in the order of their numbers: those of which the compute driver
// says that they have memory or queues there, and those that have its render node open.
func (p *Plugin) processes(g gpu) []process {
	by := make(map[int64]process)
	if g.kfd.gpuID != "" && g.kfd.gpuID != "0" {
		for _, d := range p.root.List("class", "kfd", "kfd", "proc") {
			pid, err := strconv.ParseInt(d.Name(), 10, 64)
			if err != nil {
				continue
			}
			memory, _ := d.Number("vram_" + g.kfd.gpuID)
			if memory > 0 || hasQueue(d, g.kfd.gpuID) {
				by[pid] = process{pid: pid, memory: memory}
			}
		}
	}
	if node, ok := g.render.Node(""); ok {
		for _, pid := range sysfs.Openers(p.proc, node) {
			if _, known := by[pid]; !known {
				by[pid] = process{pid: pid}
			}
		}
	}
	all := make([]process, 0, len(by))
	for _, one := range by {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b process) int { return int(a.pid - b.pid) })
	return all
}

// hasQueue reports whether a process of the compute driver has a queue on a GPU.
func hasQueue(d sysfs.Dir, gpuID string) bool {
	return slices.ContainsFunc(d.Glob("queues/*"), func(q sysfs.Dir) bool { return q.Text("gpuid") == gpuID })
}
