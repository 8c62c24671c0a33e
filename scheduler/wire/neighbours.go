package wire

import (
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

func spreadFromProto(ps []*pb.Spread) []model.Spread {
	var rules []model.Spread
	for _, p := range ps {
		rules = append(rules, model.Spread{Over: domainFromProto(p.Over), MaxSkew: max(1, p.MaxSkew)})
	}
	return rules
}

func spreadToProto(rules []model.Spread) []*pb.Spread {
	var ps []*pb.Spread
	for _, s := range rules {
		ps = append(ps, &pb.Spread{Over: pb.Domain(s.Over), MaxSkew: s.MaxSkew})
	}
	return ps
}

func apartFromProto(ps []*pb.Apart) []model.Apart {
	var rules []model.Apart
	for _, p := range ps {
		rules = append(rules, model.Apart{Job: p.Job, Label: p.Label, Value: p.Value, WithValue: p.WithValue, Over: domainFromProto(p.Over)})
	}
	return rules
}

func apartToProto(rules []model.Apart) []*pb.Apart {
	var ps []*pb.Apart
	for _, a := range rules {
		ps = append(ps, &pb.Apart{Job: a.Job, Label: a.Label, Value: a.Value, WithValue: a.WithValue, Over: pb.Domain(a.Over)})
	}
	return ps
}

// domainFromProto takes an unset domain for a node, and an unknown one for none,
// which model.Validate refuses.
func domainFromProto(d pb.Domain) model.Domain {
	switch d {
	case pb.Domain_DOMAIN_UNSPECIFIED, pb.Domain_DOMAIN_NODE:
		return model.DomainNode
	case pb.Domain_DOMAIN_RACK:
		return model.DomainRack
	case pb.Domain_DOMAIN_ZONE:
		return model.DomainZone
	}
	return 0
}
