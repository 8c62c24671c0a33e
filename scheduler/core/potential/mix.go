package potential

import (
	"fmt"
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

// draw returns classes of the mix in proportion to their weights, n sequences of length each,
// positions in m. Equal arguments give equal draws, and mixes that differ little give draws that
// differ little, because each position asks its own random number.
func (m Mix) draw(n, length int, seed uint64, devicesOnly bool) [][]int {
	cumulative := make([]int64, len(m))
	var sum int64
	for i := range m {
		if !devicesOnly || m[i].Request.Devices > 0 {
			sum += m[i].Weight
		}
		cumulative[i] = sum
	}
	out := make([][]int, n)
	for k := range out {
		out[k] = make([]int, length)
		for i := range out[k] {
			u := int64(mixBits(seed+uint64(k)<<32+uint64(i)) % uint64(sum))
			out[k][i] = sort.Search(len(m), func(c int) bool { return cumulative[c] > u })
		}
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
