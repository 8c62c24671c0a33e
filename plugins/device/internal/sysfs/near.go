package sysfs

import (
	"slices"
	"strings"

	"caravan/plugins/sdk/pluginv1"
)

// Scores of how near two functions are, the scale of the contract.
const (
	otherProcessor = 10
	sameProcessor  = 20
	sameHostBridge = 30
	severalSwitch  = 40
	oneSwitch      = 50
)

// Near scores the way between two functions by the tree that the kernel shows them in:
// /sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0 is bridge by bridge the way to the processor.
func Near(a, b PCI) int32 {
	wayA, wayB := way(a.Dir), way(b.Dir)
	shared := 0
	for shared < len(wayA) && shared < len(wayB) && wayA[shared] == wayB[shared] {
		shared++
	}
	switch {
	case shared > 1 && shared >= len(wayA)-2 && shared >= len(wayB)-2:
		return oneSwitch // below the root port only the switch's own two ports differ
	case shared > 1:
		return severalSwitch
	case shared == 1:
		return sameHostBridge
	case a.NUMANode() >= 0 && a.NUMANode() == b.NUMANode():
		return sameProcessor
	}
	return otherProcessor
}

// way is the host bridge and the functions from there on.
func way(d Dir) []string {
	parts := strings.Split(string(d), "/")
	i := slices.IndexFunc(parts, func(p string) bool { return strings.HasPrefix(p, "pci") && strings.Contains(p, ":") })
	if i < 0 {
		return nil
	}
	return parts[i:]
}

// Links scores every two of the functions; ids are what their devices are called.
func Links(functions []PCI, ids []string) []*pluginv1.Link {
	var links []*pluginv1.Link
	for i := range functions {
		for j := i + 1; j < len(functions); j++ {
			links = append(links, &pluginv1.Link{A: ids[i], B: ids[j], Score: Near(functions[i], functions[j])})
		}
	}
	return links
}
