package fpga

import (
	_ "embed" // the table of parts
	"fmt"
	"os"
	"regexp"

	"github.com/goccy/go-yaml"

	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

//go:embed parts.yaml
var partsYAML []byte

// part is a row of the table.
type part struct {
	PCI           string `yaml:"pci"`
	Style         string `yaml:"style"`
	Vendor        string `yaml:"vendor"`
	Model         string `yaml:"model"`
	Role          string `yaml:"role"`
	LogicElements int64  `yaml:"logic_elements"`
	DSP           int64  `yaml:"dsp"`
	DDRMiB        int64  `yaml:"ddr_mib"`
	DDRBanks      int64  `yaml:"ddr_banks"`
	DDRECC        bool   `yaml:"ddr_ecc"`
	HBMMiB        int64  `yaml:"hbm_mib"`
}

// Roles of a function.
const (
	roleManagement = "management"
	roleGolden     = "golden"
	roleVirtual    = "virtual"
)

// Styles in which cards are shown.
const (
	styleDFL  = "dfl"
	styleXRT  = "xrt"
	styleSlot = "slot"
)

var pciID = regexp.MustCompile(`^[0-9a-f]{4}:[0-9a-f]{4}$`)

// loadParts returns the table by PCI id: the embedded rows, and those of an operator's file, which
// win; "" for none.
func loadParts(extra string) (map[string]part, error) {
	table := make(map[string]part)
	if err := addParts(table, "parts.yaml", partsYAML); err != nil {
		return nil, err
	}
	if extra == "" {
		return table, nil
	}
	raw, err := os.ReadFile(extra)
	if err != nil {
		return nil, fmt.Errorf("table of parts: %w", err)
	}
	return table, addParts(table, extra, raw)
}

func addParts(table map[string]part, name string, raw []byte) error {
	var rows []part
	if err := yaml.UnmarshalWithOptions(raw, &rows, yaml.Strict()); err != nil {
		return fmt.Errorf("table of parts %s: %w", name, err)
	}
	for _, p := range rows {
		switch {
		case !pciID.MatchString(p.PCI):
			return fmt.Errorf("table of parts %s: pci %q must be four hexadecimal digits, a colon and four more, in lower case", name, p.PCI)
		case p.Style != styleDFL && p.Style != styleXRT && p.Style != styleSlot:
			return fmt.Errorf("table of parts %s: %s: style %q must be dfl, xrt or slot", name, p.PCI, p.Style)
		case p.Role != "" && p.Role != roleManagement && p.Role != roleGolden && p.Role != roleVirtual && p.Role != "card":
			return fmt.Errorf("table of parts %s: %s: role %q must be card, virtual, management or golden", name, p.PCI, p.Role)
		case p.Model == "" || p.Vendor == "":
			return fmt.Errorf("table of parts %s: %s needs a model and a vendor", name, p.PCI)
		}
		table[p.PCI] = p
	}
	return nil
}

// memoryMiB is what a device of this part has.
func (p part) memoryMiB() int64 { return p.DDRMiB + p.HBMMiB }

// attributes are what jobs can ask of a part.
func (p part) attributes() map[string]*pluginv1.Attribute {
	a := make(map[string]*pluginv1.Attribute)
	for name, n := range map[string]int64{
		"logic_elements": p.LogicElements, "dsp": p.DSP, "ddr_mib": p.DDRMiB, "ddr_banks": p.DDRBanks, "hbm_mib": p.HBMMiB,
	} {
		if n > 0 {
			a[name] = sdk.Number(n)
		}
	}
	if p.DDRECC {
		a["ddr_ecc"] = sdk.Text("true")
	}
	return a
}
