package cpus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"k8s.io/utils/cpuset"
)

// Node is a memory node with the processors that are next to it.
type Node struct {
	ID        int
	CPUs      cpuset.CPUSet
	MemoryMiB int64
}

// Topology is the host's memory nodes in the order of their numbers.
type Topology struct{ Nodes []Node }

// CPUs returns all processors.
func (t Topology) CPUs() cpuset.CPUSet {
	var all cpuset.CPUSet
	for _, n := range t.Nodes {
		all = all.Union(n.CPUs)
	}
	return all
}

// ReadTopology reads /sys/devices/system/node below a root, "" for the real one: the processors that
// are on line, by node. A host whose kernel has no memory nodes has one.
func ReadTopology(root string) (Topology, error) {
	dir := filepath.Join("/", root, "sys/devices/system")
	online, err := readList(filepath.Join(dir, "cpu/online"))
	if err != nil {
		return Topology{}, fmt.Errorf("processors: %w", err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "node/node[0-9]*"))
	if err != nil {
		return Topology{}, err
	}
	var t Topology
	for _, path := range found {
		id, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), "node"))
		if err != nil {
			continue
		}
		list, err := readList(filepath.Join(path, "cpulist"))
		if err != nil {
			return Topology{}, fmt.Errorf("memory node %d: %w", id, err)
		}
		if list = list.Intersection(online); list.Size() > 0 {
			t.Nodes = append(t.Nodes, Node{ID: id, CPUs: list, MemoryMiB: nodeMemoryMiB(filepath.Join(path, "meminfo"))})
		}
	}
	if len(t.Nodes) == 0 {
		t.Nodes = []Node{{CPUs: online}}
	}
	slices.SortFunc(t.Nodes, func(a, b Node) int { return a.ID - b.ID })
	if t.CPUs().Size() == 0 {
		return t, errors.New("no processor is on line")
	}
	return t, nil
}

func readList(name string) (cpuset.CPUSet, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return cpuset.New(), err
	}
	return cpuset.Parse(strings.TrimSpace(string(raw)))
}

// nodeMemoryMiB reads "Node 0 MemTotal: 65536 kB"; 0 where it is not told.
func nodeMemoryMiB(name string) int64 {
	raw, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) >= 4 && f[2] == "MemTotal:" {
			kib, err := strconv.ParseInt(f[3], 10, 64)
			if err != nil {
				return 0
			}
			return kib >> 10
		}
	}
	return 0
}
