package family

import "strings"

// family checks one family and its types, and enters the types in the catalogue.
func (b *builder) family(c *Catalogue, name string, raw rawFamily) Family {
	at := func(key string) []any { return []any{"families", name, key} }
	f := Family{
		Name: name, Class: Class(raw.Class), CPU: raw.CPU, ClockMHz: raw.GHz.milli,
		BareMetal: raw.BareMetal, Modelled: raw.Modelled, RoCEGbps: raw.RoCEGbps, Disk: raw.Disk,
		MaxIOPS: raw.MaxIOPS, ReadMBs: raw.ReadMBs, WriteMBs: raw.WriteMBs, DiskMBs: raw.DiskMBs,
		TotalMBs: raw.TotalMBs, Note: strings.TrimSpace(raw.Seed),
	}
	if !validName(name) {
		b.fail(at("class"), "family name %q may hold only a-z and 0-9, a letter first", name)
	}
	switch f.Class {
	case ClassShared, ClassCompute, ClassGeneral, ClassHighClock, ClassMemory, ClassStorage, ClassGPU, ClassFPGA:
	default:
		b.fail(at("class"), "family %s has the unknown class %q", name, raw.Class)
	}
	for _, r := range []struct {
		key string
		v   int64
	}{
		{"roce_gbps", raw.RoCEGbps},
		{"max_iops", raw.MaxIOPS},
		{"read_mb_s", raw.ReadMBs},
		{"write_mb_s", raw.WriteMBs},
		{"disk_mb_s", raw.DiskMBs},
		{"total_mb_s", raw.TotalMBs},
	} {
		b.within(r.v, 0, maxFigure, at(r.key)...)
	}
	if len(raw.Types) == 0 {
		b.fail(at("types"), "family %s has no types", name)
	}
	for i, rt := range raw.Types {
		t := b.machine(c, name, i, rt)
		if first, taken := c.types[t.Name]; taken {
			b.fail([]any{"families", name, "types", i, "size"}, "%s is already a size of family %s", t.Name, first.Family)
			continue
		}
		c.types[t.Name] = t
		f.Types = append(f.Types, t)
	}
	return f
}

// machine checks the i-th type of a family.
func (b *builder) machine(c *Catalogue, family string, i int, raw rawType) Type {
	at := func(keys ...any) []any { return append([]any{"families", family, "types", i}, keys...) }
	t := Type{
		Name: typeName(family, raw.Size), Family: family, Size: raw.Size,
		VCPU: raw.VCPU, MemMiB: raw.MemGiB * 1024, Disks: b.disks(raw.LocalDisks, at("local_disks")),
	}
	if parts := strings.Split(raw.Size, "."); len(parts) > 2 || !validSize(parts) {
		b.fail(at("size"), "size %q must read like 4xlarge or c8g1.4xlarge", raw.Size)
	}
	b.within(raw.VCPU, 1, maxVCPU, at("vcpu")...)
	b.within(raw.MemGiB, 1, maxMemGiB, at("mem_gib")...)
	if raw.NetGbps != nil {
		t.NetMbps = raw.NetGbps.milli
	}
	for _, name := range sortedKeys(raw.Devices) {
		n := raw.Devices[name].milli
		part, known := c.parts[name]
		switch {
		case !known:
			b.fail(at("devices", name), "%v", unknown("device", name, c.partNames))
		case n <= 0 || n > maxDevices*Whole:
			b.fail(at("devices", name), "%s must be more than 0 and at most %d devices", name, maxDevices)
		case n > Whole && n%Whole != 0:
			b.fail(at("devices", name), "%s is %d.%03d: a share is whole devices, or less than one", name, n/Whole, n%Whole)
		default:
			t.Devices = append(t.Devices, Share{Part: part, Thousandths: n})
		}
	}
	return t
}

// disks checks the two forms of local disks: count and size, or the total alone.
func (b *builder) disks(raw rawDisks, at []any) Disks {
	if raw == (rawDisks{}) {
		return Disks{}
	}
	if raw.TotalGB != 0 {
		if raw.Count != 0 || raw.GB != 0 {
			b.fail(at, "local_disks takes count and gb, or total_gb alone")
		}
		b.within(raw.TotalGB, 1, maxDiskGB, append(at, "total_gb")...)
		return Disks{TotalGB: raw.TotalGB}
	}
	b.within(raw.Count, 1, maxDiskCount, append(at, "count")...)
	b.within(raw.GB, 1, maxDiskGB, append(at, "gb")...)
	return Disks{Count: raw.Count, EachGB: raw.GB, TotalGB: raw.Count * raw.GB}
}

// typeName builds the full name: ecs.<family>.<size>, or ecs.<family>-<size> for a size with a dot.
func typeName(family, size string) string {
	if strings.Contains(size, ".") {
		return "ecs." + family + "-" + size
	}
	return "ecs." + family + "." + size
}

// validName reports whether s is lower-case letters and digits, a letter first.
func validName(s string) bool {
	return s != "" && s[0] >= 'a' && s[0] <= 'z' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// validSize reports whether every dotted part of a size is lower-case letters and digits.
func validSize(parts []string) bool {
	for _, p := range parts {
		if !validName("x"+p) || p == "" {
			return false
		}
	}
	return true
}
