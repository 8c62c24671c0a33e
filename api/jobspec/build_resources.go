package jobspec

import (
	"fmt"

	"caravan/api/caravanv1"
)

func (b *builder) resources(v *value, path string) *caravanv1.Resources {
	b.putKey(path, v)
	f, _ := as[fields](v)
	return &caravanv1.Resources{
		CpuMilli:  take[int64](b, f, "cpu", path+".cpu_milli", defaultCPUMilli),
		MemoryMib: take[int64](b, f, "memory", path+".memory_mib", defaultMemoryMiB),
		DiskMib:   take[int64](b, f, "disk", path+".disk_mib", 0),
		Devices:   b.devices(f.get("devices"), path+".devices"),
	}
}

func (b *builder) devices(v *value, path string) []*caravanv1.DeviceRequest {
	b.putKey(path, v)
	list, _ := as[[]*value](v)
	var devices []*caravanv1.DeviceRequest
	for i, c := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		b.put(at, c)
		if f, ok := as[fields](c); ok {
			devices = append(devices, b.device(c, f, at))
		}
	}
	var total int32
	for _, d := range devices {
		total += d.GetCount()
	}
	if len(devices) > 1 && total > maxDevices {
		b.report(v.start(), v.path, fmt.Sprintf("one task asks for %d devices", total), fmt.Sprintf("write at most %d in all; more belong to several tasks, as in count: 8 with gang: true", maxDevices))
	}
	return devices
}

func (b *builder) device(v *value, f fields, path string) *caravanv1.DeviceRequest {
	d := &caravanv1.DeviceRequest{Count: defaultDeviceCount, Thousandths: wholeDevice}
	b.deviceAmount(d, v, f, path)
	var terms []term
	for _, name := range deviceConditions() {
		found, _ := as[[]term](f.get(name))
		terms = append(terms, found...)
	}
	terms = append(terms, b.sharing(d, f.get(sharing))...)
	if memory, ok := as[int64](f.get("memory")); ok {
		d.MemoryMib = memory
		b.put(path+".memory_mib", f.get("memory"))
	}
	b.putKey(path+".constraints", f.get("constraints"))
	listed, _ := as[[]term](f.get("constraints"))
	for _, t := range listed {
		for _, own := range terms {
			if own.constraint.GetAttribute() == t.constraint.GetAttribute() {
				b.report(t.at, join(f.get("constraints").path, t.constraint.GetAttribute()), "is written above as well", "keep one of the two")
				break
			}
		}
	}
	terms = append(terms, listed...)
	sortTerms(terms)
	d.Constraints = b.where(b.putTerms(terms, v, path+".constraints"), f.get("where"), path+".constraints")
	b.engines(d, f, path)
	return d
}

// sharing turns a way of sharing into a condition on the device.
func (b *builder) sharing(d *caravanv1.DeviceRequest, v *value) []term {
	way, ok := as[string](v)
	part := d.GetThousandths() < wholeDevice
	switch {
	case !ok:
		return nil
	case d.GetKind() == "fpga":
		b.report(v.key, v.path, "an fpga is not shared", "ask for a gpu, or remove it")
		return nil
	case way == exclusively && part:
		b.report(v.at, v.path, "a part of a device is never exclusive", "write gpu: 1, or name a way of sharing: mps, time_slice or mig")
		return nil
	case way == exclusively:
		return nil
	case !part:
		b.report(v.at, v.path, fmt.Sprintf("a whole device is not shared by %s", way), "ask for a part, as in gpu: 0.25, or write sharing: exclusive")
		return nil
	}
	return []term{{at: v.at, constraint: &caravanv1.Constraint{
		Attribute: sharing, Operator: caravanv1.Operator_OPERATOR_IN, Values: []*caravanv1.AttributeValue{{Value: &caravanv1.AttributeValue_Text{Text: way}}},
	}}}
}

// engines sets what a device has beside its share and memory.
func (b *builder) engines(d *caravanv1.DeviceRequest, f fields, path string) {
	d.Image = take(b, f, "image", path+".image", "")
	d.EncoderSessions = int32(take[int64](b, f, "encoder_sessions", path+".encoder_sessions", 0))
	d.EncodeMilli = int32(take[int64](b, f, "encode", path+".encode_milli", 0))
	d.DecodeMilli = int32(take[int64](b, f, "decode", path+".decode_milli", 0))
	if v := f.get("image"); v != nil && d.GetKind() == "gpu" {
		b.report(v.key, v.path, "a gpu takes no image", "ask for fpga: 1, or remove it")
	}
	for _, name := range []string{"encoder_sessions", "encode", "decode"} {
		if v := f.get(name); v != nil && d.GetKind() == "fpga" {
			b.report(v.key, v.path, "an fpga has no video engines of its own", "ask for a gpu, or name the image that encodes")
		}
	}
}

// deviceAmount sets kind, count and thousandths from the short or the long form.
func (b *builder) deviceAmount(d *caravanv1.DeviceRequest, v *value, f fields, path string) {
	var kinds []*value
	for _, name := range []string{"gpu", "fpga", "kind"} {
		if k := f.get(name); k != nil {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 {
		b.report(v.at, v.path, "does not say which device", "add gpu: 1, or kind: gpu")
		return
	}
	if len(kinds) > 1 {
		second := later(kinds[0], kinds[1])
		b.report(second.key, second.path, fmt.Sprintf("%s stands beside %s", kinds[1].name, kinds[0].name), "make it a request of its own: start another entry of the list with \"- \"")
		return
	}
	kind := kinds[0]
	b.put(path+".kind", kind)
	count, thousandths := f.get("count"), f.get("thousandths")
	if kind.name != "kind" {
		d.Kind = kind.name
		b.put(path+".count", kind)
		b.put(path+".thousandths", kind)
		for _, extra := range []*value{count, thousandths} {
			if extra != nil {
				b.report(extra.key, extra.path, fmt.Sprintf("%s stands beside %s", extra.name, kind.name),
					fmt.Sprintf("write kind: %s with count and thousandths, or %s: with the number alone", kind.name, kind.name))
			}
		}
		if amount, ok := as[int64](kind); ok && amount >= wholeDevice {
			d.Count = int32(amount / wholeDevice)
		} else if ok {
			d.Thousandths = int32(amount)
		}
		return
	}
	d.Kind, _ = as[string](kind)
	d.Count = int32(take[int64](b, f, "count", path+".count", defaultDeviceCount))
	d.Thousandths = int32(take[int64](b, f, "thousandths", path+".thousandths", wholeDevice))
	if d.GetCount() > 1 && d.GetThousandths() < wholeDevice {
		b.report(thousandths.at, thousandths.path, fmt.Sprintf("a part of a device goes with count 1, not %d", d.GetCount()),
			"write several requests for parts of several devices, or leave out thousandths for whole ones")
	}
}
