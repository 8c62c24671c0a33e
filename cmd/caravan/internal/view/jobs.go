package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	pb "caravan/api/caravanv1"
)

// Jobs writes a list of jobs.
func Jobs(w io.Writer, s Style, jobs []*pb.Job) {
	header := []string{"JOB", "*STATE", "DONE", "FAILED", "QUEUE", "OWNER", "SUBMITTED", "RUN TIME"}
	if s.Wide {
		header = append(header, "PRIORITY", "GROUPS", "LABELS")
	}
	t := newTable(w, s, header...)
	for _, j := range jobs {
		sum := total(j.Groups)
		row := []string{
			sim(j.Id, j.Simulated), s.state(Word(j.State)), fmt.Sprintf("%d/%d", sum.Succeeded, sum.Tasks), nonzero(sum.Failed),
			or(j.Spec.GetQueue(), "default"), j.Owner, s.ago(j.SubmittedMs), or(s.span(j.StartedMs, j.EndedMs), "-"),
		}
		if s.Wide {
			row = append(row, strconv.Itoa(int(j.Spec.GetPriority())), strconv.Itoa(len(j.Groups)), labels(j.Spec.GetLabels()))
		}
		t.row(row...)
	}
	t.flush()
}

// total adds the counts of groups.
func total(groups []*pb.GroupStatus) *pb.GroupStatus {
	sum := &pb.GroupStatus{}
	for _, g := range groups {
		sum.Tasks += g.Tasks
		sum.Blocked += g.Blocked
		sum.Pending += g.Pending
		sum.Running += g.Running
		sum.Succeeded += g.Succeeded
		sum.Failed += g.Failed
		sum.Stopped += g.Stopped
	}
	return sum
}

func nonzero(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func labels(m map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+"="+m[k])
	}
	return strings.Join(parts, ",")
}
