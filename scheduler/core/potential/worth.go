package potential

import (
	"cmp"
	"slices"
)

// worth says by thousandths of a device what that much of one is worth when it is filled with parts as a
// stream asks for them, in thousandths of a device. It is what the best filling fetches at prices at which no
// filling of a device fetches more than the device: prices that solve the linear program of filling as few
// devices as possible (Gilmore and Gomory, "A linear programming approach to the cutting-stock problem",
// 1961), mixed with the size itself. So a piece is worth at least what its pieces are worth, a part
// that leaves a remainder nobody asks for is worth the remainder, too, and parts that find room in such
// remainders anyhow are worth little.
type worth [Whole + 1]uint16

// part is how often the mix asks for a part of a device.
type part struct {
	milli  int
	share  int64 // in millionths of all parts
	price  int64 // in millionths of a device
	sum    int64 // of the prices so far
	chosen int64 // how often the best filling has it
}

// Bounds of the search for prices.
const (
	maxParts = 48
	// pricing is the steps that a search may take: size by size and step of the device by step, so
	// that taking up a mix costs at most a few milliseconds for each model.
	pricing                = 2_000_000
	leastRounds, mostRound = 64, 400
	// leastPrice keeps a price from never rising again.
	leastPrice = 100
)

// worthOf returns what parts of a model's devices are worth to a stream of the mix.
func (p *Potential) worthOf(model uint8) *worth {
	f := new(worth)
	for m := range f {
		f[m] = uint16(m)
	}
	parts := p.parts(model)
	device := int(p.models[model].Milli)
	if len(parts) == 0 {
		return f
	}
	step := device
	for i := range parts {
		step = gcd(step, parts[i].milli)
	}
	fill := newFilling(parts, device/step, step)
	fill.price()
	for m := range f[:device+1] {
		f[m] = uint16((fill.best[m/step]*int64(device)/million + int64(m)) / 2)
	}
	return f
}

// parts returns the fractions that a stream asks of a model's devices, the dearest at most maxParts.
func (p *Potential) parts(model uint8) []part {
	var parts []part
	for i := range p.mix {
		o, fits := p.offer(&p.mix[i].Request, model)
		if !fits || o.devices != 1 || int64(o.milli) >= p.models[model].Milli {
			continue
		}
		at := slices.IndexFunc(parts, func(q part) bool { return q.milli == int(o.milli) })
		if at < 0 {
			at = len(parts)
			parts = append(parts, part{milli: int(o.milli)})
		}
		parts[at].share += p.mix[i].Weight
	}
	slices.SortFunc(parts, func(a, b part) int {
		return cmp.Or(cmp.Compare(b.share*int64(b.milli), a.share*int64(a.milli)), cmp.Compare(a.milli, b.milli))
	})
	parts = parts[:min(len(parts), maxParts)]
	var total int64
	for i := range parts {
		total += parts[i].share
	}
	for i := range parts {
		parts[i].share = max(1, fraction(parts[i].share, total))
	}
	return parts
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// filling is the search for prices of the parts of one device.
type filling struct {
	parts []part
	step  int
	// best is what the best filling of a part of the device fetches, by its steps, and last the part
	// that was put in last, -1 for none.
	best []int64
	last []int
}

func newFilling(parts []part, steps, step int) *filling {
	for i := range parts {
		parts[i].price = int64(parts[i].milli/step) * million / int64(steps)
	}
	return &filling{parts: parts, step: step, best: make([]int64, steps+1), last: make([]int, steps+1)}
}

// price finds prices by multiplicative weights (Plotkin, Shmoys and Tardos, "Fast approximation algorithms
// for fractional packing and covering problems", 1995): what the best filling has more of than is asked for
// becomes cheaper, what it has less of dearer, by ever less. The result is the mean over the rounds but the
// first quarter, and best is what it makes of the device.
func (f *filling) price() {
	rounds := min(mostRound, max(leastRounds, pricing/(len(f.parts)*len(f.best))))
	for round := range rounds {
		full := f.solve()
		var devices int64 // that are needed at least, in millionths
		for i := range f.parts {
			q := &f.parts[i]
			q.price = max(leastPrice, q.price*million/full)
			devices += q.share * q.price / million
			if round >= rounds/4 {
				q.sum += q.price
			}
		}
		rate := squareRoot(150_000 * 150_000 / int64(1+round))
		for i := range f.parts {
			q := &f.parts[i]
			excess := (q.chosen*devices - q.share) * million / (q.share + devices/50 + 1)
			q.price -= q.price * min(million, max(-million, excess)) / million * rate / million
		}
	}
	for i := range f.parts {
		f.parts[i].price = f.parts[i].sum / int64(rounds-rounds/4)
	}
	full := f.solve()
	for i := range f.best {
		f.best[i] = f.best[i] * million / full
	}
}

// solve finds the best fillings at the present prices and returns what one of the whole device fetches.
func (f *filling) solve() int64 {
	for at := range f.best {
		f.best[at], f.last[at] = 0, -1
		if at > 0 {
			f.best[at] = f.best[at-1]
		}
		for i := range f.parts {
			q := &f.parts[i]
			if k := q.milli / f.step; k <= at && f.best[at-k]+q.price > f.best[at] {
				f.best[at], f.last[at] = f.best[at-k]+q.price, i
			}
		}
	}
	for i := range f.parts {
		f.parts[i].chosen = 0
	}
	for at := len(f.best) - 1; at > 0; {
		if f.last[at] < 0 {
			at--
			continue
		}
		q := &f.parts[f.last[at]]
		q.chosen++
		at -= q.milli / f.step
	}
	return f.best[len(f.best)-1]
}
