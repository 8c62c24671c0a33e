// Package simnodes describes simulated nodes in the shape of the catalogue's
// machines.
package simnodes

import (
	"fmt"
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/family"
	"caravan/scheduler/model"
)

// racks is how many racks each family's nodes are spread over.
const racks = 4

// Parse reads a fleet such as "gn4=2,ga1=1,c4=4" and returns its nodes, named
// gn4-1, gn4-2, ga1-1 and so on.
func Parse(fleet string) ([]*pb.NodeInfo, error) {
	c, err := family.Load()
	if err != nil {
		return nil, err
	}
	counts, err := c.ParseFleet(fleet)
	if err != nil {
		return nil, err
	}
	var nodes []*pb.NodeInfo
	numbers := make(map[string]int)
	for _, n := range counts {
		for range n.Nodes {
			numbers[n.Type.Family]++
			nodes = append(nodes, node(n.Type, numbers[n.Type.Family]))
		}
	}
	return nodes, nil
}

// node describes the i-th machine of a family.
func node(t family.Type, i int) *pb.NodeInfo {
	name := fmt.Sprintf("%s-%d", t.Family, i)
	disk := t.Disks.TotalGB * 1_000_000_000 >> 20
	if disk == 0 {
		disk = 100 << 10 // a system disk of 100 GiB
	}
	n := &pb.NodeInfo{
		Name: name, InstanceType: t.Name, Family: t.Family, Zone: "sim", Rack: fmt.Sprintf("sim-%d", i%racks),
		CpuMilli: t.VCPU * 1000, MemoryMib: t.MemMiB, DiskMib: disk, Simulated: true,
		Attributes: map[string]*pb.AttributeValue{"net_mbps": milli(t.NetMbps * 1000)},
	}
	for _, share := range t.Devices {
		for k, left := 0, share.Thousandths; left > 0; k, left = k+1, left-min(left, family.Whole) {
			n.Devices = append(n.Devices, device(name, k, share.Part, min(left, family.Whole)))
		}
	}
	return n
}

// sessions is how many encoder sessions a simulated card with video engines has:
// a round number, for real ones report theirs.
const sessions = 16

// device describes a device, or the slice of one that the machine has.
func device(node string, i int, p family.Part, thousandths int64) *pb.Device {
	d := &pb.Device{
		Id: fmt.Sprintf("%s-%s-%d", node, strings.ToLower(p.Name), i), Kind: string(p.Kind), Vendor: p.Vendor, Model: p.Name,
		MemoryMib: p.MemMiB * thousandths / family.Whole, Thousandths: int32(thousandths), Healthy: true, //nolint:gosec // at most 1000
		Attributes: make(map[string]*pb.AttributeValue),
	}
	// Thousandths of a TFLOPS are GFLOPS.
	for name, value := range map[string]int64{
		"cores": p.Cores * 1000, "fp32_tflops": p.FP32GFLOPS, "fp64_tflops": p.FP64GFLOPS, "compute_capability": p.CC * 100,
		"watts": p.Watts * 1000, "logic_elements": p.LogicElements * 1000, "dsp": p.DSP * 1000,
	} {
		if value > 0 {
			d.Attributes[name] = milli(value)
		}
	}
	if p.Kind == family.FPGA {
		d.Attributes[model.AttributeRegion] = &pb.AttributeValue{Value: &pb.AttributeValue_Text{Text: "empty"}}
	}
	if p.MediaEngine == family.Yes {
		for name, whole := range map[string]int64{model.AttributeSessions: sessions * 1000, model.AttributeEncode: 1000, model.AttributeDecode: 1000} {
			d.Attributes[name] = milli(whole * thousandths / family.Whole)
		}
	}
	return d
}

func milli(n int64) *pb.AttributeValue {
	return &pb.AttributeValue{Value: &pb.AttributeValue_Milli{Milli: n}}
}
