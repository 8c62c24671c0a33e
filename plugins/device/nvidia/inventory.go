package nvidia

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// vendorNVIDIA is NVIDIA's PCI vendor id.
const vendorNVIDIA = 0x10de

// Inventory looks at the host. A GPU that was seen before and does not answer now stays, with what
// was known of it and a signal: it is ill, not gone.
func (p *Plugin) Inventory(ctx context.Context) (*pluginv1.Inventory, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.LookTimeout)
	defer cancel()
	host, err := p.cfg.Library.Look(ctx)
	inv := &pluginv1.Inventory{}
	var absent *AbsentError
	switch {
	case errors.As(err, &absent):
		inv.Reasons = append(inv.Reasons, absent.Reason)
	case errors.Is(err, ErrNotAnswering):
		inv.Reasons = append(inv.Reasons, "the NVIDIA driver does not answer (see the kernel's log; a reset or reboot may be needed)")
		host.GPUs = p.gpus()
		for i := range host.GPUs {
			host.GPUs[i].NotAnswering = true
		}
	case err != nil:
		return nil, err
	default:
		inv.Reasons = p.remember(&host)
	}
	for _, g := range host.GPUs {
		inv.Devices = append(inv.Devices, p.devices(host, g)...)
		if g.divided() && len(g.MIG.Instances) == 0 {
			inv.Reasons = append(inv.Reasons, fmt.Sprintf("GPU %s is in MIG mode and has no instances (make some, or name a layout with -mig)", g.UUID))
		}
	}
	inv.Links = host.links(p.root)
	p.mu.Lock()
	inv.Reasons = append(inv.Reasons, p.trouble...)
	p.mu.Unlock()
	if len(inv.Devices) == 0 && len(inv.Reasons) == 0 {
		inv.Reasons = append(inv.Reasons, "the driver runs and has no GPU")
	}
	return inv, nil
}

// remember completes what was read with what is known, and says what is missing.
func (p *Plugin) remember(host *Host) (reasons []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	present := make(map[string]bool)
	for i, g := range host.GPUs {
		present[g.UUID] = true
		if before, ok := p.known[g.UUID]; ok && (g.Lost || g.NotAnswering) {
			before.Lost, before.NotAnswering, before.Illness = g.Lost, g.NotAnswering, Illness{}
			host.GPUs[i] = before
			continue
		}
		p.known[g.UUID] = g
	}
	var missing []string
	for uuid := range p.known {
		if !present[uuid] {
			missing = append(missing, uuid)
		}
	}
	slices.SortFunc(missing, func(a, b string) int { return strings.Compare(p.known[a].PCI, p.known[b].PCI) })
	for _, f := range host.Failed {
		reasons = append(reasons, fmt.Sprintf("GPU number %d: %s", f.Index, f.Detail))
	}
	// The library counts those that it cannot identify; where as many are missing, they are these.
	if len(missing) == len(host.Failed) {
		for i, uuid := range missing {
			g := p.known[uuid]
			g.Lost, g.NotAnswering, g.Illness = host.Failed[i].Lost, !host.Failed[i].Lost, Illness{}
			host.GPUs = append(host.GPUs, g)
		}
	} else {
		for _, uuid := range missing {
			reasons = append(reasons, fmt.Sprintf("GPU %s at %s was there and is gone", uuid, p.known[uuid].PCI))
		}
	}
	if n, seen := p.onBus(), len(host.GPUs)+max(0, len(host.Failed)-len(missing)); n > seen {
		reasons = append(reasons, fmt.Sprintf("%d NVIDIA GPUs are on the PCI bus and the driver has %d (see the kernel's log; is another driver bound?)", n, seen))
	}
	return reasons
}

// onBus counts NVIDIA's display and 3D functions (PCI class 03).
func (p *Plugin) onBus() int {
	n := 0
	for _, f := range p.root.PCI() {
		if f.Vendor == vendorNVIDIA && f.Class>>16 == 0x03 {
			n++
		}
	}
	return n
}

// devices are what a GPU is offered as: itself, or its instances.
func (p *Plugin) devices(host Host, g GPU) []*pluginv1.Device {
	signals := append(g.signals(), p.ledger.signals(g.UUID)...)
	p.mu.Lock()
	if p.switches != "" && len(g.NVLinks) > 0 {
		signals = append(signals, &pluginv1.Signal{Code: codeSwitch, Detail: "a switch of its NVLinks reported SXid " + p.switches})
	}
	p.mu.Unlock()
	sortSignals(signals)
	whole := &pluginv1.Device{
		Id: deviceID(g.UUID), Kind: "gpu", Vendor: "nvidia", Model: model(g.Name), MemoryMib: g.MemoryMiB,
		Thousandths: sdk.Whole, ShareThousandths: p.leastShare(g), Attributes: p.attributes(host, g), Health: sdk.Seen(signals...),
		Identity: deviceID(g.UUID),
	}
	if !g.divided() {
		return []*pluginv1.Device{whole}
	}
	var parts []*pluginv1.Device
	for _, i := range g.MIG.Instances {
		if i.UUID == "" {
			continue // without a compute instance nothing can run in it
		}
		part := proto.CloneOf(whole)
		part.Id, part.Identity, part.PartOf, part.MemoryMib = deviceID(i.UUID), deviceID(i.UUID), whole.Id, i.MemoryMiB
		part.Thousandths = int32(min(max(i.Slices, 1), migSlices)) * sdk.Whole / migSlices //nolint:gosec // at most 7
		part.ShareThousandths = part.Thousandths
		part.Attributes["sharing"] = sdk.Text("mig")
		part.Attributes["card"] = sdk.Text(g.UUID)
		part.Attributes["mig_profile"] = sdk.Text(g.MIG.profile(i))
		parts = append(parts, part)
	}
	return parts
}

// migSlices are the compute slices of every GPU that MIG can divide, but for the A30 with four;
// a slice of that one counts as less than it is.
const migSlices = 7

// leastShare is the least part of a GPU that can be handed out.
func (p *Plugin) leastShare(g GPU) int32 {
	switch p.sharing(g) {
	case Exclusive:
		return sdk.Whole
	case MPS:
		return sdk.Whole / 100 // its limit is in percent
	default:
		return 1
	}
}

// deviceID makes an id of a UUID: those of MIG devices had slashes before driver R470.
func deviceID(uuid string) string { return strings.ReplaceAll(uuid, "/", ":") }

// model is the name in the catalogue: M40 of "Tesla M40 24GB", A100 of "NVIDIA A100-SXM4-40GB",
// RTX-A6000 of "NVIDIA RTX A6000".
func model(name string) string {
	words := strings.Fields(name)
	for len(words) > 1 && slices.Contains([]string{"NVIDIA", "Tesla", "GeForce", "Quadro", "GRID"}, words[0]) {
		words = words[1:]
	}
	if len(words) == 0 {
		return "unknown"
	}
	word, _, _ := strings.Cut(words[0], "-")
	if !strings.ContainsAny(word, "0123456789") && len(words) > 1 {
		word += "-" + words[1]
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}, word[:min(len(word), sdk.MaxName)])
}

func (p *Plugin) attributes(host Host, g GPU) map[string]*pluginv1.Attribute {
	a := make(map[string]*pluginv1.Attribute)
	text := func(name, value string) {
		if value != "" {
			a[name] = sdk.Text(value)
		}
	}
	milli := func(name string, n int64) {
		if n > 0 {
			a[name] = &pluginv1.Attribute{Value: &pluginv1.Attribute_Milli{Milli: n}}
		}
	}
	text("uuid", g.UUID)
	text("name", g.Name)
	text("serial", g.Serial)
	text("pci", g.PCI)
	text("driver", host.Driver)
	text("cuda", host.CUDA)
	text("ecc", g.ECC)
	text("sharing", p.sharing(g).word())
	milli("compute_capability", g.ComputeCapability*10)
	milli("cores", g.Cores*1000)
	milli("watts", g.PowerLimitMilli)
	milli("pcie_gen", g.Link.MaxGen*1000) // the present one falls when it idles
	milli("pcie_width", g.Link.Width*1000)
	milli("fp32_tflops", g.Cores*2*g.MaxClockMHz/1000) // a multiplication and an addition per clock
	for codec := range g.Encoder {
		a["encoder_"+codec] = sdk.Text("true")
	}
	media(g, a)
	if active := activeLinks(g); active > 0 {
		a["nvlinks"] = sdk.Number(active)
	}
	for _, f := range p.root.PCI() {
		if pciDevice(f.Address()) == pciDevice(g.PCI) && f.NUMANode() >= 0 && strings.HasSuffix(f.Address(), ".0") {
			a["numa_node"] = sdk.Number(f.NUMANode())
		}
	}
	return a
}

func activeLinks(g GPU) int64 {
	n := int64(0)
	for _, l := range g.NVLinks {
		if l.Active {
			n++
		}
	}
	return n
}
