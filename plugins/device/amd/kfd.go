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
	computeUnits int64
	gfx          string
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
		n := kfdNode{number: d.Name()}
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

// directLink is what a direct link adds to a score.
const directLink = 100

// improve raises the score of pairs that have a direct link.
func (t topology) improve(links []*pluginv1.Link, found []gpu) []*pluginv1.Link {
	number := make(map[string]string)
	for _, g := range found {
		number[g.id] = t.nodes[g.render.Name()].number
	}
	for _, l := range links {
		a, b := number[l.A], number[l.B]
		if t.direct[[2]string{a, b}] || t.direct[[2]string{b, a}] {
			l.Score += directLink
		}
	}
	return links
}
