package view

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	pb "caravan/api/caravanv1"
)

// Families writes instance families: one line each or, in detail, their types and parts.
func Families(w io.Writer, s Style, list *pb.ListFamiliesResponse, detail bool) {
	if detail {
		for _, f := range list.Families {
			familyTypes(w, s, f, list)
		}
	} else {
		t := newTable(w, s, "FAMILY", "CLASS", "TYPES", "CPU", "VCPU", "MEMORY", "DEVICES")
		for _, f := range list.Families {
			first, last := f.Types[0], f.Types[len(f.Types)-1]
			t.row(f.Name, f.Class, strconv.Itoa(len(f.Types)), f.Cpu, fmt.Sprintf("%d-%d", first.Vcpu, last.Vcpu),
				mib(first.MemoryMib)+" - "+mib(last.MemoryMib), partShares(last.Devices))
		}
		t.flush()
	}
	sites(w, s, list)
}

func familyTypes(w io.Writer, s Style, f *pb.InstanceFamily, list *pb.ListFamiliesResponse) {
	fmt.Fprintf(w, "%s  %s%s\n\n", f.Name, f.Class, map[bool]string{true: ", modelled: not of a published table"}[f.Modelled])
	header := []string{"TYPE", "VCPU", "MEMORY", "DEVICES", "DISK", "NETWORK", "ON DEMAND", "SPOT", "WATTS"}
	if s.Wide {
		for _, site := range list.Sites {
			header = append(header, "ENERGY/H "+strings.ToUpper(site.Name))
		}
	}
	t := newTable(w, s, header...)
	for _, m := range f.Types {
		row := []string{
			m.Name, strconv.FormatInt(m.Vcpu, 10), mib(m.MemoryMib), partShares(m.Devices), gb(m.DiskGb), mbps(m.NetMbps),
			money(m.OnDemandMicroPerHour, list.Currency), money(m.SpotMicroPerHour, list.Currency), watts(m.IdleWatts, m.ActiveWatts),
		}
		if s.Wide {
			for _, site := range list.Sites {
				row = append(row, energy(m.IdleWatts, m.ActiveWatts, site))
			}
		}
		t.row(row...)
	}
	t.flush()
	if len(list.Parts) == 0 {
		return
	}
	fmt.Fprintln(w)
	t = newTable(w, s, "DEVICE", "VENDOR", "KIND", "MEMORY", "FP32", "FP64", "WATTS")
	for _, p := range list.Parts {
		t.row(p.Name, p.Vendor, p.Kind, mib(p.MemoryMib), tflops(p.Fp32Gflops), tflops(p.Fp64Gflops), watts(p.IdleWatts, p.ActiveWatts))
	}
	t.flush()
}

func sites(w io.Writer, s Style, list *pb.ListFamiliesResponse) {
	if len(list.Sites) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := newTable(w, s, "SITE", "ZONES", "PUE", "PER KWH")
	for _, site := range list.Sites {
		t.row(site.Name, strings.Join(site.Zones, ","), milli(site.PueMilli), money(site.TariffMicroPerKwh, list.Currency))
	}
	t.flush()
}

func partShares(shares []*pb.PartShare) string {
	var words []string
	for _, p := range shares {
		words = append(words, milli(p.Thousandths)+" x "+p.Part)
	}
	return or(strings.Join(words, ", "), "-")
}

// money returns millionths with at least two decimals, "-" for nothing known.
func money(micro int64, currency string) string {
	if micro == 0 {
		return "-"
	}
	text := fmt.Sprintf("%d.%06d", micro/1_000_000, micro%1_000_000)
	for strings.HasSuffix(text, "0") && len(text)-strings.IndexByte(text, '.') > 3 {
		text = text[:len(text)-1]
	}
	return text + " " + currency
}

func watts(idle, active int64) string {
	if idle == 0 && active == 0 {
		return "-"
	}
	return or(nonzero(idle), "?") + "-" + or(nonzero(active), "?")
}

// energy is what a machine's draw costs for an hour, cooling included.
func energy(idle, active int64, site *pb.Site) string {
	if idle == 0 || active == 0 {
		return "-"
	}
	cost := func(w int64) string {
		micro := w * site.TariffMicroPerKwh / 1000 * site.PueMilli / 1000
		return fmt.Sprintf("%d.%03d", micro/1_000_000, micro%1_000_000/1000)
	}
	return cost(idle) + "-" + cost(active)
}

func gb(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10) + " GB"
}

func mbps(n int64) string {
	if n == 0 {
		return "-"
	}
	return milli(n) + " Gbit/s"
}

func tflops(gflops int64) string {
	if gflops == 0 {
		return "-"
	}
	return milli(gflops) + " TFLOPS"
}
