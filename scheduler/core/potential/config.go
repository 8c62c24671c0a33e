package potential

import "fmt"

// Config tunes the potential. The zero value of a field means its default; the defaults were swept on
// generated mixes and are flat around where they stand.
type Config struct {
	// Sequences is how many request sequences are drawn of each sort, 1 to 256. Default 16. More make
	// the potential smoother and dearer.
	Sequences int
	// Length is the requests of each sequence, 1 to 1024. Default 60: enough to fill a node.
	Length int
	// DevicesOnlyPermille is the weight of the sequences without device-less requests, 0 to 1000
	// thousandths; -1 for 0. Default 500.
	DevicesOnlyPermille int64
	// Quantum is the thousandths of a device below which drops and prices do not count, 1 to 1000.
	// Default 30.
	Quantum int64
	// CPUQuantumMilli and MemoryQuantumMiB are how coarsely a state is valued, > 0. Defaults 500 and
	// 4096. Whether a request fits is always exact.
	CPUQuantumMilli  int64
	MemoryQuantumMiB int64
	// MemoLimit bounds the valued states that are remembered, > 0. Default 1 << 18. When it is reached
	// all are forgotten.
	MemoLimit int
	// Seed is of the sequences.
	Seed uint64
	// Prices tunes the scarcity prices.
	Prices PriceConfig
}

// PriceConfig tunes scarcity prices: beta * min(1, (demand + z * deviation) / room)^p. Zero means the
// default.
type PriceConfig struct {
	// BetaPermille is the price of room that is fully wanted, in thousandths of what it holds. Default
	// 1000; -1 turns prices off.
	BetaPermille int64
	// ZPermille is the reserve in thousandths of a standard deviation of the demand. Default 2000; -1
	// for none.
	ZPermille int64
	// WholeHalfPowers and ModelHalfPowers are twice the exponent p, for rooms of several whole devices
	// and for rooms of models: 1 to 16. Defaults 6 and 3.
	WholeHalfPowers int
	ModelHalfPowers int
	// RefreshEvery is how many changes of nodes may pass until prices are computed again, >= 1.
	// Default 16.
	RefreshEvery int
}

// withDefaults fills in what is 0 and checks the rest.
func (c Config) withDefaults() (Config, error) {
	set := func(v *int64, def int64) {
		if *v == 0 {
			*v = def
		}
	}
	setInt := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	p := &c.Prices
	setInt(&c.Sequences, 16)
	setInt(&c.Length, 60)
	set(&c.DevicesOnlyPermille, 500)
	set(&c.Quantum, 30)
	set(&c.CPUQuantumMilli, 500)
	set(&c.MemoryQuantumMiB, 4096)
	setInt(&c.MemoLimit, 1<<18)
	set(&p.BetaPermille, 1000)
	set(&p.ZPermille, 2000)
	setInt(&p.WholeHalfPowers, 6)
	setInt(&p.ModelHalfPowers, 3)
	setInt(&p.RefreshEvery, 16)
	for _, off := range []*int64{&c.DevicesOnlyPermille, &p.BetaPermille, &p.ZPermille} {
		if *off == -1 {
			*off = 0
		}
	}
	for _, f := range []struct {
		name      string
		v, lo, hi int64
	}{
		{"Sequences", int64(c.Sequences), 1, 256},
		{"Length", int64(c.Length), 1, 1024},
		{"DevicesOnlyPermille", c.DevicesOnlyPermille, 0, 1000},
		{"Quantum", c.Quantum, 1, 1000},
		{"CPUQuantumMilli", c.CPUQuantumMilli, 1, 1 << 30},
		{"MemoryQuantumMiB", c.MemoryQuantumMiB, 1, 1 << 30},
		{"MemoLimit", int64(c.MemoLimit), 1, 1 << 26},
		{"Prices.BetaPermille", p.BetaPermille, 0, 100_000},
		{"Prices.ZPermille", p.ZPermille, 0, 100_000},
		{"Prices.WholeHalfPowers", int64(p.WholeHalfPowers), 1, 16},
		{"Prices.ModelHalfPowers", int64(p.ModelHalfPowers), 1, 16},
		{"Prices.RefreshEvery", int64(p.RefreshEvery), 1, 1 << 20},
	} {
		if f.v < f.lo || f.v > f.hi {
			return c, fmt.Errorf("potential: %s is %d: it must be from %d to %d", f.name, f.v, f.lo, f.hi)
		}
	}
	return c, nil
}
