package nvidia

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"caravan/plugins/sdk/pluginv1"
)

// Codes of signals; those of Xids are xidCode's. The health policy has a row for each.
const (
	codeLost           = "gpu-lost"
	codeNotAnswering   = "not-answering"
	codeUncorrected    = "gpu-ecc-uncorrected"
	codeCorrected      = "gpu-ecc-corrected"
	codeRemapPending   = "gpu-remap-pending"
	codeRemapFailed    = "gpu-remap-failed"
	codeRetired        = "gpu-pages-retired"
	codeRetirePending  = "gpu-page-retirement-pending"
	codeSlowdown       = "gpu-hw-slowdown"
	codeHot            = "over-temperature"
	codeNarrow         = "pcie-narrow"
	codeNVLinkDown     = "nvlink-down"
	codeSwitch         = "sxid-fatal"
	codeRecoveryPrefix = "gpu-recovery-"
)

// xidCode is the signal of an Xid.
func xidCode(n uint64) string { return fmt.Sprintf("%s%d", xidPrefix, n) }

const xidPrefix = "xid-"

// Corrected errors are told in steps, so that each one is not a change of the inventory.
const correctedStep = 100

// Reasons of the driver for holding clocks down that tell of trouble in hardware.
const (
	ThrottleHardware   = "hw-slowdown"
	ThrottleThermal    = "hw-thermal-slowdown"
	ThrottlePowerBrake = "hw-power-brake"
)

// signals are what is wrong with a GPU now, as the driver shows it.
func (g GPU) signals() []*pluginv1.Signal {
	var seen []*pluginv1.Signal
	say := func(code string, count int64, format string, args ...any) {
		seen = append(seen, &pluginv1.Signal{Code: code, Count: count, Detail: fmt.Sprintf(format, args...)})
	}
	ill := g.Illness
	if g.Lost {
		say(codeLost, 0, "the driver has lost the GPU at %s", g.PCI)
	}
	if g.NotAnswering {
		say(codeNotAnswering, 0, "a call about the GPU at %s has not come back", g.PCI)
	}
	if ill.Uncorrected > 0 {
		say(codeUncorrected, ill.Uncorrected, "%d uncorrected memory errors since the driver was loaded", ill.Uncorrected)
	}
	if steps := ill.Corrected / correctedStep; steps > 0 {
		say(codeCorrected, steps*correctedStep, "%d or more corrected memory errors since the driver was loaded", steps*correctedStep)
	}
	if ill.RemapFailed {
		say(codeRemapFailed, 0, "a faulty row of memory could not be remapped")
	}
	if ill.RemapPending {
		say(codeRemapPending, 0, "a row of memory is remapped at the next reset")
	}
	if ill.RetiredPages > 0 {
		say(codeRetired, ill.RetiredPages, "%d pages of memory are retired", ill.RetiredPages)
	}
	if ill.RetirePending {
		say(codeRetirePending, 0, "a page of memory is retired at the next reset")
	}
	if ill.Recovery != "" {
		say(codeRecoveryPrefix+ill.Recovery, 0, "the driver asks for %s", ill.Recovery)
	}
	var slow []string
	for _, why := range ill.Throttle {
		if why == ThrottleHardware || why == ThrottleThermal || why == ThrottlePowerBrake {
			slow = append(slow, why)
		}
	}
	if len(slow) > 0 {
		say(codeSlowdown, 0, "the hardware holds the clocks down: %s", strings.Join(slow, ", "))
	}
	if ill.Hot {
		say(codeHot, 0, "it has reached %d degrees C, at which it slows down", ill.HotAt)
	}
	if l := g.Link; l.Width > 0 && l.Width < l.MaxWidth {
		say(codeNarrow, 0, "the link has %d lanes of %d", l.Width, l.MaxWidth)
	}
	if down := g.downLinks(); down != "" {
		say(codeNVLinkDown, 0, "NVLinks %s are down while others are up", down)
	}
	return seen
}

// downLinks are the NVLinks that are down though others of the GPU are up: without any, the board
// has none connected.
func (g GPU) downLinks() string {
	var down []string
	up := false
	for _, l := range g.NVLinks {
		if l.Active {
			up = true
		} else if l.Remote != "" || l.Switch {
			down = append(down, fmt.Sprint(l.Link))
		}
	}
	if !up {
		return ""
	}
	return strings.Join(down, ", ")
}

// sortSignals puts Xids first: they name the cause, and what is read of the GPU is what follows.
func sortSignals(all []*pluginv1.Signal) {
	slices.SortFunc(all, func(a, b *pluginv1.Signal) int {
		xid := func(s *pluginv1.Signal) int { return strings.Index(s.Code+xidPrefix, xidPrefix) }
		return cmp.Or(cmp.Compare(min(xid(a), 1), min(xid(b), 1)), cmp.Compare(a.Code, b.Code))
	})
}
