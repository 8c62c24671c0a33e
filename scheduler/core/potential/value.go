package potential

import (
	"fmt"
	"slices"
)

// Potential values states against one mix.
type Potential struct {
	cfg     Config
	mix     Mix
	all     [][]int               // sequences of all requests, positions in mix
	devices [][]int               // sequences of device requests
	streams [MaxModels][2]*stream // for states without and with a whole device
	models  []Model
	memo    map[stock]int64
	// evaluated counts the states that were valued and not found in the memo.
	evaluated int64
	choices   [MaxDevices]uint8
}

// offer is one request of a sequence, as small as it can be: a valuation reads them all.
type offer struct {
	cpuMilli, memoryMiB int32
	milli               uint16 // 0 without devices
	devices             uint8
}

// stream is the sequences as nodes of one model see them: without what never fits there.
type stream struct {
	offers []offer
	// ends[k] is where sequence k ends; the first half are of all requests, the rest of device
	// requests.
	ends []int
	// leastCPU and leastMilli are the fewest cores and the smallest part of a device that a device
	// request of any sequence takes: a state with less takes no more devices.
	leastCPU   int32
	leastMilli uint16
}

// New returns the potential of a mix on devices of the given models, whose numbers are their positions.
// The mix must ask for some device; cfg is checked.
func New(cfg Config, models []Model, mix Mix) (*Potential, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := mix.check(); err != nil {
		return nil, err
	}
	if len(models) > MaxModels {
		return nil, fmt.Errorf("potential: %d device models: there may be %d", len(models), MaxModels)
	}
	p := &Potential{
		cfg: cfg, mix: mix, models: slices.Clone(models), memo: make(map[stock]int64),
		all:     mix.draw(cfg.Sequences, cfg.Length, cfg.Seed, false),
		devices: mix.draw(cfg.Sequences, cfg.Length, cfg.Seed+1, true),
	}
	if len(p.models) == 0 {
		p.models = []Model{{Milli: Whole}}
	}
	return p, nil
}

// model returns the model of a state's devices.
func (p *Potential) model(s *State) *Model { return &p.models[s.Model] }

// Holds reports whether the potential is that of a mix on the given models.
func (p *Potential) Holds(models []Model, mix Mix) bool {
	return slices.Equal(p.mix, mix) && slices.Equal(p.models[:min(len(models), len(p.models))], models) && len(models) <= len(p.models)
}

// Value returns the thousandths of devices that a random stream of the mix is expected to take from
// the state, from 0 to Idle.
func (p *Potential) Value(s State) int64 { return p.valueOf(s.stock(p.model(&s))) }

func (p *Potential) valueOf(s stock) int64 {
	if s.free[0] == 0 {
		return 0
	}
	s.cpuMilli -= s.cpuMilli % p.cfg.CPUQuantumMilli
	s.memoryMiB -= s.memoryMiB % p.cfg.MemoryQuantumMiB
	if v, ok := p.memo[s]; ok {
		return v
	}
	if len(p.memo) >= p.cfg.MemoLimit {
		clear(p.memo)
	}
	v := p.evaluate(&s)
	p.memo[s] = v
	return v
}

// Drop returns the choice of a device, as a position in Free, that lowers the value least, and by how
// much, at least 0; of equals the device with the least left. ok is false when the request does not
// fit.
func (p *Potential) Drop(s State, r Request) (choice int, drop int64, ok bool) {
	choices := r.appendChoices(p.choices[:0], &s, p.model(&s))
	if len(choices) == 0 {
		return 0, 0, false
	}
	before := p.Value(s)
	drop = -1
	for i := len(choices) - 1; i >= 0; i-- {
		if d := p.dropAt(&s, before, &r, choices[i]); drop < 0 || d < drop {
			choice, drop = int(choices[i]), d
		}
	}
	return choice, drop, true
}

// dropAt returns the drop of one choice from a value known before.
func (p *Potential) dropAt(s *State, before int64, r *Request, choice uint8) int64 {
	return max(0, before-p.Value(s.after(r, choice, p.model(s))))
}

// evaluate offers every sequence to the state.
func (p *Potential) evaluate(s *stock) int64 {
	p.evaluated++
	whole := 0
	if s.free[0] == Whole {
		whole = 1
	}
	st := p.streams[s.model][whole]
	if st == nil {
		st = p.stream(s.model, whole == 1)
		p.streams[s.model][whole] = st
	}
	left := newRemains(s)
	var sums [2]int64
	from := 0
	for k, end := range st.ends {
		sums[k/p.cfg.Sequences] += left.fill(st, st.offers[from:end])
		from = end
	}
	weighted := sums[0]*(1000-p.cfg.DevicesOnlyPermille) + sums[1]*p.cfg.DevicesOnlyPermille
	return weighted / (1000 * int64(p.cfg.Sequences))
}

// stream leaves out of the sequences what never fits a model, or never fits without a whole device.
func (p *Potential) stream(model uint8, whole bool) *stream {
	st := &stream{leastCPU: limit, leastMilli: Whole}
	for _, sequences := range [...][][]int{p.all, p.devices} {
		for _, sequence := range sequences {
			for _, at := range sequence {
				r := &p.mix[at].Request
				if r.CPUMilli > limit || r.MemoryMiB > limit {
					continue
				}
				o := offer{int32(r.CPUMilli), int32(r.MemoryMiB), uint16(r.Milli), uint8(r.Devices)}
				if r.Devices > 0 {
					if r.Models&(1<<model) == 0 || (!whole && r.Milli == Whole) {
						continue
					}
					if o.milli = p.weight(r, model); o.milli > Whole {
						continue
					}
					st.leastCPU, st.leastMilli = min(st.leastCPU, o.cpuMilli), min(st.leastMilli, o.milli)
				}
				st.offers = append(st.offers, o)
			}
			st.ends = append(st.ends, len(st.offers))
		}
	}
	return st
}

// weight returns the thousandths of a device that a request uses up: those it asks for, or, where it
// holds more of the device's memory, as many as that.
func (p *Potential) weight(r *Request, model uint8) uint16 {
	m := &p.models[model]
	if !r.fraction() || r.DeviceMemoryMiB == 0 || m.MemoryMiB == 0 {
		return uint16(r.Milli)
	}
	byMemory := (r.DeviceMemoryMiB*m.Milli + m.MemoryMiB - 1) / m.MemoryMiB
	return uint16(min(Whole+1, max(r.Milli, byMemory)))
}

// limit bounds the cores and memory that count in a valuation: more on one node is as good as this.
const limit = 1 << 30

// remains is a state in the form that a valuation works on.
type remains struct {
	cpuMilli, memoryMiB int32
	whole               int
	idle                int64
	split               [MaxDevices]uint16
	splits              int
}

func newRemains(s *stock) remains {
	r := remains{
		cpuMilli: int32(max(-1, min(s.cpuMilli, limit))), memoryMiB: int32(max(-1, min(s.memoryMiB, limit))),
		whole: s.whole(), idle: s.idle(),
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

// fill offers one sequence to a copy of what remains and returns the thousandths it takes.
func (left remains) fill(st *stream, offers []offer) int64 {
	begin := left.idle
	for i := range offers {
		o := &offers[i]
		if o.cpuMilli > left.cpuMilli || o.memoryMiB > left.memoryMiB {
			continue
		}
		if o.devices > 0 {
			if !left.take(o) {
				continue
			}
			if !left.usable(st.leastMilli) {
				break
			}
		}
		left.cpuMilli -= o.cpuMilli
		left.memoryMiB -= o.memoryMiB
		if left.cpuMilli < st.leastCPU {
			break
		}
	}
	return begin - left.idle
}

// take gives devices to an offer: to a fraction the split device with the least left that takes it,
// else a whole one to split.
func (left *remains) take(o *offer) bool {
	if o.milli == Whole {
		if int(o.devices) > left.whole {
			return false
		}
		left.whole -= int(o.devices)
		left.idle -= int64(o.devices) * Whole
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
	left.idle -= int64(o.milli)
	return true
}

// usable reports whether any device has as much as the smallest request wants.
func (left *remains) usable(leastMilli uint16) bool {
	if left.whole > 0 {
		return true
	}
	for _, f := range left.split[:left.splits] {
		if f >= leastMilli {
			return true
		}
	}
	return false
}
