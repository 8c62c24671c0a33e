package potential

import "slices"

// Bounds of the kinds of demand that have a price of their own; the greatest shares are kept.
const maxModelKinds = 16

// million is the unit of shares and prices.
const million = 1_000_000

// prices keeps what room there is for demand that is served by some room only, and what it costs.
type prices struct {
	cfg    PriceConfig
	whole  [MaxDevices + 1]kind // by number of whole devices, 0 unused
	models []kind
	room   room
	// epoch counts the refreshes, from 1.
	epoch   uint32
	changes int
	// held prices are not computed again, however much changes.
	held bool
}

// kind is demand that some room alone can serve.
type kind struct {
	models uint64
	share  int64 // of the device demand, in millionths
	lump   int64 // thousandths of a typical request
	price  int64 // of its room, in millionths of what the room holds
}

// room counts what is free over all nodes.
type room struct {
	withWhole [MaxDevices + 1]int64 // nodes by number of wholly free devices
	idle      [MaxModels]int64      // thousandths by model
	total     int64
}

// enter adds (sign 1) or removes (sign -1) one node with so many wholly free and idle devices.
func (r *room) enter(model uint8, whole int, idle, sign int64) {
	r.withWhole[whole] += sign
	r.idle[model] += sign * idle
	r.total += sign * idle
}

// newPrices finds the kinds of a mix; prices are 0 until the first refresh.
func newPrices(cfg PriceConfig, mix Mix) *prices {
	p := &prices{cfg: cfg}
	var total int64
	var whole [MaxDevices + 1]int64
	type sums struct {
		models          uint64
		weight, devices int64
	}
	var models []sums
	for i := range mix {
		r, weight := &mix[i].Request, mix[i].Weight
		if r.Devices == 0 || weight == 0 {
			continue
		}
		devices := weight * r.Demand()
		total += devices
		if r.Milli == Whole {
			whole[r.Devices] += devices
		}
		if r.Models == AnyModel {
			continue
		}
		at := slices.IndexFunc(models, func(m sums) bool { return m.models == r.Models })
		if at < 0 {
			at = len(models)
			models = append(models, sums{models: r.Models})
		}
		models[at].weight += weight
		models[at].devices += devices
	}
	for k, devices := range whole {
		p.whole[k] = kind{share: fraction(devices, total), lump: int64(k) * Whole}
	}
	slices.SortStableFunc(models, func(a, b sums) int { return int(min(1, max(-1, b.devices-a.devices))) })
	for _, m := range models[:min(len(models), maxModelKinds)] {
		p.models = append(p.models, kind{models: m.models, share: fraction(m.devices, total), lump: m.devices / m.weight})
	}
	return p
}

// fraction returns part of whole in millionths without overflow.
func fraction(part, whole int64) int64 {
	for whole > 1<<40 {
		part, whole = part>>1, whole>>1
	}
	if whole == 0 {
		return 0
	}
	return part * million / whole
}

// changed counts a change of a node and computes prices again when enough have passed.
func (p *prices) changed() {
	if p.changes++; p.changes >= p.cfg.RefreshEvery && !p.held {
		p.refresh()
	}
}

// refresh computes all prices from the room there is now.
func (p *prices) refresh() {
	p.changes = 0
	p.epoch++
	for k := 1; k <= MaxDevices; k++ {
		if p.whole[k].share == 0 {
			continue
		}
		var free int64
		for w, nodes := range p.room.withWhole {
			free += nodes * roomFor(k, w)
		}
		p.whole[k].price = p.price(&p.whole[k], free, p.cfg.WholeHalfPowers)
	}
	for i := range p.models {
		var free int64
		for m, idle := range p.room.idle {
			if p.models[i].models&(1<<m) != 0 {
				free += idle
			}
		}
		p.models[i].price = p.price(&p.models[i], free, p.cfg.ModelHalfPowers)
	}
}

// roomFor returns the thousandths that requests for k whole devices could take of w.
func roomFor(k, w int) int64 { return int64(w/k) * int64(k) * Whole }

// price returns beta * min(1, (demand + z * deviation) / room)^(halfPowers/2). Demand is the kind's
// share of the idle devices, and comes in lumps: n requests of a size deviate by size * sqrt(n).
func (p *prices) price(k *kind, room int64, halfPowers int) int64 {
	demand := k.share * p.room.total / million
	demand += p.cfg.ZPermille * squareRoot(demand*k.lump) / 1000
	ratio := int64(million)
	if demand < room {
		ratio = demand * million / room
	}
	root := squareRoot(ratio * million)
	price := p.cfg.BetaPermille * 1000
	for range halfPowers {
		price = price * root / million
	}
	return price
}

// charge returns the thousandths of a device that a request pays for going to a node of a model whose
// wholly free devices it lowers.
func (p *prices) charge(r *Request, model uint8, before, after int) int64 {
	var sum int64
	if before != after {
		own := 0
		if r.Milli == Whole {
			own = r.Devices
		}
		for k := 1; k <= before; k++ {
			if k != own && p.whole[k].price > 0 {
				sum += p.whole[k].price * (roomFor(k, before) - roomFor(k, after))
			}
		}
	}
	for i := range p.models {
		if m := &p.models[i]; m.models != r.Models && m.models&(1<<model) != 0 {
			sum += m.price * r.Demand()
		}
	}
	return sum / million
}

// squareRoot returns the largest integer whose square is not above n.
func squareRoot(n int64) int64 {
	if n <= 0 {
		return 0
	}
	x := n
	for y := (x + 1) / 2; y < x; y = (x + n/x) / 2 {
		x = y
	}
	return x
}
