package potential

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"sort"
)

// Weighted is a request class with how often it arrives.
type Weighted struct {
	Request Request
	Weight  int64
}

// Mix is the make-up of a workload. Classes whose weight is 0 are passed over.
type Mix []Weighted

// maxWeight keeps the sums of products of weights within 64 bits.
const maxWeight = 1 << 40

// check says what is wrong with a mix.
func (m Mix) check() error {
	var devices int64
	for i := range m {
		w := &m[i]
		r := &w.Request
		switch {
		case w.Weight < 0 || w.Weight > maxWeight:
			return fmt.Errorf("mix entry %d: weight %d is not from 0 to %d", i, w.Weight, int64(maxWeight))
		case r.CPUMilli < 0 || r.MemoryMiB < 0 || r.Devices < 0 || r.Devices > MaxDevices:
			return fmt.Errorf("mix entry %d: an amount is out of range: %+v", i, *r)
		case r.Devices > 0 && (r.Milli < 1 || r.Milli > Whole || (r.Devices > 1 && r.Milli != Whole)):
			return fmt.Errorf("mix entry %d: %d devices of %d thousandths: several devices are taken whole", i, r.Devices, r.Milli)
		}
		devices += w.Weight * r.Demand()
	}
	if devices == 0 {
		return fmt.Errorf("the mix of %d classes asks for no device: there is nothing to keep room for", len(m))
	}
	return nil
}

// draw returns classes of the mix in proportion to their weights, n sequences of length each, positions
// in m. Over all sequences together each class is drawn as often as its weight says, but for rounding, and
// the largest at least once: large requests are rare, and would otherwise be missed or doubled by chance.
// Equal arguments give equal draws, and mixes that differ little give draws that differ little, because
// each position asks for its own quantile of the mix, by size.
func (m Mix) draw(n, length int, seed uint64, devicesOnly bool) [][]int {
	bySize := make([]int, 0, len(m))
	for i := range m {
		if m[i].Weight > 0 && (!devicesOnly || m[i].Request.Devices > 0) {
			bySize = append(bySize, i)
		}
	}
	slices.SortStableFunc(bySize, func(a, b int) int {
		q, r := &m[a].Request, &m[b].Request
		return cmp.Or(cmp.Compare(q.Demand(), r.Demand()), cmp.Compare(q.CPUMilli, r.CPUMilli), cmp.Compare(q.MemoryMiB, r.MemoryMiB))
	})
	cumulative := make([]int64, len(bySize))
	var sum int64
	for k, i := range bySize {
		sum += m[i].Weight
		cumulative[k] = sum
	}
	total := n * length
	order := make([]int, total)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(mixBits(seed+uint64(a)), mixBits(seed+uint64(b))), a-b)
	})
	drawn := make([]int, total)
	for rank, position := range order {
		high, low := bits.Mul64(uint64(sum), uint64(rank+1))
		quantile, _ := bits.Div64(high, low, uint64(total)) // 1 to sum, or 0 in a mix of next to nothing
		drawn[position] = bySize[sort.Search(len(bySize)-1, func(k int) bool { return cumulative[k] >= int64(quantile) })]
	}
	out := make([][]int, n)
	for k := range out {
		out[k] = drawn[k*length : (k+1)*length]
	}
	return out
}

// mixBits is the finaliser of SplitMix64 (Steele et al., OOPSLA 2014): a hash of one word.
func mixBits(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
