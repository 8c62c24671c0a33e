// Package generate makes fleets and pod lists for the packing simulator, so that it can be run where
// no trace is at hand.
//
// Openb follows the published shape of Alibaba's 2023 production trace (Weng et al., USENIX ATC
// 2023, section 2 and table 1): 1,213 nodes with 6,212 GPUs of seven models, and 8,152 pods of which
// most take one GPU or a part of one. It is not that trace: sizes are drawn from rounded
// distributions, and figures measured on it stand beside other figures measured on it only.
// Families makes a fleet of catalogue machines and a mix of training, rendering, transcoding,
// genomics and FPGA prediction for it.
//
// Everything is integers, and equal parameters with an equal seed give equal lists on every platform.
// Callers: the command line and tests.
package generate

import "math/rand/v2"

// dice draws from weighted lists. It belongs to one goroutine.
type dice struct{ source *rand.PCG }

func newDice(seed uint64, stream uint64) *dice {
	return &dice{rand.NewPCG(seed, stream)}
}

// below returns a number from 0 to n-1. The bias of the remainder is far below what a mix of a few
// thousand pods can show, and the result depends on the generator's published definition alone.
func (d *dice) below(n int64) int64 { return int64(d.source.Uint64() % uint64(n)) }

// chance reports true in permille of 1000 cases.
func (d *dice) chance(permille int64) bool { return d.below(1000) < permille }

// choice is a value with a weight.
type choice struct{ value, weight int64 }

// pick draws a value in proportion to its weight.
func (d *dice) pick(from []choice) int64 {
	var sum int64
	for _, c := range from {
		sum += c.weight
	}
	at := d.below(sum)
	for _, c := range from {
		if at -= c.weight; at < 0 {
			return c.value
		}
	}
	return from[len(from)-1].value
}

// shuffled returns the numbers from 0 to n-1 in random order.
func (d *dice) shuffled(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
		j := d.below(int64(i + 1))
		order[i], order[j] = order[j], order[i]
	}
	return order
}
