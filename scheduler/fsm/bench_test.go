package fsm

import (
	"bytes"
	"fmt"
	"testing"

	pb "caravan/api/caravanv1"
)

// filled returns a state of that many jobs, spread over queues and nodes, each
// with one task that ran and one that waits.
func filled(b *testing.B, jobs int) *FSM {
	b.Helper()
	f := New(Config{})
	for i := range 1000 {
		apply(f, register(gpuNode(fmt.Sprintf("n%d", i), "1", 8)))
	}
	var batch []Entry
	add := func(c *pb.Command) { batch = append(batch, Entry{Index: f.Snapshot().Index() + 1, Data: encode(c)}) }
	flush := func() { f.ApplyBatch(batch); batch = batch[:0] }
	for i := range jobs {
		add(submit(fmt.Sprintf("request-%d", i), array("bench", 2)))
		if len(batch) == 1000 || i == jobs-1 {
			flush()
		}
	}
	for i := range jobs {
		node, job := fmt.Sprintf("n%d", i%1000), fmt.Sprintf("bench-%d", i+1)
		add(plan(&pb.PlacementSet{JobId: job, Placements: []*pb.Placement{{Ordinal: 0, Node: node}}}))
		add(report(node, &pb.AllocationReport{AllocationId: job + ".part.0.1", State: pb.AllocationState_ALLOCATION_STATE_SUCCEEDED, Exit: &pb.Exit{Reason: "exited"}}))
		if len(batch) >= 1000 || i == jobs-1 {
			flush()
		}
	}
	if n := f.Snapshot().AllocationCount(); n != jobs {
		b.Fatalf("%d allocations were made for %d jobs", n, jobs)
	}
	return f
}

// BenchmarkPlan applies plans of 10,000 placements, then reports all of them done.
func BenchmarkPlan(b *testing.B) {
	const placements, nodes = 10_000, 1_250
	f := New(Config{})
	for i := range nodes {
		apply(f, register(gpuNode(fmt.Sprintf("n%d", i), "1", 8)))
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		job := apply(f, submit("", array("bench", placements))).Answer.JobID
		set := &pb.PlacementSet{JobId: job}
		for i := range placements {
			set.Placements = append(set.Placements, &pb.Placement{Ordinal: int64(i), Node: fmt.Sprintf("n%d", i/8), Devices: []*pb.DeviceShare{{DeviceId: fmt.Sprintf("gpu%d", i%8), Thousandths: 1000, MemoryMib: 100}}})
		}
		e := []Entry{{Index: f.Snapshot().Index() + 1, Data: encode(plan(set))}}
		b.StartTimer()
		r := f.ApplyBatch(e)[0].(Result)
		b.StopTimer()
		if r.Answer.Count != placements {
			b.Fatalf("placed %d: %+v", r.Answer.Count, r.Answer.Dropped[:1])
		}
		for n := range nodes {
			reportAll(f, job, n)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/placements, "ns/placement")
}

// reportAll reports the eight tasks of a node as done.
func reportAll(f *FSM, job string, node int) {
	var reports []*pb.AllocationReport
	for i := node * 8; i < node*8+8; i++ {
		reports = append(reports, &pb.AllocationReport{AllocationId: fmt.Sprintf("%s.part.%d.1", job, i), State: pb.AllocationState_ALLOCATION_STATE_SUCCEEDED, Exit: &pb.Exit{Reason: "exited"}})
	}
	apply(f, report(fmt.Sprintf("n%d", node), reports...))
}

// BenchmarkSubmit submits 1,000 jobs as one batch into a state of 10,000.
func BenchmarkSubmit(b *testing.B) {
	f := filled(b, 10_000)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		batch := make([]Entry, 1000)
		for i := range batch {
			n++
			batch[i] = Entry{Index: f.Snapshot().Index() + 1, Data: encode(submit(fmt.Sprintf("bench-%d", n), array("more", 100)))}
		}
		b.StartTimer()
		f.ApplyBatch(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/job")
}

// BenchmarkReport reports 1,000 tasks running, one command each, as one batch.
func BenchmarkReport(b *testing.B) {
	f := New(Config{})
	for i := range 1250 {
		apply(f, register(gpuNode(fmt.Sprintf("n%d", i), "1", 8)))
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		job := apply(f, submit("", array("bench", 1000))).Answer.JobID
		set := &pb.PlacementSet{JobId: job}
		batch := make([]Entry, 1000)
		for i := range 1000 {
			node := fmt.Sprintf("n%d", i)
			set.Placements = append(set.Placements, &pb.Placement{Ordinal: int64(i), Node: node})
			batch[i].Data = encode(report(node, &pb.AllocationReport{AllocationId: fmt.Sprintf("%s.part.%d.1", job, i), State: pb.AllocationState_ALLOCATION_STATE_SUCCEEDED, Exit: &pb.Exit{Reason: "exited"}}))
		}
		apply(f, plan(set))
		for i := range batch {
			batch[i].Index = f.Snapshot().Index() + 1
		}
		b.StartTimer()
		f.ApplyBatch(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/report")
}

// BenchmarkPersist and BenchmarkRestore write and read 100,000 jobs with an
// allocation, a task record and a request each.
func BenchmarkPersist(b *testing.B) {
	f := filled(b, 100_000)
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		size = len(encoded(b, f))
	}
	b.ReportMetric(float64(size), "snapshot-bytes")
}

func BenchmarkRestore(b *testing.B) {
	data := encoded(b, filled(b, 100_000))
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if _, err := Decode(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(data)), "snapshot-bytes")
}
