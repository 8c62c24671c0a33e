package view

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	pb "caravan/api/caravanv1"
)

// Limits writes the operator's limits with what is held of them.
func Limits(w io.Writer, s Style, limits []*pb.LimitStatus) {
	t := newTable(w, s, "LIMIT", "COUNT", "PER", "HELD", "FULLEST")
	for _, l := range limits {
		per := strings.ToLower(strings.TrimPrefix(l.Limit.GetScope().String(), "LIMIT_SCOPE_"))
		t.row(l.Limit.GetName(), strconv.FormatInt(l.Limit.GetCount(), 10), per, strconv.FormatInt(l.Used, 10), strconv.FormatInt(l.Fullest, 10))
	}
	t.flush()
}

// Some lists words, the last after "or".
func Some(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// marks writes what a group's counts do not show: what is paused, eaten, learned.
func marks(w io.Writer, j *pb.Job) {
	for _, d := range j.WaitsFor {
		condition := strings.ToLower(strings.TrimPrefix(d.Condition.String(), "DEPENDENCY_CONDITION_"))
		fmt.Fprintf(w, "  waits for job %s to have %s\n", d.Job, condition)
	}
	if len(j.AvoidedNodes) > 0 {
		fmt.Fprintf(w, "  keeps away from %s, where its tasks failed\n", some(j.AvoidedNodes, 6))
	}
	for _, g := range j.Groups {
		var facts []string
		for _, f := range []struct {
			n    int64
			word string
		}{{g.Paused, "paused"}, {g.Delayed, "to be tried again later"}, {g.Eaten, "eaten"}} {
			if f.n > 0 {
				facts = append(facts, fmt.Sprintf("%d %s", f.n, f.word))
			}
		}
		if g.AutoChunk > 1 {
			facts = append(facts, fmt.Sprintf("%d indices an attempt", g.AutoChunk))
		}
		for _, m := range g.LearnedMemoryMib {
			if m > 0 {
				facts = append(facts, mib(m)+" of memory, as learned")
			}
		}
		if len(facts) > 0 {
			fmt.Fprintf(w, "  %s: %s\n", g.Name, strings.Join(facts, ", "))
		}
	}
}
