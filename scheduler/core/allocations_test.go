package core_test

import (
	"testing"

	"caravan/scheduler/core"
)

// TestAWarmCycleAllocatesNothingForAPlacement: what a cycle allocates does not
// grow with what it places, whether in arrays or in small jobs.
func TestAWarmCycleAllocatesNothingForAPlacement(t *testing.T) {
	c, w := newCluster(deviceNodes(200)), core.NewWorkspace()
	c.in.Mix = mixOf(ordinary)
	c.fill(t, w, 60, specs(ordinary, 1, 2, 8))
	for name, groups := range map[string][]string{"mixed": ordinary, "equal": ordinary[3:4]} {
		cycle := func(tasks int, counts ...int) float64 {
			c.submit(tasks, specs(groups, counts...))
			var placed int64
			allocations := testing.AllocsPerRun(10, func() {
				plan, _ := w.Solve(c.in)
				placed = plan.Placed()
			})
			if placed < int64(tasks)*9/10 {
				t.Fatalf("%s: %d of %d placed", name, placed, tasks)
			}
			return allocations
		}
		for _, counts := range [][]int{{1, 2, 8}, {200}} {
			if few, many := cycle(20, counts...), cycle(200, counts...); many > few {
				t.Errorf("%s in jobs of %v: %v allocations for 20 tasks, %v for 200", name, counts, few, many)
			}
		}
	}
}
