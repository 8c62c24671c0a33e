package potential

import "math/bits"

// stream is the sequences as nodes of one model see them: without what never fits there. Each sequence is
// cut into blocks of up to 64 offers, with masks that name, by what is left, all offers of a block that may
// fit: a valuation steps from one such offer to the next instead of trying each. What a mask names may
// still be too large by a part of its step.
//
// Masks stand by step first and by block second, because neighbouring sequences have much the same left
// when they are valued one after the other.
type stream struct {
	// ends[k] is where the blocks of sequence k end; the first half are of all requests, the rest of
	// device requests.
	ends   []int
	offers [][]offer
	// worth is what parts of a device are worth to it.
	worth *worth
	// wanting names the offers of a block that want devices.
	wanting          []uint64
	byCPU, byMemory  []uint64
	byWhole, bySplit []uint64 // by wholly free devices; by the largest part of a device when there are none
}

// offer is one request of a sequence, as small as it can be.
type offer struct {
	cpuMilli, memoryMiB int32
	milli               uint16 // 0 without devices
	devices             uint8
	// worth is what the offer is worth, in thousandths of a device.
	worth int32
}

// Widths of the masks' steps. Those of cores and memory are four to each doubling, the first of
// 2^cpuShift thousandths of a core and 2^memoryShift MiB; the last holds all beyond.
const (
	steps       = 48
	cpuShift    = 7
	memoryShift = 8
	splitStep   = 32
	splitSteps  = Whole/splitStep + 1
)

// step returns the step of an amount, which does not fall with the amount.
func step(n int32, shift uint) int {
	x := uint32(n) >> shift
	if x < 4 {
		return int(x)
	}
	l := bits.Len32(x)
	return min(steps-1, (l-2)<<2|int(x>>(l-3))&3)
}

// stream returns the stream of a model; models that see the same share one.
func (p *Potential) stream(model uint8) *stream {
	for other, st := range p.streams {
		if st != nil && p.alike(model, uint8(other)) {
			return st
		}
	}
	st := &stream{worth: p.worthOf(model)}
	for _, sequences := range [...][][]int{p.all, p.devices} {
		for _, sequence := range sequences {
			begin := len(st.offers)
			for _, at := range sequence {
				o, fits := p.offer(&p.mix[at].Request, model)
				if !fits {
					continue
				}
				if n := len(st.offers); n == begin || len(st.offers[n-1]) == 64 {
					st.offers = append(st.offers, nil)
				}
				o.worth = int32(o.devices) * int32(st.worth[o.milli])
				last := &st.offers[len(st.offers)-1]
				*last = append(*last, o)
			}
			st.ends = append(st.ends, len(st.offers))
		}
	}
	st.mask()
	return st
}

// alike reports whether all requests look the same to two models that offer as much.
func (p *Potential) alike(a, b uint8) bool {
	if p.models[a].Milli != p.models[b].Milli {
		return false
	}
	for i := range p.mix {
		ofA, fitsA := p.offer(&p.mix[i].Request, a)
		ofB, fitsB := p.offer(&p.mix[i].Request, b)
		if fitsA != fitsB || fitsA && ofA != ofB {
			return false
		}
	}
	return true
}

// offer returns a request as nodes of a model see it; fits is false when it fits none of them.
func (p *Potential) offer(r *Request, model uint8) (o offer, fits bool) {
	if r.CPUMilli > limit || r.MemoryMiB > limit {
		return o, false
	}
	o = offer{cpuMilli: int32(r.CPUMilli), memoryMiB: int32(r.MemoryMiB), milli: uint16(r.Milli), devices: uint8(r.Devices)}
	if r.Devices == 0 {
		return o, true
	}
	if r.Models&(1<<model) == 0 {
		return o, false
	}
	o.milli = p.weight(r, model)
	return o, o.milli <= Whole
}

// mask enters all offers in the masks.
func (st *stream) mask() {
	n := len(st.offers)
	st.wanting = make([]uint64, n)
	st.byCPU, st.byMemory = make([]uint64, steps*n), make([]uint64, steps*n)
	st.byWhole, st.bySplit = make([]uint64, (MaxDevices+1)*n), make([]uint64, splitSteps*n)
	for b, offers := range st.offers {
		for i, o := range offers {
			bit := uint64(1) << i
			enter := func(masks []uint64, from int) {
				for at := from*n + b; at < len(masks); at += n {
					masks[at] |= bit
				}
			}
			enter(st.byCPU, step(o.cpuMilli, cpuShift))
			enter(st.byMemory, step(o.memoryMiB, memoryShift))
			enter(st.byWhole, int(o.devices))
			if o.devices > 0 {
				st.wanting[b] |= bit
			}
			if o.milli < Whole {
				enter(st.bySplit, int(o.milli)/splitStep)
			}
		}
	}
}

// fits names the offers of a block that may fit what is left.
func (st *stream) fits(b int, left *remains) uint64 {
	n := len(st.wanting)
	may := st.byCPU[step(left.cpuMilli, cpuShift)*n+b] & st.byMemory[step(left.memoryMiB, memoryShift)*n+b]
	if left.whole > 0 {
		return may & st.byWhole[left.whole*n+b]
	}
	var most uint16
	for _, f := range left.split[:left.splits] {
		most = max(most, f)
	}
	return may & st.bySplit[int(most/splitStep)*n+b]
}

// remains is a state in the form that a valuation works on.
type remains struct {
	cpuMilli, memoryMiB int32
	whole               int
	split               [MaxDevices]uint16
	splits              int
}

func newRemains(s *stock) remains {
	r := remains{
		cpuMilli: int32(max(-1, min(s.cpuMilli, limit))), memoryMiB: int32(max(-1, min(s.memoryMiB, limit))),
		whole: s.whole(),
	}
	for _, f := range s.free[r.whole:] {
		if f == 0 {
			break
		}
		r.split[r.splits] = f
		r.splits++
	}
	return r
}

// fill offers the blocks of one sequence to a copy of what remains and returns what it takes is worth.
func (left remains) fill(st *stream, from, end int) (taken int64) {
	for b := from; b < end; b++ {
		offers, wanting := st.offers[b], st.wanting[b]
		for may := st.fits(b, &left); may&wanting != 0; {
			o := &offers[bits.TrailingZeros64(may)]
			may &= may - 1
			if o.cpuMilli > left.cpuMilli || o.memoryMiB > left.memoryMiB || o.devices > 0 && !left.take(o) {
				continue
			}
			taken += int64(o.worth)
			left.cpuMilli -= o.cpuMilli
			left.memoryMiB -= o.memoryMiB
			may &= st.fits(b, &left)
		}
	}
	return taken
}

// take gives devices to an offer: to a fraction the split device with the least left that takes it,
// else a whole one to split.
func (left *remains) take(o *offer) bool {
	if o.milli == Whole {
		if int(o.devices) > left.whole {
			return false
		}
		left.whole -= int(o.devices)
		return true
	}
	best := -1
	for d := range left.split[:left.splits] {
		if left.split[d] >= o.milli && (best < 0 || left.split[d] < left.split[best]) {
			best = d
		}
	}
	switch {
	case best >= 0:
		left.split[best] -= o.milli
	case left.whole > 0:
		left.whole--
		left.split[left.splits] = Whole - o.milli
		left.splits++
	default:
		return false
	}
	return true
}
