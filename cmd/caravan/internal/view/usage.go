package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/cmd/caravan/internal/taskref"
)

// Usage writes what tasks were given and use, as their agents see it; nothing for tasks without devices
// and bindings, unless it is for all.
func Usage(w io.Writer, s Style, j *pb.Job, tasks []*pb.Task, usage []*pb.TaskUsage, all bool) {
	names := taskref.Of(j.Spec)
	byID := make(map[string]string)
	for _, t := range tasks {
		if t.Last != nil {
			byID[t.Last.Id] = names.Task(t.Group, t.Ordinal)
		}
	}
	usage = slices.DeleteFunc(slices.Clone(usage), func(u *pb.TaskUsage) bool {
		return byID[u.AllocationId] == "" || !all && len(u.Devices) == 0 && len(u.Notes) == 0
	})
	if len(usage) == 0 {
		return
	}
	slices.SortFunc(usage, func(a, b *pb.TaskUsage) int { return strings.Compare(byID[a.AllocationId], byID[b.AllocationId]) })
	deviceUsage(w, s, usage, byID)
	fmt.Fprintln(w)
	for _, u := range usage {
		fmt.Fprintf(w, "  %s limits: %s\n", byID[u.AllocationId], limitWords(u.Limits))
		for _, n := range u.Notes {
			fmt.Fprintf(w, "  %s: %s\n", byID[u.AllocationId], n)
		}
	}
}

func deviceUsage(w io.Writer, s Style, usage []*pb.TaskUsage, byID map[string]string) {
	if !slices.ContainsFunc(usage, func(u *pb.TaskUsage) bool { return len(u.Devices) > 0 }) {
		return
	}
	fmt.Fprintln(w)
	t := newTable(w, s, "TASK", "DEVICE", "SHARE", "MEMORY", "PEAK", "BUSY", "POWER", "ENERGY")
	for _, u := range usage {
		for _, d := range u.Devices {
			t.row(byID[u.AllocationId], d.DeviceId, milli(int64(d.Thousandths)), valueOf(d, "memory_used_bytes", size),
				or(positive(d.PeakMemoryBytes, size), "-"), valueOf(d, "busy_thousandths", percent), valueOf(d, "power_milliwatts", watt),
				or(positive(d.EnergyMj, joule), "-"))
		}
	}
	t.flush()
}

// given writes what one allocation was given, and uses.
func given(w io.Writer, s Style, u *pb.TaskUsage) {
	if u == nil {
		return
	}
	deviceUsage(w, s, []*pb.TaskUsage{u}, map[string]string{u.AllocationId: u.AllocationId})
	fmt.Fprintf(w, "\nlimits: %s\n", limitWords(u.Limits))
	for _, n := range u.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
}

// limitWords lists limits, those that are kept and those that are only booked.
func limitWords(limits []*pb.UsageLimit) string {
	words := map[pb.Enforcement][]string{}
	for _, l := range limits {
		word := strings.TrimSpace(l.Name + " " + l.Value)
		if l.DeviceId != "" {
			word = l.DeviceId + " " + word
			if l.By != "" {
				word += " by " + l.By
			}
		}
		words[l.Enforcement] = append(words[l.Enforcement], word)
	}
	var parts []string
	for _, e := range slices.Sorted(maps.Keys(words)) {
		name := map[pb.Enforcement]string{pb.Enforcement_ENFORCEMENT_ENFORCED: "enforced", pb.Enforcement_ENFORCEMENT_ACCOUNTED: "accounted only"}[e]
		parts = append(parts, or(name, "unknown")+": "+strings.Join(words[e], ", "))
	}
	return or(strings.Join(parts, "; "), "none")
}

func valueOf(d *pb.DeviceUsage, name string, write func(int64) string) string {
	if n, ok := d.Values[name]; ok {
		return write(n)
	}
	return "-"
}

func positive(n int64, write func(int64) string) string {
	if n == 0 {
		return ""
	}
	return write(n)
}

func percent(thousandths int64) string { return fmt.Sprintf("%d %%", thousandths/10) }

func watt(milliwatts int64) string { return fmt.Sprintf("%d W", milliwatts/1000) }

// joule writes an energy: joules while they are few, then watt hours.
func joule(millijoules int64) string {
	const wattHour = 3_600_000
	if millijoules < wattHour {
		return fmt.Sprintf("%d J", millijoules/1000)
	}
	return milli(millijoules*1000/wattHour) + " Wh"
}
