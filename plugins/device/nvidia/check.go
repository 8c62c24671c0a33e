package nvidia

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"caravan/plugins/sdk/pluginv1"
)

// report is all that a check prints.
type report struct {
	Host         Host                `json:"host"`
	Measurements []Measurement       `json:"measurements"`
	Links        []*pluginv1.Link    `json:"links"`
	Signals      map[string][]string `json:"signals"`
	Reasons      []string            `json:"reasons,omitempty"`
}

// Check looks at the host once and prints what the plugin makes of it, so that it can be compared
// with nvidia-smi -q, nvidia-smi topo -m and nvidia-smi pmon. It fails when there is no GPU.
func Check(ctx context.Context, cfg Config, asJSON bool, out io.Writer) error {
	p, err := New(cfg)
	if err != nil {
		return err
	}
	inv, err := p.Inventory(ctx)
	if err != nil {
		return err
	}
	r := report{Links: inv.Links, Reasons: inv.Reasons, Signals: make(map[string][]string)}
	for _, d := range inv.Devices {
		for _, s := range d.GetHealth().GetSignals() {
			r.Signals[d.Id] = append(r.Signals[d.Id], s.Code+": "+s.Detail)
		}
	}
	if len(inv.Devices) > 0 {
		if r.Host, err = p.cfg.Library.Look(ctx); err != nil {
			return err
		}
		if r.Measurements, err = p.cfg.Library.Measure(ctx); err != nil {
			return err
		}
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	} else {
		err = r.print(out, p, inv)
	}
	if err == nil && len(inv.Devices) == 0 {
		err = errors.New("there is no GPU to offer: " + strings.Join(inv.Reasons, "; "))
	}
	return err
}

// print writes a report for people.
func (r report) print(out io.Writer, p *Plugin, inv *pluginv1.Inventory) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "driver %s, NVML %s, CUDA %s\n", r.Host.Driver, r.Host.NVML, r.Host.CUDA)
	for _, reason := range inv.Reasons {
		fmt.Fprintf(w, "note: %s\n", reason)
	}
	fmt.Fprint(w, "\nDEVICE\tMODEL\tPCI\tMEMORY\tCAPABILITY\tNUMA\tPART\n")
	for _, d := range inv.Devices {
		a := d.Attributes
		fmt.Fprintf(w, "%s\t%s\t%s\t%d MiB\t%d.%d\t%s\t%d/1000\n", d.Id, d.Model, a["pci"].GetText(), d.MemoryMib,
			a["compute_capability"].GetMilli()/1000, a["compute_capability"].GetMilli()%1000/100, numa(a["numa_node"]), d.Thousandths)
	}
	if len(inv.Links) > 0 {
		fmt.Fprint(w, "\nLINK\t\tSCORE (10 system, 20 processor, 30 host bridge, 40 switches, 50 switch, 60 board; 100 per NVLink)\n")
	}
	for _, l := range inv.Links {
		fmt.Fprintf(w, "%s\t%s\t%d\n", l.A, l.B, l.Score)
	}
	for _, m := range r.Measurements {
		fmt.Fprintf(w, "\n%s\n", m.UUID)
		for _, name := range slices.Sorted(maps.Keys(m.Values)) {
			fmt.Fprintf(w, "  %s\t%d\n", name, m.Values[name])
		}
		for _, process := range m.Processes {
			command, _ := p.describe(process.PID)
			fmt.Fprintf(w, "  process %d %s\t%v\n", process.PID, command, process.Values)
		}
	}
	for _, device := range slices.Sorted(maps.Keys(r.Signals)) {
		for _, s := range r.Signals[device] {
			fmt.Fprintf(w, "\nsignal of %s: %s", device, s)
		}
	}
	if len(r.Host.Missing) > 0 {
		fmt.Fprintf(w, "\nnot in this driver: %s\n", strings.Join(r.Host.Missing, " "))
	}
	return w.Flush()
}

func numa(a *pluginv1.Attribute) string {
	if a == nil {
		return "-"
	}
	return fmt.Sprint(a.GetMilli() / 1000)
}
