package core_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"caravan/scheduler/core"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
	"caravan/scheduler/sim/packing"
)

// mixedNodes are n nodes of four shapes, empty.
func mixedNodes(n int) []core.NodeView {
	shapes := []string{
		"cpu=64 memory=256GiB family=c4 zone=z1", "cpu=32 memory=256GiB family=d1 zone=z2",
		"cpu=56 memory=224GiB gpu=2 gpu-memory=24GiB family=gn4 zone=z1", "cpu=56 memory=112GiB fpga=1 family=f1 zone=z2",
	}
	var out []core.NodeView
	for i := range n {
		node := parseNode(fmt.Sprintf("n%06d", i), strings.Fields(shapes[i%len(shapes)]))
		node.Rack = fmt.Sprintf("r%d", i/40)
		out = append(out, core.NodeView{Node: node, Free: resource.Whole(node)})
	}
	return out
}

func benchmark(b *testing.B, in core.Input, want int64) {
	b.ReportAllocs()
	for b.Loop() {
		if plan, _ := core.Solve(in); plan.Placed() != want {
			b.Fatalf("%d placed, want %d", plan.Placed(), want)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(max(want, 1)), "ns/placement")
}

func jobs(bodies ...string) []*model.Job {
	var out []*model.Job
	for i, body := range bodies {
		out = append(out, newJob(fmt.Sprintf("j%d", i), uint64(i+1), &model.JobSpec{Groups: parseGroups(body)}))
	}
	return out
}

// churn measures cycles on a fleet in its steady state: tasks end, as many wait
// and are placed, with what the cycles before have left in the workspace.
func churn(b *testing.B, n, decisions int, groups []string, counts ...int) {
	c, w := newCluster(deviceNodes(n)), core.NewWorkspace()
	c.in.Mix = mixOf(ordinary)
	c.in.Limits.MaxPlacements = 1 << 40
	all := specs(groups, counts...)
	c.fill(b, w, 95, specs(ordinary, 1, 2, 8))
	var used time.Duration
	cycle := func() (placed int64) {
		c.end(decisions)
		c.submit(decisions, all)
		from := packing.ThreadCPUTime()
		b.StartTimer()
		plan, _ := w.Solve(c.in)
		b.StopTimer()
		used += packing.ThreadCPUTime() - from
		c.apply(b, plan)
		return plan.Placed()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var placed int64
	for range 3 {
		cycle()
	}
	b.ReportAllocs()
	b.ResetTimer()
	used = 0
	for range b.N {
		placed += cycle()
	}
	b.ReportMetric(float64(used.Nanoseconds())/float64(placed), "cpu-ns/placement")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(placed), "ns/placement")
	b.ReportMetric(float64(placed)/float64(b.N), "placements")
}

// BenchmarkMixed is twelve classes in jobs of one to eight tasks on a fleet that
// is 95 % full.
func BenchmarkMixed(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) { churn(b, n, min(10_000, 2*n), ordinary, 1, 2, 8) })
	}
}

// BenchmarkEqual is arrays of one class.
func BenchmarkEqual(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) { churn(b, n, min(10_000, 2*n), ordinary[3:4], 1000) })
	}
}

// BenchmarkTenth is a tenth as many decisions as there are nodes: in fleets of
// all sizes equally many nodes for a decision have changed, and are taken from.
func BenchmarkTenth(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("equal/nodes=%d", n), func(b *testing.B) { churn(b, n, n/10, ordinary[3:4], 1000) })
		b.Run(fmt.Sprintf("mixed/nodes=%d", n), func(b *testing.B) { churn(b, n, n/10, ordinary, 1, 2, 8) })
	}
}

// BenchmarkFractions is parts of devices, one of which asks for more device
// memory than its share.
func BenchmarkFractions(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			churn(b, n, min(10_000, 2*n), append([]string{ordinary[11]}, ordinary[:3]...), 1, 2, 8)
		})
	}
}

// BenchmarkCold is a cycle that begins with nothing: after an election, and for
// whoever asks why.
func BenchmarkCold(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			c, w := newCluster(deviceNodes(n)), core.NewWorkspace()
			c.in.Mix = mixOf(ordinary)
			c.fill(b, w, 95, specs(ordinary, 1, 2, 8))
			c.submit(1000, specs(ordinary, 1, 2, 8))
			for b.Loop() {
				core.Solve(c.in)
			}
		})
	}
}

// BenchmarkEmptyArray is an array of ten thousand tasks on empty nodes of four
// shapes, from nothing.
func BenchmarkEmptyArray(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			benchmark(b, core.Input{Nodes: mixedNodes(n), Jobs: jobs("t count=10000 cpu=2 memory=2GiB")}, 10_000)
		})
	}
}

// A million ready tasks of which a thousand are placed cost a thousand.
func BenchmarkMillionReady(b *testing.B) {
	in := core.Input{Nodes: mixedNodes(1000), Jobs: jobs("t count=1000000 cpu=2 memory=2GiB"), Limits: core.Limits{MaxPlacements: 1000}}
	benchmark(b, in, 1000)
}

// A thousand jobs of as many classes, with devices, constraints and variants.
func BenchmarkMixedJobs(b *testing.B) {
	var bodies []string
	for i := range 1000 {
		cpu, memory := 1+i%7, 1+i%11
		switch i % 4 {
		case 0:
			bodies = append(bodies, fmt.Sprintf("t cpu=%d memory=%dMiB", cpu, memory*1000+i))
		case 1:
			bodies = append(bodies, fmt.Sprintf("t cpu=%d memory=%dMiB gpu=0.25 where=family:gn4", cpu, memory*1000+i))
		case 2:
			bodies = append(bodies, fmt.Sprintf("t cpu=%d memory=%dMiB where=zone:!z1", cpu, memory*1000+i))
		default:
			bodies = append(bodies, fmt.Sprintf("t cpu=%d memory=%dMiB\n  variant cpu\n  variant fpga cpu=1 fpga=0.25 speed=8", cpu, memory*1000+i))
		}
	}
	benchmark(b, core.Input{Nodes: mixedNodes(1000), Jobs: jobs(bodies...)}, 1000)
}

// Ten thousand jobs wait in ten classes that are full: each costs a look-up.
func BenchmarkFullClasses(b *testing.B) {
	var bodies []string
	for i := range 10_000 {
		bodies = append(bodies, fmt.Sprintf("t cpu=%d memory=1GiB", 100+i%10))
	}
	benchmark(b, core.Input{Nodes: mixedNodes(1000), Jobs: jobs(bodies...)}, 0)
}

// Gangs of eight, rack by rack.
func BenchmarkGangs(b *testing.B) {
	var bodies []string
	for range 100 {
		bodies = append(bodies, "t count=8 gang cpu=8 memory=8GiB")
	}
	benchmark(b, core.Input{Nodes: mixedNodes(1000), Jobs: jobs(bodies...)}, 800)
}

// BenchmarkLargeGang is a gang of 512 hosts of a thousand nodes in racks and
// zones, warm.
func BenchmarkLargeGang(b *testing.B) {
	for _, body := range []string{"t count=512 gang cpu=8 memory=8GiB gpu=8", "t count=512 gang cpu=8 memory=8GiB gpu=1"} {
		b.Run(strings.Fields(body)[5], func(b *testing.B) {
			w := core.NewWorkspace()
			in := core.Input{Nodes: deviceNodes(1000), Jobs: jobs(body)}
			b.ReportAllocs()
			for b.Loop() {
				if plan, _ := w.Solve(in); plan.Placed() != 512 {
					b.Fatalf("%d placed", plan.Placed())
				}
			}
		})
	}
}

// BenchmarkFitsNowhere is a request that no node has room for, with its reason,
// on 10,000 nodes that are 95 % full.
func BenchmarkFitsNowhere(b *testing.B) {
	c, w := newCluster(deviceNodes(10_000)), core.NewWorkspace()
	c.in.Mix = mixOf(ordinary)
	c.fill(b, w, 95, specs(ordinary, 1, 2, 8))
	c.in.Limits.MaxExplainSteps = 0
	for _, body := range []string{"t cpu=100 memory=1GiB", "t cpu=60 memory=1GiB gpu=8 where=family:gn8 gpu-where=memory:>=33GiB", "t cpu=1 memory=1GiB fpga=1", "t cpu=1 memory=1GiB where=zone:z9"} {
		b.Run(body[2:], func(b *testing.B) {
			c.in.Jobs = jobs(body)
			w.Solve(c.in)
			for b.Loop() {
				if plan, trace := w.Solve(c.in); plan.Placed() != 0 || trace.Groups[0].Variants[0].Hint == "" {
					b.Fatal("it was placed, or no reason was given")
				}
			}
		})
	}
}

// BenchmarkFailingClasses is a thousand different requests that fit nowhere.
func BenchmarkFailingClasses(b *testing.B) {
	c, w := newCluster(deviceNodes(10_000)), core.NewWorkspace()
	c.in.Mix = mixOf(ordinary)
	c.fill(b, w, 95, specs(ordinary, 1, 2, 8))
	var bodies []string
	for i := range 1000 {
		bodies = append(bodies, fmt.Sprintf("t cpu=90 memory=%dMiB gpu=8", 1000+i))
	}
	c.in.Jobs = jobs(bodies...)
	b.Run("warm", func(b *testing.B) {
		w.Solve(c.in)
		for b.Loop() {
			w.Solve(c.in)
		}
	})
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			core.Solve(c.in)
		}
	})
}
