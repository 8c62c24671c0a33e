package agent

import (
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/family"
)

// machine says what type of the catalogue the host is.
type machine struct {
	catalogue         *family.Catalogue // nil: it is not looked up
	reservedMemoryMiB int64
}

// Attributes of a node whose type was found out and not given.
const (
	// attributeTypeFrom is "matched", or "guessed" where several types fit the facts.
	attributeTypeFrom = "instance_type.from"
	// attributeTypeOthers are the other types that fit, by name.
	attributeTypeOthers = "instance_type.others"
)

// maxOthers bounds the other types that are named.
const maxOthers = 8

// recognise fills in the instance type of a host that nobody has named, and the family of one that
// somebody has. Devices count: a host is known for what it is when its plugins have told theirs.
func (m machine) recognise(info *pb.NodeInfo) {
	if m.catalogue == nil {
		return
	}
	if info.InstanceType != "" {
		if t, err := m.catalogue.Type(info.InstanceType); err == nil && info.Family == "" {
			info.InstanceType, info.Family = t.Name, t.Family
		}
		return
	}
	facts := family.Facts{
		VCPU: info.Attributes["cpu.cores"].GetMilli() / 1000, MemMiB: info.MemoryMib + m.reservedMemoryMiB,
		CPU: info.Attributes["cpu.model"].GetText(), Devices: make(map[string]int64),
	}
	for _, d := range info.Devices {
		facts.Devices[d.Model] += int64(d.Thousandths)
	}
	found := m.catalogue.Match(facts)
	if info.Family != "" {
		found = ofFamily(found, info.Family)
	}
	if len(found) == 0 {
		return
	}
	info.InstanceType, info.Family = found[0].Name, found[0].Family
	from := "matched"
	if others := found[1:]; len(others) > 0 {
		from = "guessed"
		var names []string
		for _, t := range others[:min(len(others), maxOthers)] {
			names = append(names, t.Name)
		}
		info.Attributes[attributeTypeOthers] = text(strings.Join(names, " "))
	}
	info.Attributes[attributeTypeFrom] = text(from)
}

// figures adds what the catalogue knows of the devices' models and no driver tells, such as how fast they
// are: a job asks for `fp64_tflops: ">=1"` whatever plugin offers the device. What a plugin tells stays;
// a part of a device has its part.
func (m machine) figures(info *pb.NodeInfo) {
	if m.catalogue == nil {
		return
	}
	for _, d := range info.Devices {
		part, err := m.catalogue.Part(d.Model)
		if err != nil {
			continue
		}
		// Thousandths of a TFLOPS are GFLOPS.
		for name, milli := range map[string]int64{
			"fp32_tflops": part.FP32GFLOPS, "fp64_tflops": part.FP64GFLOPS, "cores": part.Cores * 1000,
			"logic_elements": part.LogicElements * 1000, "dsp": part.DSP * 1000,
		} {
			if _, told := d.Attributes[name]; told || milli == 0 {
				continue
			}
			if d.Attributes == nil {
				d.Attributes = make(map[string]*pb.AttributeValue)
			}
			d.Attributes[name] = &pb.AttributeValue{Value: &pb.AttributeValue_Milli{Milli: milli * int64(d.Thousandths) / family.Whole}}
		}
	}
}

func ofFamily(types []family.Type, name string) []family.Type {
	var out []family.Type
	for _, t := range types {
		if t.Family == name {
			out = append(out, t)
		}
	}
	return out
}

func text(t string) *pb.AttributeValue {
	return &pb.AttributeValue{Value: &pb.AttributeValue_Text{Text: t}}
}
