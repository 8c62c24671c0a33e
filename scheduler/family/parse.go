package family

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

//go:embed families.yaml
var embedded []byte

const (
	schema      = 1
	maxFileSize = 1 << 20 // bytes of a catalogue file
	maxErrors   = 20      // errors reported for one file
)

// Load parses the catalogue embedded in the binary. It costs some milliseconds: call it once and
// keep the result.
func Load() (*Catalogue, error) {
	c, err := Parse(embedded)
	if err != nil {
		return nil, fmt.Errorf("embedded catalogue: %w", err)
	}
	return c, nil
}

// Parse reads a catalogue in the form of families.yaml. Unknown and repeated keys, aliases, numbers
// out of range and devices that are not described are errors that name line and column; what is
// wrong with the content is reported all at once, up to 20 errors.
func Parse(src []byte) (*Catalogue, error) { return parse(src, nil) }

// parse reads a file that adds to a base; nil for none.
func parse(src []byte, base *Catalogue) (*Catalogue, error) {
	if len(src) > maxFileSize {
		return nil, fmt.Errorf("catalogue has %d bytes, more than the %d allowed: split it", len(src), maxFileSize)
	}
	file, err := parser.ParseBytes(src, 0)
	if err != nil {
		return nil, err
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return nil, errors.New("catalogue must be one YAML document that is not empty")
	}
	body := file.Docs[0].Body
	// An alias lets a small file unfold into a huge one, and a catalogue has no use for it.
	if aliases := ast.Filter(ast.AliasType, body); len(aliases) > 0 {
		return nil, errorAt(aliases[0], "aliases are not allowed here: write the value out")
	}
	var raw rawCatalogue
	if err := yaml.NodeToValue(body, &raw, yaml.Strict()); err != nil {
		return nil, err
	}
	b := builder{body: body}
	c := b.catalogue(raw, base)
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	return c, nil
}

// errorAt returns an error that names the line and column of a node.
func errorAt(node ast.Node, format string, args ...any) error {
	pos := node.GetToken().Position
	return fmt.Errorf("[%d:%d] %s", pos.Line, pos.Column, fmt.Sprintf(format, args...))
}

// rawCatalogue mirrors the file. Its fields are documented there.
type rawCatalogue struct {
	Schema   int                  `yaml:"schema"`
	Devices  map[string]rawDevice `yaml:"devices"`
	Families map[string]rawFamily `yaml:"families"`
	Currency string               `yaml:"currency"`
	Prices   map[string]rawPrice  `yaml:"prices"`
	Power    rawPower             `yaml:"power"`
	Sites    map[string]rawSite   `yaml:"sites"`
}

type rawPrice struct {
	OnDemand price `yaml:"on_demand"`
	Spot     price `yaml:"spot"`
}

type rawPower struct {
	Hosts   map[string]rawWatts `yaml:"hosts"`
	Devices map[string]rawWatts `yaml:"devices"`
}

type rawWatts struct {
	Idle   int64 `yaml:"idle_watts"`
	Active int64 `yaml:"active_watts"`
}

type rawSite struct {
	Zones  []string `yaml:"zones"`
	PUE    decimal  `yaml:"pue"`
	Tariff price    `yaml:"tariff_per_kwh"`
}

type rawDevice struct {
	Vendor          string  `yaml:"vendor"`
	Kind            string  `yaml:"kind"`
	PCI             string  `yaml:"pci"`
	VFPCI           string  `yaml:"vf_pci"`
	Cores           int64   `yaml:"cores"`
	MemGB           int64   `yaml:"mem_gb"`
	MemType         string  `yaml:"mem_type"`
	MemBusBits      int64   `yaml:"mem_bus_bits"`
	MemBandwidthGBs int64   `yaml:"mem_bandwidth_gb_s"`
	FP32            decimal `yaml:"fp32"`
	FP64            decimal `yaml:"fp64"`
	CC              string  `yaml:"cc"`
	PCIe            string  `yaml:"pcie"`
	Watts           int64   `yaml:"watts"`
	NVLink          int64   `yaml:"nvlink"`
	MaxVFs          int64   `yaml:"max_vfs"`
	MIG             *bool   `yaml:"mig"`
	MPSLimits       *bool   `yaml:"mps_limits"`
	Media           *bool   `yaml:"media"`
	LogicElements   int64   `yaml:"logic_elements"`
	DSP             int64   `yaml:"dsp"`
	DDRGiB          *int64  `yaml:"ddr_gib"`
	DDRECC          *bool   `yaml:"ddr_ecc"`
	DDRBanks        int64   `yaml:"ddr_banks"`
	Source          string  `yaml:"source"`
}

type rawFamily struct {
	Class     string    `yaml:"class"`
	CPU       string    `yaml:"cpu"`
	GHz       decimal   `yaml:"ghz"`
	BareMetal bool      `yaml:"bare_metal"`
	Modelled  bool      `yaml:"modelled"`
	RoCEGbps  int64     `yaml:"roce_gbps"`
	Disk      string    `yaml:"disk"`
	MaxIOPS   int64     `yaml:"max_iops"`
	ReadMBs   int64     `yaml:"read_mb_s"`
	WriteMBs  int64     `yaml:"write_mb_s"`
	DiskMBs   int64     `yaml:"disk_mb_s"`
	TotalMBs  int64     `yaml:"total_mb_s"`
	Seed      string    `yaml:"seed"`
	Types     []rawType `yaml:"types"`
}

type rawType struct {
	Size       string             `yaml:"size"`
	VCPU       int64              `yaml:"vcpu"`
	MemGiB     int64              `yaml:"mem_gib"`
	NetGbps    *decimal           `yaml:"net_gbps"`
	Devices    map[string]decimal `yaml:"devices"`
	LocalDisks rawDisks           `yaml:"local_disks"`
}

type rawDisks struct {
	Count   int64 `yaml:"count"`
	GB      int64 `yaml:"gb"`
	TotalGB int64 `yaml:"total_gb"`
}

// sortedKeys returns the keys of m in order: maps are never walked in their own order here.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
