package potential

import (
	"fmt"
	"slices"
)

// Potential values states against one mix.
type Potential struct {
	cfg     Config
	mix     Mix
	all     [][]int // sequences of all requests, positions in mix
	devices [][]int // sequences of device requests
	streams [MaxModels]*stream
	models  []Model
	memo    map[stock]int64
	// evaluated counts the states that were valued and not found in the memo.
	evaluated int64
	choices   [MaxDevices]uint8
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
		devices: mix.draw(cfg.Sequences, cfg.Length, cfg.Seed+1<<32, true),
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

// worth returns what the devices of a state are worth when they are filled as well as can be: no value
// is above it.
func (p *Potential) worth(s *stock) (sum int64) {
	w := p.streamOf(s.model).worth
	for _, f := range s.free {
		if f == 0 {
			break
		}
		sum += int64(w[f])
	}
	return sum
}

func (p *Potential) streamOf(model uint8) *stream {
	st := p.streams[model]
	if st == nil {
		st = p.stream(model)
		p.streams[model] = st
	}
	return st
}

// evaluate offers every sequence to the state.
func (p *Potential) evaluate(s *stock) int64 {
	p.evaluated++
	st := p.streamOf(s.model)
	left, sums := newRemains(s), [2]int64{}
	if left.cpuMilli < 0 || left.memoryMiB < 0 {
		return 0
	}
	from := 0
	for k, end := range st.ends {
		sums[k/p.cfg.Sequences] += left.fill(st, from, end)
		from = end
	}
	weighted := sums[0]*(1000-p.cfg.DevicesOnlyPermille) + sums[1]*p.cfg.DevicesOnlyPermille
	return weighted / (1000 * int64(p.cfg.Sequences))
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
