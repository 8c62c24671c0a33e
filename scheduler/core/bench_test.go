package core_test

import (
	"fmt"
	"strings"
	"testing"

	"caravan/scheduler/core"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
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

// An array of equal tasks: one class.
func BenchmarkEqualTasks(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprintf("10000 tasks on %d nodes", n), func(b *testing.B) {
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
