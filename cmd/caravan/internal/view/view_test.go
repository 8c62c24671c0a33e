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
