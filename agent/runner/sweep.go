package runner

import (
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/wire"
)

// axisVariable is the variable with the value of an axis of a sweep.
func axisVariable(axis string) string { return "CARAVAN_MATRIX_" + strings.ToUpper(axis) }

// point returns the variables with what a sweep's task is to try; none for other tasks.
func point(a *pb.Assignment) map[string]string {
	axes := a.Group.GetMatrix()
	if len(axes) == 0 || len(a.Allocation.Indices) == 0 {
		return nil
	}
	env := make(map[string]string, len(axes))
	for i, v := range wire.MatrixFromProto(axes).At(a.Allocation.Indices[0]) {
		env[axisVariable(axes[i].Name)] = v
	}
	return env
}
