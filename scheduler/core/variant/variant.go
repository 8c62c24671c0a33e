// Package variant chooses how a task is run when its group offers several
// ways. Without a price weight it is the fastest variant that fits now; with one
// it is that whose time, and price in time, for the same work are least. Among
// equals it is the cheapest, by the hourly price of the share of the node that
// it would take; then the one with the shorter set-up; then the one named
// first. core calls it for every task that it places.
package variant

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

// MaxPriceWeight is the largest price weight.
const MaxPriceWeight = 86_400_000

// Tiers returns the positions of a group's variants, those that are to be
// compared by their offers together. Without a price weight these are the ones
// of equal speed, the fastest first; with one it is all.
func Tiers(g *model.TaskGroup, priceWeight int64) [][]int {
	order := make([]int, len(g.Variants))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(Speed(&g.Variants[b]), Speed(&g.Variants[a]))
	})
	var tiers [][]int
	for i, v := range order {
		if i == 0 || priceWeight <= 0 && Speed(&g.Variants[v]) != Speed(&g.Variants[order[i-1]]) {
			tiers = append(tiers, nil)
		}
		k := len(tiers) - 1
		tiers[k] = append(tiers[k], v)
	}
	return tiers
}

// Speed returns a variant's relative speed in thousandths, 1000 when unset.
func Speed(v *model.Variant) int32 {
	if v.SpeedPermille <= 0 {
		return 1000
	}
	return v.SpeedPermille
}

// Offer is a variant together with the node that it would run on.
type Offer struct {
	Variant int
	// PriceMicro is as Price returns it.
	PriceMicro int64
	Setup      model.Duration
	// Speed is as Speed returns it.
	Speed int32
}

// Better reports whether offer a is to be preferred to b, both of one tier.
// priceWeight is seconds for a unit of currency.
func Better(a, b Offer, priceWeight int64) bool {
	return cmp.Or(
		a.compareCost(b, min(priceWeight, MaxPriceWeight)),
		cmp.Compare(a.PriceMicro, b.PriceMicro),
		cmp.Compare(a.Setup, b.Setup),
		cmp.Compare(a.Variant, b.Variant),
	) < 0
}

// compareCost compares what an hour's work of an ordinary variant costs in time:
// the time itself, and the money at priceWeight. An unknown price is dearer than
// any known.
func (a Offer) compareCost(b Offer, priceWeight int64) int {
	if priceWeight <= 0 {
		return 0
	}
	if unknown := a.PriceMicro == math.MaxInt64; unknown != (b.PriceMicro == math.MaxInt64) {
		if unknown {
			return 1
		}
		return -1
	}
	aHi, aLo := bits.Mul64(a.hour(priceWeight), uint64(max(1, b.Speed))) //nolint:gosec // positive
	bHi, bLo := bits.Mul64(b.hour(priceWeight), uint64(max(1, a.Speed))) //nolint:gosec // positive
	return cmp.Or(cmp.Compare(aHi, bHi), cmp.Compare(aLo, bLo))
}

// hour returns millionths of a second that an hour costs, capped where no price is.
func (a Offer) hour(priceWeight int64) uint64 {
	const second, hour = 1_000_000, 3600
	if a.PriceMicro == math.MaxInt64 {
		return hour * second
	}
	hi, lo := bits.Mul64(uint64(max(0, a.PriceMicro)), uint64(priceWeight)) //nolint:gosec // positive
	if hi > 0 || lo > math.MaxInt64-hour*second {
		return math.MaxInt64
	}
	return hour*second + lo
}

// Price returns millionths of the currency unit for an hour of one task of
// class c on node n: the node's price times the largest share that the task
// takes of its cores, memory or devices; all of it for a task that has the node
// to itself. A node without a price counts as
// dearer than any with one.
func Price(c *request.Class, n *model.Node) int64 {
	if n.PriceMicroPerHour <= 0 {
		return math.MaxInt64
	}
	var offered int64
	for i := range n.Devices {
		offered += int64(n.Devices[i].Thousandths)
	}
	if c.Exclusive {
		return n.PriceMicroPerHour
	}
	share := max(
		permyriad(c.CPUMilli, n.CPUMilli),
		permyriad(c.MemoryMiB, n.MemoryMiB),
		permyriad(c.DevicesMilli(), offered),
	)
	return n.PriceMicroPerHour / 10_000 * share
}

// permyriad returns part of whole in ten-thousandths, rounded up.
func permyriad(part, whole int64) int64 {
	if part <= 0 || whole <= 0 {
		return 0
	}
	return (part*10_000 + whole - 1) / whole
}
