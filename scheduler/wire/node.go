package wire

import (
	"cmp"
	"slices"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

// AttributeFromProto converts an attribute value; an unset one becomes an empty text.
func AttributeFromProto(p *pb.AttributeValue) model.Attribute {
	if m, ok := p.GetValue().(*pb.AttributeValue_Milli); ok {
		return model.Milli(m.Milli)
	}
	return model.Text(p.GetText())
}

// AttributeToProto converts an attribute value.
func AttributeToProto(a model.Attribute) *pb.AttributeValue {
	if a.Number {
		return &pb.AttributeValue{Value: &pb.AttributeValue_Milli{Milli: a.Milli}}
	}
	return &pb.AttributeValue{Value: &pb.AttributeValue_Text{Text: a.Text}}
}

func attributesFromProto(p map[string]*pb.AttributeValue) map[string]model.Attribute {
	if len(p) == 0 {
		return nil
	}
	m := make(map[string]model.Attribute, len(p))
	for k, v := range p {
		m[k] = AttributeFromProto(v)
	}
	return m
}

func attributesToProto(m map[string]model.Attribute) map[string]*pb.AttributeValue {
	if len(m) == 0 {
		return nil
	}
	p := make(map[string]*pb.AttributeValue, len(m))
	for k, v := range m {
		p[k] = AttributeToProto(v)
	}
	return p
}

// NodeFromInfo converts what an agent says of its host. State, draining and
// times are left for the state to fill in; devices come out sorted by ID.
func NodeFromInfo(p *pb.NodeInfo) *model.Node {
	n := &model.Node{
		Name: p.Name, Address: p.Address, InstanceType: p.InstanceType, Family: p.Family, Zone: p.Zone,
		Rack: p.Rack, Attributes: attributesFromProto(p.Attributes), CPUMilli: p.CpuMilli,
		MemoryMiB: p.MemoryMib, DiskMiB: p.DiskMib, BootID: p.BootId, Version: p.Version,
		Simulated: p.Simulated, PriceMicroPerHour: p.PriceMicroPerHour, Health: HealthFromProto(p.Health),
		HealthReason: p.GetHealth().GetReason(),
	}
	for _, d := range p.Devices {
		n.Devices = append(n.Devices, model.Device{
			ID: d.Id, Kind: d.Kind, Vendor: d.Vendor, Model: d.Model, MemoryMiB: d.MemoryMib,
			Thousandths: d.Thousandths, Attributes: attributesFromProto(d.Attributes),
			Healthy: d.Healthy, HealthReason: d.HealthReason, Identity: d.Identity, Health: HealthFromProto(d.Health),
		})
	}
	n.DeviceLinks = p.DeviceLinks
	slices.SortFunc(n.Devices, func(a, b model.Device) int { return cmp.Compare(a.ID, b.ID) })
	return n
}

// NodeInfoToProto is the inverse of NodeFromInfo.
func NodeInfoToProto(n *model.Node) *pb.NodeInfo {
	p := &pb.NodeInfo{
		Name: n.Name, Address: n.Address, InstanceType: n.InstanceType, Family: n.Family, Zone: n.Zone,
		Rack: n.Rack, Attributes: attributesToProto(n.Attributes), CpuMilli: n.CPUMilli,
		MemoryMib: n.MemoryMiB, DiskMib: n.DiskMiB, BootId: n.BootID, Version: n.Version,
		Simulated: n.Simulated, PriceMicroPerHour: n.PriceMicroPerHour, Health: HealthToProto(n.Health, n.HealthReason), DeviceLinks: n.DeviceLinks,
	}
	for i := range n.Devices {
		d := &n.Devices[i]
		p.Devices = append(p.Devices, &pb.Device{
			Id: d.ID, Kind: d.Kind, Vendor: d.Vendor, Model: d.Model, MemoryMib: d.MemoryMiB,
			Thousandths: d.Thousandths, Attributes: attributesToProto(d.Attributes),
			Healthy: d.Healthy, HealthReason: d.HealthReason, Identity: d.Identity, Health: HealthToProto(d.Health, ""),
		})
	}
	return p
}

// NodeToProto gives a node's view with what is in use, from what is free.
func NodeToProto(n *model.Node, free *resource.Free, allocations int64) *pb.Node {
	p := &pb.Node{
		Info: NodeInfoToProto(n), State: pb.NodeState(n.State), Draining: n.Draining,
		RegisteredMs: int64(n.RegisteredAt), ChangedMs: int64(n.ChangedAt), Allocations: allocations,
		UsedCpuMilli:  n.CPUMilli - free.CPUMilli,
		UsedMemoryMib: n.MemoryMiB - free.MemoryMiB,
		UsedDiskMib:   n.DiskMiB - free.DiskMiB,
	}
	for i := range n.Devices {
		d := &n.Devices[i]
		media := d.Media().Minus(free.Devices[i].Media)
		if used := d.Thousandths - free.Devices[i].Thousandths; used != 0 {
			p.UsedDevices = append(p.UsedDevices, &pb.DeviceShare{
				DeviceId: d.ID, Thousandths: used, MemoryMib: d.MemoryMiB - free.Devices[i].MemoryMiB,
				EncoderSessions: media.Sessions, EncodeMilli: media.EncodeMilli, DecodeMilli: media.DecodeMilli,
			})
		}
	}
	return p
}

// QueueFromProto converts a queue.
func QueueFromProto(p *pb.Queue) *model.Queue {
	return &model.Queue{
		Name: p.Name, Parent: p.Parent, Weight: p.Weight, MaxCPUMilli: p.MaxCpuMilli,
		MaxMemoryMiB: p.MaxMemoryMib, MaxDevicesMilli: p.MaxDevicesMilli,
	}
}

// QueueToProto converts a queue.
func QueueToProto(q *model.Queue) *pb.Queue {
	return &pb.Queue{
		Name: q.Name, Parent: q.Parent, Weight: q.Weight, MaxCpuMilli: q.MaxCPUMilli,
		MaxMemoryMib: q.MaxMemoryMiB, MaxDevicesMilli: q.MaxDevicesMilli,
	}
}
