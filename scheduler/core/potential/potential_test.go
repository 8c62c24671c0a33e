package potential

import (
	"testing"

	"pgregory.net/rapid"
)

func newPotential(t testing.TB, cfg Config, mix Mix) *Potential {
	t.Helper()
	p, err := New(cfg, models(), mix)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// models are three models, of which the second has memory that counts.
func models() []Model {
	return []Model{{Milli: Whole}, {Milli: Whole, MemoryMiB: 8 << 10}, {Milli: Whole}}
}

// state returns a node whose devices have device memory in proportion.
func state(cpuMilli, memoryMiB int64, model int, free []int64) State {
	var left []Left
	for _, f := range free {
		left = append(left, Left{Milli: f, MemoryMiB: models()[model].MemoryMiB * f / Whole})
	}
	return NewState(Host{CPUMilli: cpuMilli, MemoryMiB: memoryMiB}, model, left)
}

// TestValueWorkedOut follows two mixes of a single class, where every sequence is the same.
func TestValueWorkedOut(t *testing.T) {
	half := Mix{{Request{CPUMilli: 4000, Devices: 1, Milli: 500, Models: AnyModel}, 1}}
	pair := Mix{{Request{CPUMilli: 8000, Devices: 2, Milli: Whole, Models: 1 << 1}, 1}}
	for _, c := range []struct {
		name  string
		mix   Mix
		state State
		want  int64
	}{
		{"cores for three halves on two devices", half, state(12_000, 0, 0, []int64{1000, 1000}), 1500},
		{"a device with 400 left takes no half", half, state(99_000, 0, 0, []int64{400, 1000, 900}), 1500},
		{"full devices are worth nothing", half, state(99_000, 0, 0, []int64{0, 0}), 0},
		{"three whole devices take one pair", pair, state(99_000, 0, 1, []int64{1000, 1000, 1000}), 2000},
		{"a split device spoils the pair", pair, state(99_000, 0, 1, []int64{1000, 990}), 0},
		{"another model is worth nothing", pair, state(99_000, 0, 2, []int64{1000, 1000}), 0},
		{"cores are valued in steps of the quantum", half, state(4_499, 0, 0, []int64{1000}), 500},
	} {
		if got := newPotential(t, Config{}, c.mix).Value(c.state); got != c.want {
			t.Errorf("%s: value %d, want %d", c.name, got, c.want)
		}
	}
}

// TestDropPrefersTheDeviceThatStaysUseful: of 900 and 600 left, a demand for 300 leaves 600 and 600
// on the first, which still take two halves, and 900 and 300 on the second, which take one.
func TestDropPrefersTheDeviceThatStaysUseful(t *testing.T) {
	p := newPotential(t, Config{}, Mix{{Request{Devices: 1, Milli: 500, Models: AnyModel}, 1}})
	s := state(1000, 0, 0, []int64{600, 900})
	choice, drop, ok := p.Drop(s, Request{Devices: 1, Milli: 300, Models: AnyModel})
	if !ok || s.Free[choice] != 900 || drop != 0 {
		t.Fatalf("took the device with %d left at a drop of %d, ok=%v; want 900 at 0", s.Free[choice], drop, ok)
	}
	if _, _, ok := p.Drop(s, Request{Devices: 1, Milli: Whole, Models: AnyModel}); ok {
		t.Fatal("a whole device was found where all are split")
	}
}

func drawRequest() *rapid.Generator[Request] {
	return rapid.Custom(func(t *rapid.T) Request {
		r := Request{
			CPUMilli:  rapid.Int64Range(0, 16).Draw(t, "cores") * 1000,
			MemoryMiB: rapid.Int64Range(0, 16).Draw(t, "gib") * 1024,
		}
		if r.Devices = rapid.SampledFrom([]int{0, 1, 1, 1, 2, 4}).Draw(t, "devices"); r.Devices > 0 {
			r.Milli, r.Models = Whole, rapid.SampledFrom([]uint64{AnyModel, AnyModel, 1, 2, 3}).Draw(t, "models")
		}
		if r.Devices == 1 {
			r.Milli = rapid.SampledFrom([]int64{100, 250, 300, 500, 700, Whole}).Draw(t, "milli")
		}
		if r.fraction() && r.Models == 2 {
			r.DeviceMemoryMiB = rapid.Int64Range(0, 8).Draw(t, "device GiB") << 10
		}
		return r
	})
}

func drawMix(t *rapid.T) Mix {
	mix := Mix{{Request{CPUMilli: 4000, Devices: 1, Milli: Whole, Models: AnyModel}, 3}}
	for _, r := range rapid.SliceOfN(drawRequest(), 1, 6).Draw(t, "mix") {
		mix = append(mix, Weighted{r, rapid.Int64Range(0, 9).Draw(t, "weight")})
	}
	return mix
}

func drawState() *rapid.Generator[State] {
	return rapid.Custom(func(t *rapid.T) State {
		free := rapid.SliceOfN(rapid.SampledFrom([]int64{0, 100, 250, 500, 700, Whole, Whole}), 0, 8).Draw(t, "free")
		s := state(rapid.Int64Range(0, 64).Draw(t, "cores")*1000, rapid.Int64Range(0, 64).Draw(t, "gib")*1024,
			rapid.IntRange(0, 1).Draw(t, "model"), free)
		if s.Devices == 0 || s.Model == 0 || rapid.Bool().Draw(t, "in proportion") {
			return s
		}
		// Fractions that asked for more device memory, or less, than their share.
		var left []Left
		for i, f := range s.Free[:s.Devices] {
			d := Left{Milli: int64(f), MemoryMiB: int64(s.Memory[i])}
			if f < Whole {
				d.MemoryMiB = rapid.Int64Range(0, 8).Draw(t, "left") << 10
			}
			left = append(left, d)
		}
		return NewState(Host{CPUMilli: s.CPUMilli, MemoryMiB: s.MemoryMiB}, int(s.Model), left)
	})
}

func TestValueLiesBetweenNothingAndWhatTheDevicesAreWorth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := New(Config{Sequences: 4}, models(), drawMix(t))
		if err != nil {
			t.Fatal(err)
		}
		s := drawState().Draw(t, "state")
		k := s.stock(p.model(&s))
		if v, worth := p.Value(s), p.worth(&k); v < 0 || v > worth || worth > int64(s.Devices)*Whole {
			t.Fatalf("value %d of a state whose devices are worth %d", v, worth)
		}
	})
}

// TestTakingNeverCountsAsAGain: a sampled greedy fill may rise when something is taken, and a rise
// counts as no drop.
func TestTakingNeverCountsAsAGain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := New(Config{Sequences: 4}, models(), drawMix(t))
		if err != nil {
			t.Fatal(err)
		}
		s, r := drawState().Draw(t, "state"), drawRequest().Draw(t, "request")
		choice, drop, ok := p.Drop(s, r)
		if !ok {
			return
		}
		next := s.after(&r, uint8(choice), &models()[s.Model])
		if drop < 0 || drop < p.Value(s)-p.Value(next) {
			t.Fatalf("drop %d, value %d before and %d after", drop, p.Value(s), p.Value(next))
		}
		if got := s.Idle() - next.Idle(); got != r.Demand() {
			t.Fatalf("took %d thousandths for a demand of %d", got, r.Demand())
		}
		for i := 1; i < MaxDevices; i++ {
			if next.Free[i] > next.Free[i-1] {
				t.Fatalf("devices out of order: %v", next.Free)
			}
		}
	})
}

// TestWithOneClassTakingNeverRaisesTheValue: with one class alone, greedy filling is optimal, so less left
// can never be worth more.
func TestWithOneClassTakingNeverRaisesTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Request{CPUMilli: rapid.Int64Range(0, 8).Draw(t, "cores") * 1000, Devices: 1, Milli: rapid.SampledFrom([]int64{250, 500, Whole}).Draw(t, "milli"), Models: AnyModel}
		p, err := New(Config{Sequences: 2}, models(), Mix{{r, 1}})
		if err != nil {
			t.Fatal(err)
		}
		s, taken := drawState().Draw(t, "state"), drawRequest().Draw(t, "request")
		if choice, _, ok := p.Drop(s, taken); ok {
			if after := p.Value(s.after(&taken, uint8(choice), &models()[s.Model])); after > p.Value(s) {
				t.Fatalf("value rose from %d to %d", p.Value(s), after)
			}
		}
	})
}

func kept(k stock) *stock { return &k }

func TestMemoEqualsValuingAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mix := drawMix(t)
		small, err := New(Config{Sequences: 4, MemoLimit: 3, CPUQuantumMilli: 1, MemoryQuantumMiB: 1}, models(), mix)
		if err != nil {
			t.Fatal(err)
		}
		for range 12 {
			s := drawState().Draw(t, "state")
			first := small.Value(s)
			if again, anew := small.Value(s), small.evaluate(kept(s.stock(small.model(&s)))); again != first || anew != first {
				t.Fatalf("valued at %d, from the memo %d, anew %d", first, again, anew)
			}
			if len(small.memo) > 3 {
				t.Fatalf("the memo holds %d states, more than its limit", len(small.memo))
			}
		}
	})
}

func TestConfigAndMixSayWhatIsWrong(t *testing.T) {
	good := ordinary()
	for _, c := range []struct {
		name string
		cfg  Config
		mix  Mix
	}{
		{"too many sequences", Config{Sequences: 257}, good},
		{"a negative quantum", Config{Quantum: -5}, good},
		{"a power of 0.25", Config{Prices: PriceConfig{WholeHalfPowers: 17}}, good},
		{"a mix without devices", Config{}, Mix{{Request{CPUMilli: 1000}, 1}}},
		{"an empty mix", Config{}, nil},
		{"two half devices", Config{}, Mix{{Request{Devices: 2, Milli: 500, Models: 1}, 1}}},
		{"a negative weight", Config{}, Mix{{Request{Devices: 1, Milli: 500, Models: 1}, -1}}},
	} {
		if _, err := New(c.cfg, models(), c.mix); err == nil {
			t.Errorf("%s was accepted", c.name)
		}
	}
}

func TestSquareRootIsTheLargestNotAbove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<61).Draw(t, "n")
		r := squareRoot(n)
		if r*r > n || (r+1)*(r+1) <= n {
			t.Fatalf("root of %d is not %d", n, r)
		}
	})
}
