package amd

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"caravan/plugins/device/internal/sysfs"
)

// divided reports whether the GPU runs as several: its compute mode is not SPX, the single partition.
func (g gpu) divided() bool {
	mode := strings.ToUpper(g.Text("current_compute_partition"))
	return mode != "" && mode != "SPX" && mode != "UNKNOWN"
}

// partitions returns the parts of a divided GPU. The first has the function's own DRM nodes, the
// others those of platform devices, amdgpu_xcp_N, which do not say whose parts they are; the compute
// driver does: each part is a node of its topology at the address of the function.
func (p *Plugin) partitions(whole gpu, kfd topology) ([]gpu, error) {
	var nodes []string // render nodes
	for render, n := range kfd.nodes {
		if n.address == whole.Address() {
			nodes = append(nodes, render)
		}
	}
	slices.SortFunc(nodes, func(a, b string) int { return cmp.Compare(number(kfd.nodes[a].number), number(kfd.nodes[b].number)) })
	if len(nodes) < 2 {
		return nil, fmt.Errorf("%s %s is divided (%s), and the compute driver does not tell its parts: load it, or set the GPU to SPX",
			whole.model, whole.Address(), strings.ToLower(whole.Text("current_compute_partition")))
	}
	drm := make(map[string]sysfs.Dir)
	for _, d := range p.root.List("class", "drm") {
		drm[d.Name()] = d
	}
	var all []gpu
	for i, render := range nodes {
		g := whole
		g.xcp, g.parts, g.kfd = i+1, len(nodes), kfd.nodes[render]
		g.id = fmt.Sprintf("%s.xcp%d", whole.id, i)
		if drm[render] == "" {
			return nil, fmt.Errorf("%s %s: its part %d has no node %s", whole.model, whole.Address(), i, render)
		}
		g.card, g.render = drmNodes(sysfs.Dir(strings.TrimSuffix(string(drm[render]), "/"+render)))
		all = append(all, g)
	}
	return all, nil
}

// number reads a node's number; what is none comes first.
func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}
