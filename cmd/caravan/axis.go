package main

import (
	"strings"

	pb "caravan/api/caravanv1"
)

// axisConditions reads AXIS=VALUE,VALUE...
func axisConditions(words []string) ([]*pb.AxisCondition, error) {
	var out []*pb.AxisCondition
	for _, w := range words {
		axis, values, ok := strings.Cut(w, "=")
		if !ok || axis == "" {
			return nil, &usageError{"--matrix " + w + " is no condition", "write --matrix lr=0.1"}
		}
		out = append(out, &pb.AxisCondition{Axis: axis, Values: strings.Split(values, ",")})
	}
	return out, nil
}
