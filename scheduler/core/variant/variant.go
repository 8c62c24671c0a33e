// Package variant chooses how a task is run when its group offers several
// ways: the fastest variant that fits now; among equally fast ones the
// cheapest, by the hourly price of the share of the node that it would take;
// then the one with the shorter set-up; then the one named first. core calls
// it for every task that it places.
package variant

import (
	"cmp"
	"math"
	"slices"

	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

// Tiers returns the positions of a group's variants, those of equal speed
// together, the fastest first.
func Tiers(g *model.TaskGroup) [][]int {
	order := make([]int, len(g.Variants))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(Speed(&g.Variants[b]), Speed(&g.Variants[a]))
	})
	var tiers [][]int
	for i, v := range order {
		if i == 0 || Speed(&g.Variants[v]) != Speed(&g.Variants[order[i-1]]) {
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
}

// Better reports whether offer a is to be preferred to b, both of one tier.
func Better(a, b Offer) bool {
	return cmp.Or(
		cmp.Compare(a.PriceMicro, b.PriceMicro),
		cmp.Compare(a.Setup, b.Setup),
		cmp.Compare(a.Variant, b.Variant),
	) < 0
}

// Price returns millionths of the currency unit for an hour of one task of
// class c on node n: the node's price times the largest share that the task
// takes of its cores, memory or devices. A node without a price counts as
// dearer than any with one.
func Price(c *request.Class, n *model.Node) int64 {
	if n.PriceMicroPerHour <= 0 {
		return math.MaxInt64
	}
	var offered int64
	for i := range n.Devices {
		offered += int64(n.Devices[i].Thousandths)
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
