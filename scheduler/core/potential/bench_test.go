package potential

import (
	"fmt"
	"testing"
)

// warmPlacer returns a fleet of nodes with eight devices in a steady state, nearly full, and a
// function that places a class there and releases what was placed longest ago on that node's behalf.
func warmPlacer(t testing.TB, nodes int) (place func(class int), arrivals []int) {
	t.Helper()
	mix := DefaultMix()
	p, err := NewPlacer(PlacerConfig{Nodes: nodes, MaxCPUMilli: 96_000, MaxMemoryMiB: 384 << 10, Mix: mix})
	if err != nil {
		t.Fatal(err)
	}
	full := NewState(96_000, 384<<10, 0, []int64{1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000})
	states := make([]State, nodes)
	for i := range states {
		states[i] = full
		p.Set(i, full)
	}
	for _, w := range mix {
		p.Class(w.Request)
	}
	for _, sequence := range mix.draw(16, 1024, 7, false) {
		arrivals = append(arrivals, sequence...)
	}
	oldest := 0
	place = func(class int) {
		c, ok := p.Best(class)
		for !ok {
			// Full: the next node in turn is emptied.
			states[oldest] = full
			p.Set(oldest, full)
			oldest = (oldest + 1) % nodes
			c, ok = p.Best(class)
		}
		r, s := &p.orders[class].request, &states[c.Node]
		choice := uint8(0)
		for r.fraction() && int64(s.Free[choice]) != c.Free || r.fraction() && choice+1 < MaxDevices && s.Free[choice+1] == s.Free[choice] {
			choice++
		}
		*s = s.after(r, choice)
		p.Set(c.Node, *s)
	}
	for i := range 40 * nodes {
		place(arrivals[i%len(arrivals)])
	}
	return place, arrivals
}

// BenchmarkPlace is one placement in a nearly full fleet, with the releases that make room for it.
func BenchmarkPlace(b *testing.B) {
	for _, nodes := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			place, arrivals := warmPlacer(b, nodes)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				place(arrivals[i%len(arrivals)])
			}
		})
	}
}

// BenchmarkValue is one valuation that the memo does not know.
func BenchmarkValue(b *testing.B) {
	p := newPotential(b, Config{}, DefaultMix())
	s := NewState(96_000, 384<<10, 0, []int64{1000, 1000, 1000, 500, 1000, 1000, 1000, 250})
	for b.Loop() {
		p.evaluate(&s)
	}
}
