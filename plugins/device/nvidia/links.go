package nvidia

import (
	"cmp"

	"caravan/plugins/device/internal/sysfs"
	"caravan/plugins/sdk/pluginv1"
)

// nearest is the score of two GPUs on one board. Each level of the PCI tree that lies between two
// takes ten off (see Level): one switch 50, ..., another processor 10.
const nearest = 60

// directLink is what each direct link adds to a score.
const directLink = 100

// links scores every two of the GPUs on the contract's scale, higher being closer.
func (h Host) links(root sysfs.Root) []*pluginv1.Link {
	level := make(map[[2]string]int)
	for _, l := range h.Levels {
		level[[2]string{l.A, l.B}] = l.Ancestor
		level[[2]string{l.B, l.A}] = l.Ancestor
	}
	functions := make(map[string]sysfs.PCI)
	for _, f := range root.PCI() {
		functions[f.Address()] = f
	}
	var links []*pluginv1.Link
	for i, a := range h.GPUs {
		for _, b := range h.GPUs[i+1:] {
			if a.divided() || b.divided() {
				continue // instances cannot reach each other
			}
			score := int32(0)
			fa, ok1 := functions[a.PCI]
			fb, ok2 := functions[b.PCI]
			if ancestor, told := level[[2]string{a.UUID, b.UUID}]; told {
				score = int32(min(max(nearest-ancestor, 10), nearest)) //nolint:gosec // 10 to 60
			} else if ok1 && ok2 {
				score = sysfs.Near(fa, fb) // an old driver does not tell
			}
			if score += directLink * int32(directLinks(a, b)); score > 0 { //nolint:gosec // a GPU has at most 36 links
				links = append(links, &pluginv1.Link{A: min(a.UUID, b.UUID), B: max(a.UUID, b.UUID), Score: score})
			}
		}
	}
	return links
}

// directLinks counts the NVLinks between two GPUs: those that end at the other, or, where both hang
// on switches, those of the one that has fewer.
func directLinks(a, b GPU) int {
	direct := 0
	var switched [2]int
	for _, l := range a.NVLinks {
		switch {
		case !l.Active:
		case l.Switch:
			switched[0]++
		case l.Remote != "" && pciDevice(l.Remote) == pciDevice(b.PCI):
			direct++
		}
	}
	for _, l := range b.NVLinks {
		if l.Active && l.Switch {
			switched[1]++
		}
	}
	return cmp.Or(direct, min(switched[0], switched[1]))
}

// divided says that a GPU is offered as instances.
func (g GPU) divided() bool { return g.MIG != nil && g.MIG.Enabled }
