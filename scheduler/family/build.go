package family

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Ranges a catalogue number must lie in. They are wide: they catch a slipped digit or unit, and keep
// every later product inside 64 bits.
const (
	maxVCPU      = 4096
	maxMemGiB    = 1 << 16
	maxDevices   = 64        // of one part in one machine
	maxDiskGB    = 1_000_000 // per disk, and of a total
	maxDiskCount = 256
	maxFigure    = 1_000_000_000 // any other number
)

// builder turns a raw catalogue into a checked one and collects what is wrong with it.
type builder struct {
	body ast.Node
	errs []error
}

// fail records an error at the place that keys lead to: names for mappings, ints for lists. A place
// that does not exist (a missing key) is reported at the nearest enclosing one.
func (b *builder) fail(keys []any, format string, args ...any) {
	if len(b.errs) >= maxErrors {
		return
	}
	msg := fmt.Sprintf(format, args...)
	for n := len(keys); n > 0; n-- {
		path := (&yaml.PathBuilder{}).Root()
		for _, key := range keys[:n] {
			switch key := key.(type) {
			case string:
				path = path.Child(key)
			case int:
				path = path.Index(uint(key))
			}
		}
		if node, err := path.Build().FilterNode(b.body); err == nil && node != nil {
			b.errs = append(b.errs, errorAt(node, "%s", msg))
			return
		}
	}
	b.errs = append(b.errs, fmt.Errorf("[1:1] %s", msg))
}

// within records an error unless low <= v <= high.
func (b *builder) within(v, low, high int64, keys ...any) {
	if v < low || v > high {
		b.fail(keys, "%v is %d, but must be from %d to %d", keys[len(keys)-1], v, low, high)
	}
}

// catalogue builds what the file adds to a base, which stays as it is; nil for none.
func (b *builder) catalogue(raw rawCatalogue, base *Catalogue) *Catalogue {
	if raw.Schema != schema {
		b.fail([]any{"schema"}, "schema is %d, but this version reads %d", raw.Schema, schema)
	}
	if len(raw.Families) == 0 && base == nil {
		b.fail([]any{"families"}, "no families")
	}
	c := base.clone()
	for _, name := range sortedKeys(raw.Devices) {
		if _, taken := c.parts[name]; taken {
			b.fail([]any{"devices", name, "vendor"}, "device %s is in the built-in catalogue already: give yours another name", name)
			continue
		}
		c.parts[name] = b.part(name, raw.Devices[name])
		c.partNames = append(c.partNames, name)
	}
	slices.Sort(c.partNames)
	for _, name := range sortedKeys(raw.Families) {
		if _, taken := c.families[name]; taken {
			b.fail([]any{"families", name, "class"}, "family %s is in the built-in catalogue already: give yours another name; prices, power and sites can be set for it", name)
			continue
		}
		c.families[name] = b.family(c, name, raw.Families[name])
		c.familyNames = append(c.familyNames, name)
	}
	slices.Sort(c.familyNames)
	b.economy(c, raw)
	return c
}

func (b *builder) part(name string, raw rawDevice) Part {
	at := func(key string) []any { return []any{"devices", name, key} }
	memGiB := raw.MemGB // data sheets say GB and mean 2^30 bytes
	if raw.DDRGiB != nil {
		memGiB = *raw.DDRGiB
	}
	p := Part{
		Name: name, Vendor: raw.Vendor, Kind: Kind(raw.Kind), PCI: raw.PCI, VFPCI: raw.VFPCI,
		MemMiB: memGiB * 1024, MemBandwidthGBs: raw.MemBandwidthGBs, MemBusBits: raw.MemBusBits,
		MemType: raw.MemType, MemECC: fact(raw.DDRECC), MemBanks: raw.DDRBanks,
		Cores: raw.Cores, FP32GFLOPS: raw.FP32.milli, FP64GFLOPS: raw.FP64.milli,
		Watts: raw.Watts, NVLinks: raw.NVLink, MaxVFs: raw.MaxVFs,
		MIG: fact(raw.MIG), MPSLimits: fact(raw.MPSLimits), MediaEngine: fact(raw.Media),
		LogicElements: raw.LogicElements, DSP: raw.DSP, Source: raw.Source,
	}
	b.checkPart(name, raw, memGiB)
	b.pair(raw.CC, ".", at("cc"), func(major, minor int64) { p.CC = major*10 + minor })
	b.pair(raw.PCIe, "x", at("pcie"), func(gen, lanes int64) { p.PCIeGen, p.PCIeLanes = gen, lanes })
	b.pciID(raw.PCI, at("pci"))
	b.pciID(raw.VFPCI, at("vf_pci"))
	return p
}

// checkPart reports what is missing from a device or out of its range.
func (b *builder) checkPart(name string, raw rawDevice, memGiB int64) {
	at := func(key string) []any { return []any{"devices", name, key} }
	if raw.Vendor == "" {
		b.fail(at("vendor"), "device %s has no vendor", name)
	}
	if raw.Kind != string(GPU) && raw.Kind != string(FPGA) {
		b.fail(at("kind"), "device %s has kind %q, but must be gpu or fpga", name, raw.Kind)
	}
	b.within(memGiB, 0, maxMemGiB, at("mem_gb")...)
	for _, f := range []struct {
		key string
		v   int64
	}{
		{"cores", raw.Cores},
		{"mem_bus_bits", raw.MemBusBits},
		{"mem_bandwidth_gb_s", raw.MemBandwidthGBs},
		{"watts", raw.Watts},
		{"nvlink", raw.NVLink},
		{"max_vfs", raw.MaxVFs},
		{"logic_elements", raw.LogicElements},
		{"dsp", raw.DSP},
		{"ddr_banks", raw.DDRBanks},
	} {
		b.within(f.v, 0, maxFigure, at(f.key)...)
	}
}

// pair reads two small numbers around a separator, such as "5.2" or "3x16"; "" is not recorded.
func (b *builder) pair(text, sep string, at []any, set func(x, y int64)) {
	if text == "" {
		return
	}
	left, right, found := strings.Cut(text, sep)
	x, err1 := strconv.ParseInt(left, 10, 16)
	y, err2 := strconv.ParseInt(right, 10, 16)
	if !found || err1 != nil || err2 != nil || x < 0 || y < 0 {
		b.fail(at, "%q is not of the form <number>%s<number>", text, sep)
		return
	}
	set(x, y)
}

// pciID checks "vendor:device", four lower-case hexadecimal digits each; "" is not recorded.
func (b *builder) pciID(text string, at []any) {
	if text == "" {
		return
	}
	vendor, device, found := strings.Cut(text, ":")
	hex := func(s string) bool { return len(s) == 4 && strings.Trim(s, "0123456789abcdef") == "" }
	if !found || !hex(vendor) || !hex(device) {
		b.fail(at, "%q is not a PCI id such as 10de:17fd", text)
	}
}

func fact(b *bool) Fact {
	switch {
	case b == nil:
		return Unrecorded
	case *b:
		return Yes
	default:
		return No
	}
}
