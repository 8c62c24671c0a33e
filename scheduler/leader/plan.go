package leader

import (
	"google.golang.org/protobuf/proto"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/core"
	"caravan/scheduler/wire"
)

// maxPartBytes bounds one part of a plan, well inside a raft entry of 400 KiB.
const maxPartBytes = 300 << 10

// split turns a plan into commands that each fit a raft entry. A gang is never
// cut, and neither is the order of what was decided.
func split(p *core.Plan) []*pb.ApplyPlan {
	s := &splitter{}
	for i := range p.Sets {
		s.set(&p.Sets[i])
	}
	for _, stop := range p.Stops {
		m := &pb.PlannedStop{AllocationId: stop.Allocation, Reason: stop.Reason}
		s.room(proto.Size(m))
		s.part.Stops = append(s.part.Stops, m)
	}
	return s.parts
}

// splitter fills parts in order.
type splitter struct {
	parts []*pb.ApplyPlan
	part  *pb.ApplyPlan
	bytes int
}

// perItem allows for the tag and length around an item.
const perItem = 8

// room opens a new part unless n more bytes fit the current one.
func (s *splitter) room(n int) (fresh bool) {
	if s.part == nil || (s.bytes > 0 && s.bytes+n+perItem > maxPartBytes) {
		s.part, s.bytes, fresh = &pb.ApplyPlan{}, 0, true
		s.parts = append(s.parts, s.part)
	}
	s.bytes += n + perItem
	return fresh
}

func (s *splitter) set(c *core.PlacementSet) {
	header := &pb.PlacementSet{JobId: c.Job, Group: int32(c.Group), Variant: int32(c.Variant), Gang: c.Gang} //nolint:gosec // bounded by the limits on a job
	if c.Gang {
		for _, p := range c.Placements {
			header.Placements = append(header.Placements, placementToProto(p))
		}
		s.room(proto.Size(header))
		s.part.Sets = append(s.part.Sets, header)
		return
	}
	var open *pb.PlacementSet
	for _, p := range c.Placements {
		m := placementToProto(p)
		if s.room(proto.Size(m)) || open == nil {
			open = &pb.PlacementSet{JobId: header.JobId, Group: header.Group, Variant: header.Variant}
			s.bytes += proto.Size(open) + perItem
			s.part.Sets = append(s.part.Sets, open)
		}
		open.Placements = append(open.Placements, m)
	}
}

func placementToProto(p core.Placement) *pb.Placement {
	return &pb.Placement{Ordinal: p.Ordinal, Node: p.Node, Devices: wire.SharesToProto(p.Devices), Tasks: p.Chunk.Pairs()}
}
