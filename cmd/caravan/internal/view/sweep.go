package view

import (
	"fmt"
	"io"
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// sweeps writes the axes of each group that is a sweep.
func sweeps(w io.Writer, j *pb.Job) {
	for _, g := range j.Spec.GetGroups() {
		var axes []string
		m := wire.MatrixFromProto(g.Matrix)
		for i := range m {
			axes = append(axes, m[i].Name+": "+m[i].Describe())
		}
		if axes != nil {
			fmt.Fprintf(w, "  %s sweeps %s\n", g.Name, strings.Join(axes, "; "))
		}
	}
}

// points returns what the tasks of a job's sweeps stand for, as in "lr=0.1 seed=3"; nil for a
// job without any.
func points(j *pb.Job) func(*pb.Task) string {
	matrices := map[string]model.Matrix{}
	for _, g := range j.Spec.GetGroups() {
		if len(g.Matrix) > 0 {
			matrices[g.Name] = wire.MatrixFromProto(g.Matrix)
		}
	}
	if len(matrices) == 0 {
		return nil
	}
	return func(t *pb.Task) string {
		var words []string
		m := matrices[t.Group]
		for i, v := range m.At(t.Ordinal) {
			words = append(words, m[i].Name+"="+v)
		}
		return strings.Join(words, " ")
	}
}
