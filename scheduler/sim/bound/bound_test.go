package bound

import (
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize/convex/lp"
	"pgregory.net/rapid"

	"caravan/scheduler/sim/fleet"
	"caravan/scheduler/sim/trace"
)

func drawProgram(t *rapid.T) *program {
	var nodes []trace.Node
	for range rapid.IntRange(1, 5).Draw(t, "nodes") {
		nodes = append(nodes, trace.Node{
			CPUMilli: rapid.Int64Range(1, 32).Draw(t, "cores") * 1000, MemoryMiB: rapid.Int64Range(1, 64).Draw(t, "gib") * 1024,
			Devices: rapid.IntRange(1, 8).Draw(t, "devices"), Milli: trace.Whole,
			Model: rapid.SampledFrom([]string{"A10", "T4", "P100"}).Draw(t, "model"),
		})
	}
	var pods []trace.Pod
	for range rapid.IntRange(1, 8).Draw(t, "pods") {
		p := trace.Pod{
			CPUMilli: rapid.Int64Range(0, 12).Draw(t, "cores") * 1000, MemoryMiB: rapid.Int64Range(0, 12).Draw(t, "gib") * 1024,
			Devices: rapid.SampledFrom([]int{0, 1, 1, 1, 2, 4}).Draw(t, "devices"),
			Models:  rapid.SampledFrom([][]string{nil, nil, {"T4"}, {"A10", "T4"}}).Draw(t, "models"),
		}
		if p.Devices > 0 {
			p.Milli = trace.Whole
		}
		if p.Devices == 1 {
			p.Milli = rapid.SampledFrom([]int64{100, 200, 500, 700, trace.Whole}).Draw(t, "milli")
		}
		pods = append(pods, p)
	}
	f, requests, err := fleet.New(nodes, pods)
	if err != nil {
		t.Fatal(err)
	}
	var arrived []Demand
	for i := range requests {
		arrived = append(arrived, Demand{Request: requests[i], Count: rapid.Int64Range(1, 20).Draw(t, "count")})
	}
	return newProgram(f, arrived)
}

// exact solves the program with the simplex method: a column for each class and place and a slack for
// each row; a row for each class and each resource of a pool.
func exact(p *program) (float64, error) {
	columns := 0
	for i := range p.classes {
		columns += len(p.classes[i].places)
	}
	rows := len(p.classes) + len(p.pools)*p.resources
	a, b, c := mat.NewDense(rows, columns+rows, nil), make([]float64, rows), make([]float64, columns+rows)
	at := 0
	for i := range p.classes {
		b[i] = p.classes[i].count
		for _, l := range p.classes[i].places {
			c[at] = -p.classes[i].demand
			a.Set(i, at, 1)
			for r, cost := range l.cost {
				a.Set(len(p.classes)+l.pool*p.resources+r, at, cost)
			}
			at++
		}
	}
	for i := range p.pools {
		for r := range p.resources {
			b[len(p.classes)+i*p.resources+r] = p.pools[i].worth
		}
	}
	basis := make([]int, rows)
	for row := range rows {
		a.Set(row, columns+row, 1)
		basis[row] = columns + row
	}
	value, _, err := lp.Simplex(c, a, b, 1e-9, basis)
	return -value, err
}

// TestTheBoundIsTheOptimum: never below it, which would be wrong, and next to nothing above, which
// would be weak.
func TestTheBoundIsTheOptimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProgram(t)
		if len(p.classes) == 0 {
			return
		}
		want, err := exact(p)
		if err != nil {
			return // the simplex gives up on a few degenerate programs, about one in two thousand
		}
		got, err := p.solve()
		if err != nil {
			t.Fatal(err)
		}
		if got < want*(1-1e-9)-1e-6 {
			t.Fatalf("bound %f, below the optimum %f", got, want)
		}
		if got > want*1.002+1 {
			t.Fatalf("bound %f, far above the optimum %f", got, want)
		}
	})
}
