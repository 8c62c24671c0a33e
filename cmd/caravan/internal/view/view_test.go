package view_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "caravan/api/caravanv1"
	"caravan/cmd/caravan/internal/view"
)

// now is the time of every scenario: 1,000,000 s after the epoch.
var now = time.Unix(1_000_000, 0).UTC()

// Each scenario gives an API message as JSON and shows what people see of it.
// Arguments: wide, color.
func TestScreens(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			style := view.Style{Now: now, Wide: d.HasArg("wide"), Color: d.HasArg("color")}
			var b strings.Builder
			switch d.Cmd {
			case "jobs":
				view.Jobs(&b, style, read(t, d, &pb.ListJobsResponse{}).Jobs)
			case "status":
				parts := strings.SplitN(d.Input, "\ntasks:\n", 2)
				job := &pb.Job{}
				unmarshal(t, d, parts[0], job)
				tasks := &pb.ListTasksResponse{}
				if len(parts) == 2 {
					unmarshal(t, d, parts[1], tasks)
				}
				view.Status(&b, style, job, tasks.Tasks)
			case "why":
				view.Why(&b, style, read(t, d, &pb.Explanation{}))
			case "explain":
				view.Explain(&b, style, read(t, d, &pb.AllocationExplanation{}))
			case "dry-run":
				view.DryRun(&b, style, "ladder", read(t, d, &pb.DryRunJobResponse{}))
			case "nodes":
				view.Nodes(&b, style, read(t, d, &pb.ListNodesResponse{}).Nodes)
			case "node":
				view.Node(&b, style, read(t, d, &pb.Node{}))
			case "queues":
				view.Queues(&b, style, read(t, d, &pb.ListQueuesResponse{}).Queues)
			case "cluster":
				view.Cluster(&b, style, read(t, d, &pb.Cluster{}))
			case "event":
				view.Event(&b, style, read(t, d, &pb.Event{}))
			case "submitted":
				view.Submitted(&b, style, read(t, d, &pb.SubmitJobResponse{}))
			default:
				d.Fatalf(t, "no screen %s", d.Cmd)
			}
			return strings.ReplaceAll(b.String(), "\x1b", "ESC")
		})
	})
}

func read[M proto.Message](t *testing.T, d *datadriven.TestData, m M) M {
	unmarshal(t, d, d.Input, m)
	return m
}

func unmarshal(t *testing.T, d *datadriven.TestData, text string, m proto.Message) {
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		d.Fatalf(t, "%v", err)
	}
}

func TestDurationsHaveAtMostTwoUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0ms", 250 * time.Millisecond: "250ms", 59 * time.Second: "59s", 61 * time.Second: "1m01s",
		3*time.Hour + 5*time.Minute + 9*time.Second: "3h05m", 50 * time.Hour: "2d02h", 7 * time.Minute: "7m",
	} {
		if got := view.Duration(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestTextsOfOthersCannotDriveTheTerminal(t *testing.T) {
	job := &pb.Job{
		Owner: "a\x1b[2Jna",
		Spec:  &pb.JobSpec{Labels: map[string]string{"k\a": "v\x9b1m"}, Groups: []*pb.TaskGroup{{Verify: []string{"x\ny"}}}},
	}
	view.Scrub(job)
	want := &pb.Job{
		Owner: "a\uFFFD[2Jna",
		Spec:  &pb.JobSpec{Labels: map[string]string{"k\uFFFD": "v\uFFFD1m"}, Groups: []*pb.TaskGroup{{Verify: []string{"x\uFFFDy"}}}},
	}
	if !proto.Equal(job, want) {
		t.Errorf("got %v", job)
	}
}

// A node with devices tells what they run, how close they are, and how its type is known.
func TestANodesPageTellsOfRegionsLinksAndType(t *testing.T) {
	text := func(s string) *pb.AttributeValue {
		return &pb.AttributeValue{Value: &pb.AttributeValue_Text{Text: s}}
	}
	n := &pb.Node{State: pb.NodeState_NODE_STATE_READY, Info: &pb.NodeInfo{
		Name: "f1-1", InstanceType: "ecs.f1-c28f1.14xlarge",
		Attributes: map[string]*pb.AttributeValue{"instance_type.from": text("guessed"), "instance_type.others": text("a b")},
		Devices: []*pb.Device{
			{Id: "d0", Kind: "fpga", Model: "A10", Thousandths: 1000, Healthy: true, Attributes: map[string]*pb.AttributeValue{
				"region": text("ready"), "image": text("aes"), "images": text("aes,sha"), "reprogram_ms": {Value: &pb.AttributeValue_Milli{Milli: 2_500_000}},
			}},
			{Id: "d1", Kind: "gpu", Model: "M40", Thousandths: 1000, Healthy: true},
			{Id: "d2", Kind: "gpu", Model: "M40", Thousandths: 1000},
		},
		DeviceLinks: []int32{10, 20, 150},
	}}
	var b strings.Builder
	view.Node(&b, view.Style{}, n)
	for _, want := range []string{
		"type ecs.f1-c28f1.14xlarge (guessed; or a or b)", "f1-1  d0      A10    ready  aes   aes, sha  2s", "0 d0   -   10   20", "1 d1   10  -    150", "2 d2   20  150  -", "unhealthy",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

func TestUsageTellsWhatIsKeptAndWhatIsBooked(t *testing.T) {
	j := &pb.Job{Id: "j-1", Spec: &pb.JobSpec{Name: "j", Groups: []*pb.TaskGroup{{Name: "g", Indices: []*pb.IndexRange{{Last: 1, Step: 1}}}}}}
	tasks := []*pb.Task{{JobId: "j-1", Group: "g", Last: &pb.Allocation{Id: "a"}}, {JobId: "j-1", Group: "g", Ordinal: 1, Last: &pb.Allocation{Id: "b"}}}
	usage := []*pb.TaskUsage{
		{AllocationId: "b", Limits: []*pb.UsageLimit{{Name: "memory_mib", Value: "64", Enforcement: pb.Enforcement_ENFORCEMENT_ACCOUNTED}}},
		{AllocationId: "a", Notes: []string{"it runs anywhere"}, Limits: []*pb.UsageLimit{
			{Name: "cpu_milli", Value: "500", Enforcement: pb.Enforcement_ENFORCEMENT_ENFORCED},
			{Name: "memory_mib", Value: "3072", DeviceId: "d", Enforcement: pb.Enforcement_ENFORCEMENT_ACCOUNTED},
		}, Devices: []*pb.DeviceUsage{{
			DeviceId: "d", Thousandths: 250, EnergyMj: 7_200_000, PeakMemoryBytes: 2 << 30,
			Values: map[string]int64{"busy_thousandths": 420, "memory_used_bytes": 1 << 30, "power_milliwatts": 50_000},
		}}},
	}
	var few, all strings.Builder
	view.Usage(&few, view.Style{}, j, tasks, usage, false)
	view.Usage(&all, view.Style{}, j, tasks, usage, true)
	for _, want := range []string{
		"0.25   1 GiB   2 GiB  42 %  50 W   2 Wh", "enforced: cpu_milli 500; accounted only: d memory_mib 3072", "it runs anywhere",
	} {
		if !strings.Contains(few.String(), want) {
			t.Errorf("%q is missing in\n%s", want, few.String())
		}
	}
	if strings.Contains(few.String(), "memory_mib 64") || !strings.Contains(all.String(), "memory_mib 64") {
		t.Errorf("a task without devices:\n%s\nand all:\n%s", few.String(), all.String())
	}
}
