package wire

import (
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// HealthFromProto converts health; nil becomes the zero value. The reason is the caller's to keep.
func HealthFromProto(p *pb.Health) model.Health {
	return model.Health{
		State: healthState(p.GetState()), Since: model.Time(p.GetSinceMs()), LastFault: model.Time(p.GetLastFaultMs()),
		Order: p.GetOrder(), History: HistoryFromProto(p.GetHistory()),
	}
}

// healthState turns a number out of range into the unset state.
func healthState(s pb.HealthState) model.HealthState {
	if s < 0 || s > pb.HealthState(model.RMA) {
		return model.HealthUnset
	}
	return model.HealthState(s)
}

// HealthToProto converts health; nothing known becomes nil.
func HealthToProto(h model.Health, reason string) *pb.Health {
	p := &pb.Health{
		State: pb.HealthState(h.State), SinceMs: int64(h.Since), Reason: reason, History: HistoryToProto(h.History),
		Order: h.Order, LastFaultMs: int64(h.LastFault),
	}
	if h.State == model.HealthUnset && h.Order == 0 && h.LastFault == 0 && reason == "" && len(p.History) == 0 {
		return nil
	}
	return p
}

// HistoryFromProto converts a history.
func HistoryFromProto(ps []*pb.HealthEntry) []model.HealthEntry {
	var es []model.HealthEntry
	for _, p := range ps {
		es = append(es, model.HealthEntry{At: model.Time(p.TimeMs), Fault: p.Fault, State: healthState(p.State)})
	}
	return es
}

// HistoryToProto converts a history.
func HistoryToProto(es []model.HealthEntry) []*pb.HealthEntry {
	var ps []*pb.HealthEntry
	for _, e := range es {
		ps = append(ps, &pb.HealthEntry{TimeMs: int64(e.At), Fault: e.Fault, State: pb.HealthState(e.State)})
	}
	return ps
}

// OrderFromProto converts an order; nil becomes the zero value, which is no order.
func OrderFromProto(p *pb.HealthOrder) model.HealthOrder {
	if p == nil {
		return model.HealthOrder{}
	}
	o := model.HealthOrder{
		Index: p.Index, Device: p.Device, Reason: p.Reason, Finish: p.Finish, Fault: p.Fault, By: p.By, At: model.Time(p.TimeMs),
	}
	if p.Verb > 0 && p.Verb <= pb.HealthVerb(model.OrderFault) {
		o.Verb = model.HealthVerb(p.Verb)
	}
	return o
}

// OrderToProto converts an order; no order becomes nil.
func OrderToProto(o model.HealthOrder) *pb.HealthOrder {
	if o == (model.HealthOrder{}) {
		return nil
	}
	return &pb.HealthOrder{
		Index: o.Index, Device: o.Device, Verb: pb.HealthVerb(o.Verb), Reason: o.Reason, Finish: o.Finish, Fault: o.Fault,
		By: o.By, TimeMs: int64(o.At),
	}
}
