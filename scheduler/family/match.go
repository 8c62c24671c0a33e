package family

import (
	"cmp"
	"slices"
	"strings"
)

// Facts are what a host tells of itself.
type Facts struct {
	VCPU   int64
	MemMiB int64  // as the kernel counts it, which is a little less than what was bought
	CPU    string // model name of the processor, "" unknown
	// Devices are the thousandths of each part, all devices added up.
	Devices map[string]int64
}

// Of the memory of a type, a host may show so many thousandths: firmware and kernel keep the rest,
// most of it (crash kernels, large page tables) on small hosts.
const (
	leastMemMilli = 850
	mostMemMilli  = 1010
)

// Match returns the types that a host can be, the most likely first; nothing when there is none.
//
// The number of virtual CPUs and the amount of each device must be the same, and the memory within
// 85 to 101 per cent of the type's. Of those, types whose family names the host's processor leave out
// all others. What is then left is ordered: published before modelled families, the nearest amount of
// memory, the name. More than one left means that the facts do not tell: an operator does better to
// name the type.
func (c *Catalogue) Match(f Facts) []Type {
	var found, ofCPU []Type
	for _, family := range c.familyNames {
		for _, t := range c.families[family].Types {
			if t.VCPU != f.VCPU || f.MemMiB < t.MemMiB*leastMemMilli/1000 || f.MemMiB > t.MemMiB*mostMemMilli/1000 || !sameDevices(t, f.Devices) {
				continue
			}
			found = append(found, t)
			if sameCPU(c.families[family].CPU, f.CPU) {
				ofCPU = append(ofCPU, t)
			}
		}
	}
	if len(ofCPU) > 0 {
		found = ofCPU
	}
	slices.SortFunc(found, func(a, b Type) int {
		return cmp.Or(
			compareBool(c.families[a.Family].Modelled, c.families[b.Family].Modelled),
			cmp.Compare(abs(a.MemMiB-f.MemMiB), abs(b.MemMiB-f.MemMiB)),
			cmp.Compare(a.Name, b.Name),
		)
	})
	return found
}

func sameDevices(t Type, have map[string]int64) bool {
	if len(t.Devices) != len(have) {
		return false
	}
	for _, s := range t.Devices {
		if have[s.Part.Name] != s.Thousandths {
			return false
		}
	}
	return true
}

// sameCPU compares "E5-2682v4" with "Intel(R) Xeon(R) CPU E5-2682 v4 @ 2.50GHz".
func sameCPU(family, host string) bool {
	plain := strings.NewReplacer(" ", "", "-", "")
	return family != "" && strings.Contains(strings.ToLower(plain.Replace(host)), strings.ToLower(plain.Replace(family)))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func abs(n int64) int64 { return max(n, -n) }
