package potential

// Potential values states against one mix.
type Potential struct {
	cfg     Config
	mix     Mix
	all     [][]int // sequences of all requests, positions in mix
	devices [][]int // sequences of device requests
	streams [MaxModels]*stream
	memo    map[State]int64
	// evaluated counts the states that were valued and not found in the memo.
	evaluated int64
	choices   [MaxDevices]uint8
}

// offer is one request of a sequence, as small as it can be.
type offer struct {
	cpuMilli, memoryMiB int64
	milli               uint16 // 0 without devices
	devices             uint8
}

// stream is the sequences as nodes of one model see them: without what never fits there.
type stream struct {
	offers []offer
	// ends[k] is where sequence k ends; the first half are of all requests, the rest of device
	// requests. leastCPU is the fewest cores that a device request of any sequence takes.
	ends     []int
	leastCPU int64
}

// New returns the potential of a mix. The mix must ask for some device; cfg is checked.
func New(cfg Config, mix Mix) (*Potential, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := mix.check(); err != nil {
		return nil, err
	}
	return &Potential{
		cfg: cfg, mix: mix, memo: make(map[State]int64),
		all:     mix.draw(cfg.Sequences, cfg.Length, cfg.Seed, false),
		devices: mix.draw(cfg.Sequences, cfg.Length, cfg.Seed+1, true),
	}, nil
}

// Value returns the thousandths of devices that a random stream of the mix is expected to take from
// the state, from 0 to Idle.
func (p *Potential) Value(s State) int64 {
	if s.Free[0] == 0 {
		return 0
	}
	s.CPUMilli -= s.CPUMilli % p.cfg.CPUQuantumMilli
	s.MemoryMiB -= s.MemoryMiB % p.cfg.MemoryQuantumMiB
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
	choices := r.appendChoices(p.choices[:0], &s)
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
	return max(0, before-p.Value(s.after(r, choice)))
}

// evaluate offers every sequence to the state.
func (p *Potential) evaluate(s *State) int64 {
	p.evaluated++
	st := p.streams[s.Model]
	if st == nil {
		st = p.stream(s.Model)
		p.streams[s.Model] = st
	}
	var sums [2]int64
	from := 0
	for k, end := range st.ends {
		sums[k/p.cfg.Sequences] += fill(st.offers[from:end], s, st.leastCPU)
		from = end
	}
	weighted := sums[0]*(1000-p.cfg.DevicesOnlyPermille) + sums[1]*p.cfg.DevicesOnlyPermille
	return weighted / (1000 * int64(p.cfg.Sequences))
}

// stream leaves out of the sequences what never fits a model.
func (p *Potential) stream(model uint8) *stream {
	st := &stream{leastCPU: 1 << 62}
	for _, sequences := range [...][][]int{p.all, p.devices} {
		for _, sequence := range sequences {
			for _, at := range sequence {
				r := &p.mix[at].Request
				if r.Devices > 0 {
					if r.Models&(1<<model) == 0 {
						continue
					}
					st.leastCPU = min(st.leastCPU, r.CPUMilli)
				}
				st.offers = append(st.offers, offer{r.CPUMilli, r.MemoryMiB, uint16(r.Milli), uint8(r.Devices)})
			}
			st.ends = append(st.ends, len(st.offers))
		}
	}
	return st
}

// fill offers one sequence to a state and returns the thousandths it takes. Fractions go to the split
// device with the least left that takes them, else split a whole one.
func fill(offers []offer, s *State, leastCPU int64) int64 {
	cpu, memory, idle := s.CPUMilli, s.MemoryMiB, s.Idle()
	whole := s.WholeFree()
	split, splits := [MaxDevices]uint16{}, 0
	for _, f := range s.Free[whole:] {
		if f == 0 {
			break
		}
		split[splits] = f
		splits++
	}
	begin := idle
	for i := range offers {
		o := &offers[i]
		if o.cpuMilli > cpu || o.memoryMiB > memory {
			continue
		}
		switch {
		case o.devices == 0:
		case o.milli == Whole:
			if int(o.devices) > whole {
				continue
			}
			whole -= int(o.devices)
			idle -= int64(o.devices) * Whole
		default:
			best := -1
			for d := range split[:splits] {
				if split[d] >= o.milli && (best < 0 || split[d] < split[best]) {
					best = d
				}
			}
			switch {
			case best >= 0:
				split[best] -= o.milli
			case whole > 0:
				whole--
				split[splits] = Whole - o.milli
				splits++
			default:
				continue
			}
			idle -= int64(o.milli)
		}
		cpu -= o.cpuMilli
		memory -= o.memoryMiB
		if idle == 0 || cpu < leastCPU {
			break
		}
	}
	return begin - idle
}
