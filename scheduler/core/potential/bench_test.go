package potential

import (
	"fmt"
	"testing"
)

// ordinary is mostly single devices and parts of them, some gangs on one node, some work without.
func ordinary() Mix {
	of := func(weight, cpu int64, n int, milli int64) Weighted {
		return Weighted{Request{CPUMilli: cpu, MemoryMiB: cpu * 4096 / 1000, Devices: n, Milli: milli, Models: AnyModel}, weight}
	}
	return Mix{
		of(10, 2000, 1, 250), of(15, 4000, 1, 500), of(8, 6000, 1, 750), of(12, 4000, 1, Whole), of(20, 8000, 1, Whole),
		of(12, 12000, 1, Whole), of(3, 16000, 2, Whole), of(2, 32000, 4, Whole), of(2, 64000, 8, Whole),
		of(6, 2000, 0, 0), of(6, 4000, 0, 0), of(4, 8000, 0, 0),
	}
}

// warmIndex returns a fleet of nodes with eight devices in a steady state, nearly full, and a
// function that places a class there and, when there is no room, empties the node in turn.
func warmIndex(t testing.TB, nodes int) (place func(class int), arrivals []int) {
	t.Helper()
	mix := ordinary()
	x := NewIndex(newPotential(t, Config{}, mix), IndexConfig{Nodes: nodes, MaxCPUMilli: 96_000, MaxMemoryMiB: 384 << 10})
	full := state(96_000, 384<<10, 0, []int64{1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000})
	for i := range nodes {
		x.Set(i, full)
	}
	for class, w := range mix {
		x.Class(class, w.Request)
	}
	for _, sequence := range mix.draw(16, 1024, 7, false) {
		arrivals = append(arrivals, sequence...)
	}
	oldest := 0
	place = func(class int) {
		c, ok := x.Best(class)
		for !ok {
			x.Set(oldest, full)
			oldest = (oldest + 1) % nodes
			c, ok = x.Best(class)
		}
		x.Take(class, c)
	}
	for i := range 40 * nodes {
		place(arrivals[i%len(arrivals)])
	}
	return place, arrivals
}

// oneDevice is a class of ordinary that asks for a whole device.
const oneDevice = 3

// BenchmarkPlace is one placement in a nearly full fleet, with the releases that make room for it: of
// classes that take turns, and of an array.
func BenchmarkPlace(b *testing.B) {
	for _, nodes := range []int{1_000, 10_000, 100_000} {
		place, arrivals := warmIndex(b, nodes)
		b.Run(fmt.Sprintf("mixed/nodes=%d", nodes), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				place(arrivals[i%len(arrivals)])
			}
		})
		for range 20 * nodes {
			place(oneDevice)
		}
		b.Run(fmt.Sprintf("equal/nodes=%d", nodes), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				place(oneDevice)
			}
		})
	}
}

// BenchmarkValue is one valuation that the memo does not know.
func BenchmarkValue(b *testing.B) {
	p := newPotential(b, Config{}, ordinary())
	s := state(96_000, 384<<10, 0, []int64{1000, 1000, 1000, 500, 1000, 1000, 1000, 250})
	k := s.stock(p.model(&s))
	for b.Loop() {
		p.evaluate(&k)
	}
}
