package wire

import (
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

func workspaceFromProto(p *pb.Workspace) *model.Workspace {
	if p == nil {
		return nil
	}
	return &model.Workspace{Digest: p.Digest, Bytes: p.Bytes, Path: p.Path}
}

// WorkspaceToProto converts a workspace; nil stays nil.
func WorkspaceToProto(w *model.Workspace) *pb.Workspace {
	if w == nil {
		return nil
	}
	return &pb.Workspace{Digest: w.Digest, Bytes: w.Bytes, Path: w.Path}
}

// MatrixFromProto converts the axes of a sweep.
func MatrixFromProto(ps []*pb.Axis) model.Matrix {
	var m model.Matrix
	for _, p := range ps {
		a := model.Axis{Name: p.Name, Values: p.Values}
		if p.Range != nil {
			a.Range = normalRange(p.Range)
		}
		m = append(m, a)
	}
	return m
}

// ConditionsFromProto converts conditions on the axes of a sweep.
func ConditionsFromProto(ps []*pb.AxisCondition) []model.AxisCondition {
	var cs []model.AxisCondition
	for _, p := range ps {
		cs = append(cs, model.AxisCondition{Axis: p.Axis, Values: p.Values})
	}
	return cs
}

func matrixToProto(m model.Matrix) []*pb.Axis {
	var ps []*pb.Axis
	for i := range m {
		p := &pb.Axis{Name: m[i].Name, Values: m[i].Values}
		if len(p.Values) == 0 {
			r := m[i].Range
			p.Range = &pb.IndexRange{First: r.First, Last: r.Last, Step: r.Step}
		}
		ps = append(ps, p)
	}
	return ps
}
