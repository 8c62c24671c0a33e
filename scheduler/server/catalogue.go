package server

import (
	"context"

	"google.golang.org/protobuf/proto"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/family"
	"caravan/scheduler/model"
)

// catalogue is the CatalogueService. It answers from the file that this server was started with.
type catalogue struct {
	pb.UnimplementedCatalogueServiceServer
	*Server
}

var _ pb.CatalogueServiceServer = (*catalogue)(nil)

// ListFamilies returns the families with their prices, parts and sites.
func (s *catalogue) ListFamilies(_ context.Context, r *pb.ListFamiliesRequest) (*pb.ListFamiliesResponse, error) {
	return Families(s.cfg.Catalogue, r.Name)
}

// Families writes a catalogue as the API has it: the family of that name with the parts that it holds,
// or everything for no name. Sites are always all.
func Families(c *family.Catalogue, name string) (*pb.ListFamiliesResponse, error) {
	families, parts := c.Families(), c.Parts()
	if name != "" {
		f, err := c.Family(name)
		if err != nil {
			return nil, &model.Error{Kind: model.KindNotFound, Subject: name, Message: err.Error(), Hint: "see `caravan families`"}
		}
		families, parts = []family.Family{f}, partsOf(f)
	}
	out := &pb.ListFamiliesResponse{Currency: c.Currency()}
	for _, f := range families {
		p := &pb.InstanceFamily{Name: f.Name, Class: string(f.Class), Cpu: f.CPU, Modelled: f.Modelled}
		for _, t := range f.Types {
			p.Types = append(p.Types, typeToProto(c, t))
		}
		out.Families = append(out.Families, p)
	}
	for _, p := range parts {
		w := c.PartWatts(p)
		out.Parts = append(out.Parts, &pb.DevicePart{
			Name: p.Name, Vendor: p.Vendor, Kind: string(p.Kind), MemoryMib: p.MemMiB,
			Fp32Gflops: p.FP32GFLOPS, Fp64Gflops: p.FP64GFLOPS, IdleWatts: w.Idle, ActiveWatts: w.Active,
		})
	}
	for _, s := range c.Sites() {
		out.Sites = append(out.Sites, &pb.Site{Name: s.Name, Zones: s.Zones, PueMilli: s.PUEMilli, TariffMicroPerKwh: s.TariffMicro})
	}
	return out, nil
}

// partsOf returns the parts in a family's machines, each once.
func partsOf(f family.Family) []family.Part {
	var parts []family.Part
	seen := make(map[string]bool)
	for _, t := range f.Types {
		for _, s := range t.Devices {
			if !seen[s.Part.Name] {
				seen[s.Part.Name] = true
				parts = append(parts, s.Part)
			}
		}
	}
	return parts
}

func typeToProto(c *family.Catalogue, t family.Type) *pb.InstanceType {
	price, watts := c.Price(t.Name), c.Watts(t)
	p := &pb.InstanceType{
		Name: t.Name, Vcpu: t.VCPU, MemoryMib: t.MemMiB, NetMbps: t.NetMbps, DiskGb: t.Disks.TotalGB,
		OnDemandMicroPerHour: price.OnDemandMicro, SpotMicroPerHour: price.SpotMicro, IdleWatts: watts.Idle, ActiveWatts: watts.Active,
	}
	for _, s := range t.Devices {
		p.Devices = append(p.Devices, &pb.PartShare{Part: s.Part.Name, Thousandths: s.Thousandths})
	}
	return p
}

// priced fills in the price of a node that tells its type and no price.
func priced(c *family.Catalogue, info *pb.NodeInfo) *pb.NodeInfo {
	if info.PriceMicroPerHour != 0 || info.InstanceType == "" {
		return info
	}
	price := c.Price(info.InstanceType).OnDemandMicro
	if price == 0 {
		return info
	}
	info = proto.CloneOf(info)
	info.PriceMicroPerHour = price
	return info
}
