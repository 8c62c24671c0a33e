package slurmcli

import (
	"fmt"
	"strconv"
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/api/jobspec"
)

// readIDs reads ids of jobs: 123, 123_4, 123_[1-5,9], or our own as in film-17. A step, as in
// 123.0 or 123.batch, stands for its job.
func readIDs(list []string) ([]wanted, error) {
	var out []wanted
	for _, text := range list {
		for _, id := range splitIDs(text) {
			job, indices, arrayed := strings.Cut(id, "_")
			job, _, _ = strings.Cut(job, ".")
			w := wanted{job: job}
			if _, err := strconv.ParseInt(job, 10, 64); err != nil && !strings.Contains(job, "-") {
				return nil, fmt.Errorf("invalid job id %s", id)
			}
			if indices, _, _ = strings.Cut(indices, "."); arrayed && indices != "*" {
				ranges, _, err := jobspec.ParseArray(strings.Trim(indices, "[]"))
				if err != nil {
					return nil, fmt.Errorf("invalid job id %s", id)
				}
				w.indices = ranges
			}
			out = append(out, w)
		}
	}
	return out, nil
}

// splitIDs splits at commas that stand in no bracket.
func splitIDs(text string) []string {
	depth := 0
	return strings.FieldsFunc(text, func(r rune) bool {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		}
		return r == ',' && depth == 0
	})
}

// element narrows an id that is the number of a task of an array down to that task.
func element(j *pb.Job, w wanted) wanted {
	n, err := strconv.ParseInt(w.job, 10, 64)
	if err != nil || len(w.indices) > 0 {
		return w
	}
	ordinal := n - number(j.Id)
	for _, g := range j.GetSpec().GetGroups() {
		for _, x := range g.Indices {
			count := (x.Last-x.First)/x.Step + 1
			if ordinal > 0 && ordinal < count || ordinal == 0 && n != number(j.Id) {
				at := x.First + ordinal*x.Step
				w.indices = []*pb.IndexRange{{First: at, Last: at, Step: 1}}
				return w
			}
			if n == number(j.Id) {
				return w
			}
			ordinal -= count
		}
	}
	return w
}
