package family

import (
	"fmt"
	"strings"
)

// Reference is the page of the documentation that lists a catalogue.
func Reference(c *Catalogue) []byte {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, f := range c.Families() {
		fmt.Fprintf(&b, "\n## %s\n\n%s", f.Name, f.Class)
		if f.CPU != "" {
			fmt.Fprintf(&b, ", %s", f.CPU)
		}
		if f.Modelled {
			b.WriteString(", modelled: not of a published table")
		}
		b.WriteString(".\n\n| Type | vCPU | Memory | Devices | Local disk | Network |\n|---|---:|---:|---|---:|---:|\n")
		for _, t := range f.Types {
			fmt.Fprintf(&b, "| `%s` | %d | %d GiB | %s | %s | %s |\n", t.Name, t.VCPU, t.MemMiB/1024, DeviceWords(t),
				orDash(t.Disks.TotalGB, "GB"), orDash(t.NetMbps, "Mbit/s"))
		}
	}
	b.WriteString("\n## Devices\n\n| Part | Vendor | Kind | Memory | FP32 | FP64 | Board limit |\n|---|---|---|---:|---:|---:|---:|\n")
	for _, p := range c.Parts() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", p.Name, p.Vendor, p.Kind,
			orDash(p.MemMiB/1024, "GiB"), orDash(p.FP32GFLOPS, "GFLOPS"), orDash(p.FP64GFLOPS, "GFLOPS"), orDash(p.Watts, "W"))
	}
	return []byte(b.String())
}

const referenceHead = `# Instance families

This page is generated from the built-in catalogue. An operator adds families, devices, prices, power
and sites in a file; see [operate.md](operate.md#the-catalogue).
`

// DeviceWords writes what devices a type has: "2 x M40", "0.25 x S7150", or "-".
func DeviceWords(t Type) string {
	var words []string
	for _, s := range t.Devices {
		amount := fmt.Sprintf("%d.%03d", s.Thousandths/Whole, s.Thousandths%Whole)
		words = append(words, strings.TrimRight(strings.TrimRight(amount, "0"), ".")+" x "+s.Part.Name)
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}

func orDash(n int64, unit string) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%d %s", n, unit)
}
