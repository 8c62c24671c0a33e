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
	if memory, ok := as[int64](f.get("memory")); ok {
		d.MemoryMib = memory
		b.put(path+".memory_mib", f.get("memory"))
	}
	d.Image = take(b, f, "image", path+".image", "")
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
	d.Constraints = b.putTerms(terms, v, path+".constraints")
	return d
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
