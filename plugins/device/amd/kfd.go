package amd

import (
	"fmt"
	"strconv"
	"strings"

	"caravan/plugins/device/internal/sysfs"
	"caravan/plugins/sdk/pluginv1"
)

// topology is what the compute driver adds, where it runs; see the kernel's
// drivers/gpu/drm/amd/amdkfd/kfd_topology.c.
type topology struct {
	nodes map[string]kfdNode // by render node
	// direct are pairs of topology nodes with an XGMI link between them.
	direct map[[2]string]bool
}

type kfdNode struct {
	number       string
	gpuID        string // as the compute driver's files about processes name it
	address      string // of its function on the bus; partitions share one
	computeUnits int64
	gfx          string
	uuid         string // as unique_id has it, "" for none
	memoryMiB    int64  // its own, 0 where that is not told
}

// linkXGMI is the type of a direct link between two GPUs.
const linkXGMI = "11"

func (p *Plugin) topology() topology {
	t := topology{nodes: make(map[string]kfdNode), direct: make(map[[2]string]bool)}
	for _, d := range p.root.List("class", "kfd", "kfd", "topology", "nodes") {
		about := properties(d)
		minor, err := strconv.Atoi(about["drm_render_minor"])
		if err != nil || minor == 0 {
			continue // a processor
		}
		n := kfdNode{number: d.Name(), gpuID: d.Text("gpu_id"), address: busAddress(about), memoryMiB: localMemory(d)}
		if id, err := strconv.ParseUint(about["unique_id"], 10, 64); err == nil && id != 0 {
			n.uuid = fmt.Sprintf("%016x", id)
		}
		simd, err1 := strconv.ParseInt(about["simd_count"], 10, 64)
		per, err2 := strconv.ParseInt(about["simd_per_cu"], 10, 64)
		if err1 == nil && err2 == nil && per > 0 {
			n.computeUnits = simd / per
		}
		if v, err := strconv.Atoi(about["gfx_target_version"]); err == nil && v > 0 {
			n.gfx = fmt.Sprintf("gfx%d%d%x", v/10000, v/100%100, v%100)
		}
		t.nodes[fmt.Sprintf("renderD%d", minor)] = n
		for _, l := range d.Glob("io_links/*") {
			if link := properties(l); link["type"] == linkXGMI {
				t.direct[[2]string{link["node_from"], link["node_to"]}] = true
			}
		}
	}
	return t
}

// busAddress is where a node's function sits. The lower half of location_id is bus, device and
// function; above them newer kernels put the number of the partition.
func busAddress(about map[string]string) string {
	at, err := strconv.ParseUint(about["location_id"], 10, 64)
	if err != nil {
		return ""
	}
	domain, _ := strconv.ParseUint(about["domain"], 10, 32) // old kernels have but one
	return fmt.Sprintf("%04x:%02x:%02x.%x", domain, at>>8&0xff, at>>3&0x1f, at&7)
}

// localMemory adds up the banks of a GPU's own memory: heaps 1 and 2 are what processors can and
// cannot reach of it.
func localMemory(d sysfs.Dir) (mib int64) {
	for _, b := range d.Glob("mem_banks/*") {
		about := properties(b)
		if size, err := strconv.ParseInt(about["size_in_bytes"], 10, 64); err == nil && (about["heap_type"] == "1" || about["heap_type"] == "2") {
			mib += size >> 20
		}
	}
	return mib
}

// properties reads a file of lines "name value".
func properties(d sysfs.Dir) map[string]string {
	all := make(map[string]string)
	for line := range strings.Lines(d.Text("properties")) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			all[name] = value
		}
	}
	return all
}

// Scores: of what sits on one board, and what a direct link adds.
const (
	sameBoard  = 60
	directLink = 100
)

// improve raises the score of pairs that have a direct link, and of parts of one GPU, between which
// there is nothing.
func (t topology) improve(links []*pluginv1.Link, found []gpu) []*pluginv1.Link {
	by := make(map[string]gpu)
	for _, g := range found {
		by[g.id] = g
	}
	for _, l := range links {
		a, b := by[l.A], by[l.B]
		switch {
		case a.xcp > 0 && b.xcp > 0 && a.Address() == b.Address():
			l.Score = sameBoard + directLink
		case a.kfd.number != "" && (t.direct[[2]string{a.kfd.number, b.kfd.number}] || t.direct[[2]string{b.kfd.number, a.kfd.number}]):
			l.Score += directLink
		}
	}
	return links
}
