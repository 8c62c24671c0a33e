package fsm

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// encode marshals a command as a proposer does.
func encode(c *pb.Command) []byte {
	data, err := proto.Marshal(c)
	if err != nil {
		panic(err)
	}
	return data
}

// apply runs one command at the next index and returns its result.
func apply(f *FSM, c *pb.Command) Result {
	return f.ApplyBatch([]Entry{{Index: f.Snapshot().Index() + 1, Data: encode(c)}})[0].(Result)
}

func submit(request string, spec *pb.JobSpec) *pb.Command {
	return &pb.Command{RequestId: request, Op: &pb.Command_SubmitJob{SubmitJob: &pb.SubmitJob{Spec: spec, Owner: "ann"}}}
}

func register(info *pb.NodeInfo) *pb.Command {
	return &pb.Command{Op: &pb.Command_RegisterNode{RegisterNode: &pb.RegisterNode{Info: info}}}
}

func plan(sets ...*pb.PlacementSet) *pb.Command {
	return &pb.Command{Op: &pb.Command_ApplyPlan{ApplyPlan: &pb.ApplyPlan{Sets: sets}}}
}

func report(node string, reports ...*pb.AllocationReport) *pb.Command {
	return &pb.Command{Op: &pb.Command_ReportAllocations{ReportAllocations: &pb.ReportAllocations{Node: node, Reports: reports}}}
}

// array is a job of one group of n tasks of a core each.
func array(name string, n int64) *pb.JobSpec {
	return &pb.JobSpec{Name: name, Groups: []*pb.TaskGroup{{
		Name: "part", Indices: []*pb.IndexRange{{First: 1, Last: n, Step: 1}}, Retries: 1,
		Variants: []*pb.Variant{{Name: "cpu", Command: []string{"true"}, Resources: &pb.Resources{CpuMilli: 1000, MemoryMib: 1}}},
	}}}
}

func gpuNode(name, boot string, gpus int) *pb.NodeInfo {
	n := &pb.NodeInfo{
		Name: name, BootId: boot, Address: name + ":1", CpuMilli: 8000, MemoryMib: 1 << 14, DiskMib: 1 << 14,
		Attributes: map[string]*pb.AttributeValue{"arch": {Value: &pb.AttributeValue_Text{Text: "amd64"}}, "numa": {Value: &pb.AttributeValue_Milli{Milli: 2000}}},
	}
	for i := range gpus {
		n.Devices = append(n.Devices, &pb.Device{
			Id: fmt.Sprintf("gpu%d", i), Kind: "gpu", Thousandths: 1000, MemoryMib: 100, Healthy: true,
			Attributes: map[string]*pb.AttributeValue{"nvlink": {Value: &pb.AttributeValue_Milli{Milli: 1}}},
		})
	}
	return n
}

// walker draws commands that make sense for what its state machine holds.
type walker struct{ f *FSM }

func (w walker) command(t *rapid.T) *pb.Command {
	s := w.f.Snapshot()
	node := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "node")
	c := &pb.Command{TimeMs: rapid.Int64Range(0, 1<<40).Draw(t, "time")}
	if rapid.Bool().Draw(t, "keyed") {
		c.RequestId = fmt.Sprintf("r%d", rapid.IntRange(0, 20).Draw(t, "request"))
	}
	job := "nosuch-1"
	if jobs := slices.Collect(s.Jobs()); len(jobs) > 0 {
		job = rapid.SampledFrom(jobs).Draw(t, "job").ID
	}
	switch rapid.IntRange(0, 15).Draw(t, "op") {
	case 0, 1:
		c.Op = &pb.Command_SubmitJob{SubmitJob: &pb.SubmitJob{Owner: "ann", Spec: w.spec(t)}}
	case 2:
		c.Op = &pb.Command_StopJob{StopJob: &pb.StopJob{JobId: job}}
	case 3:
		c.Op = &pb.Command_RetryJob{RetryJob: &pb.RetryJob{JobId: job}}
	case 4, 5, 6:
		c.Op = &pb.Command_ApplyPlan{ApplyPlan: w.plan(t, s, job)}
	case 7, 8:
		c.Op = &pb.Command_ReportAllocations{ReportAllocations: w.report(t, s, node)}
	case 9:
		c.Op = &pb.Command_RegisterNode{RegisterNode: &pb.RegisterNode{Info: gpuNode(node, rapid.SampledFrom([]string{"1", "2"}).Draw(t, "boot"), 2)}}
	case 10:
		c.Op = &pb.Command_LoseNode{LoseNode: &pb.LoseNode{Node: node, Reason: "test"}}
	case 11:
		c.Op = &pb.Command_DrainNode{DrainNode: &pb.DrainNode{Node: node, Drain: rapid.Bool().Draw(t, "drain")}}
	case 12:
		c.Op = &pb.Command_PutQueue{PutQueue: &pb.PutQueue{Queue: &pb.Queue{Name: "q" + node, Weight: 2, Parent: rapid.SampledFrom([]string{"", "qa"}).Draw(t, "parent")}}}
		if rapid.Bool().Draw(t, "server") {
			c.Op = &pb.Command_PutServer{PutServer: &pb.PutServer{Id: node, RaftAddress: "x:1", ApiAddress: "x:2"}}
		}
	case 13:
		c.Op = &pb.Command_Sweep{Sweep: &pb.Sweep{RequestsBeforeMs: 1 << 39, JobsEndedBeforeMs: 1 << 41, Limit: 3}}
	case 14:
		c.Op = &pb.Command_ActOnTasks{ActOnTasks: &pb.ActOnTasks{
			JobId: job, Action: pb.TaskAction(rapid.IntRange(1, 13).Draw(t, "action")), Stride: 3, Priority: rapid.Int32Range(-9, 9).Draw(t, "priority"),
			Indices: []*pb.IndexRange{{First: rapid.Int64Range(0, 3).Draw(t, "first"), Last: 4, Step: 1}},
		}}
	case 15:
		c.Op = &pb.Command_PutLimit{PutLimit: &pb.PutLimit{Limit: &pb.Limit{Name: "maya", Count: rapid.Int64Range(0, 9).Draw(t, "count"), Scope: pb.LimitScope(rapid.IntRange(0, 3).Draw(t, "scope"))}}}
		if rapid.IntRange(0, 4).Draw(t, "remove") == 0 {
			c.Op = &pb.Command_RemoveLimit{RemoveLimit: &pb.RemoveLimit{Name: "maya"}}
		}
	}
	return c
}

func (w walker) spec(t *rapid.T) *pb.JobSpec {
	spec := array(rapid.SampledFrom([]string{"one", "two"}).Draw(t, "name"), rapid.Int64Range(1, 6).Draw(t, "tasks"))
	spec.Queue = rapid.SampledFrom([]string{"", "", "qa"}).Draw(t, "queue")
	spec.Labels = map[string]string{"b": "1", "a": "2"}
	g := spec.Groups[0]
	g.Gang = rapid.Bool().Draw(t, "gang")
	g.AutoChunk = !g.Gang
	g.Retries, g.RetryBackoffMs, g.AvoidAfter, g.AvoidForMs, g.MaxMemoryMib = 3, 5000, 1, 9000, 4096
	g.ExitCodes = &pb.ExitCodes{Requeue: []int32{33}, Fatal: []int32{2}}
	g.Limits = map[string]int64{"maya": 1}
	spec.Singleton = rapid.Bool().Draw(t, "singleton")
	g.Constraints = []*pb.Constraint{{Attribute: "arch", Operator: pb.Operator_OPERATOR_IN, Values: []*pb.AttributeValue{{Value: &pb.AttributeValue_Text{Text: "amd64"}}}}}
	g.Variants[0].Resources.Devices = []*pb.DeviceRequest{{Kind: "gpu", Count: 1, Thousandths: 500}}
	if rapid.Bool().Draw(t, "second group") {
		second := array("x", 2).Groups[0]
		second.Name, second.DependsOn = "after", []*pb.Dependency{{Group: "part"}}
		spec.Groups = append(spec.Groups, second)
	}
	return spec
}

func (w walker) plan(t *rapid.T, s *state.Snapshot, job string) *pb.ApplyPlan {
	set := &pb.PlacementSet{JobId: job}
	if j, ok := s.Job(job); ok {
		g := rapid.IntRange(0, len(j.Groups)-1).Draw(t, "group")
		set.Group, set.Gang = int32(g), j.Spec.Groups[g].Gang
		for ready := j.Ready(g, s.Time()); !ready.Empty(); {
			tasks := ready.First(1)
			if !set.Gang {
				tasks = ready.First(rapid.Int64Range(1, 3).Draw(t, "chunk"))
			}
			ready = ready.Subtract(tasks)
			p := &pb.Placement{Node: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "on")}
			if p.Ordinal, _ = tasks.Min(); tasks.Len() > 1 {
				p.Tasks = tasks.Pairs()
			}
			if rapid.Bool().Draw(t, "device") {
				p.Devices = []*pb.DeviceShare{{DeviceId: rapid.SampledFrom([]string{"gpu0", "gpu1"}).Draw(t, "gpu"), Thousandths: 500, MemoryMib: 50}}
			}
			set.Placements = append(set.Placements, p)
		}
	}
	p := &pb.ApplyPlan{Sets: []*pb.PlacementSet{set}}
	for a := range s.LiveOn("a") {
		if rapid.IntRange(0, 9).Draw(t, "stop") == 0 {
			p.Stops = append(p.Stops, &pb.PlannedStop{AllocationId: a.ID, Reason: "preempted"})
		}
	}
	return p
}

func (w walker) report(t *rapid.T, s *state.Snapshot, node string) *pb.ReportAllocations {
	r := &pb.ReportAllocations{Node: node}
	for a := range s.LiveOn(node) {
		if rapid.Bool().Draw(t, "report") {
			r.Reports = append(r.Reports, &pb.AllocationReport{
				AllocationId: a.ID, State: pb.AllocationState(rapid.IntRange(1, 6).Draw(t, "state")),
				Exit:  &pb.Exit{Code: rapid.SampledFrom([]int32{0, 1, 75}).Draw(t, "code"), Reason: rapid.SampledFrom([]string{model.ReasonExited, model.ReasonOOM}).Draw(t, "reason")},
				Usage: &pb.Usage{CpuMs: 5, PeakMemoryBytes: 6, Limits: "v2"}, Done: []int64{0, 1}, Failed: []int64{1, 2},
			})
		}
	}
	return r
}
