package view

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// Nodes writes a list of nodes.
func Nodes(w io.Writer, s Style, nodes []*pb.Node) {
	header := []string{"NODE", "*STATE", "TYPE", "ZONE", "CPU", "MEMORY", "DEVICES", "TASKS"}
	if s.Wide {
		header = append(header, "RACK", "PRICE", "DISK", "ADDRESS", "VERSION", "REGISTERED")
	}
	t := newTable(w, s, header...)
	for _, n := range nodes {
		i := n.Info
		row := []string{
			sim(i.GetName(), i.GetSimulated()), s.state(nodeState(n)), or(i.GetInstanceType(), i.GetFamily()), i.GetZone(),
			milli(n.UsedCpuMilli) + "/" + milli(i.GetCpuMilli()),
			mib(n.UsedMemoryMib) + "/" + mib(i.GetMemoryMib()),
			deviceSummary(n), strconv.FormatInt(n.Allocations, 10),
		}
		if s.Wide {
			row = append(row, i.GetRack(), price(i.GetPriceMicroPerHour()), mib(n.UsedDiskMib)+"/"+mib(i.GetDiskMib()),
				i.GetAddress(), i.GetVersion(), s.ago(n.RegisteredMs))
		}
		t.row(row...)
	}
	t.flush()
}

// nodeState returns the word for a node; draining shows on a node that is ready.
func nodeState(n *pb.Node) string {
	switch {
	case n.State == pb.NodeState_NODE_STATE_READY && n.Draining:
		return "draining"
	case n.State == pb.NodeState_NODE_STATE_READY && n.Info.GetHealth().GetReason() != "":
		return "ill"
	}
	return Word(n.State)
}

// deviceSummary counts devices by kind, and what video engines offer: "1.5/4 gpu
// (1 unhealthy), 2/12 encoder sessions".
func deviceSummary(n *pb.Node) string {
	used := usedShares(n)
	type sum struct{ used, have, sick int64 }
	kinds := map[string]*sum{}
	for _, d := range n.Info.GetDevices() {
		k := kinds[d.Kind]
		if k == nil {
			k = &sum{}
			kinds[d.Kind] = k
		}
		k.used += used[d.Id].thousandths
		k.have += int64(d.Thousandths)
		if !d.Healthy {
			k.sick++
		}
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		k := kinds[kind]
		part := fmt.Sprintf("%s/%s %s", milli(k.used), milli(k.have), kind)
		if k.sick > 0 {
			part += fmt.Sprintf(" (%d unhealthy)", k.sick)
		}
		parts = append(parts, part)
	}
	var taken, offered engines
	for _, d := range n.Info.GetDevices() {
		offered = offered.plus(enginesOf(d))
		taken = taken.plus(used[d.Id].engines)
	}
	if offered.sessions > 0 {
		parts = append(parts, fmt.Sprintf("%d/%d encoder sessions", taken.sessions, offered.sessions))
	}
	return strings.Join(parts, ", ")
}

// engines is what video engines offer, or what of it is used.
type engines struct{ sessions, encodeMilli, decodeMilli int64 }

func (e engines) plus(o engines) engines {
	return engines{e.sessions + o.sessions, e.encodeMilli + o.encodeMilli, e.decodeMilli + o.decodeMilli}
}

func enginesOf(d *pb.Device) engines {
	return engines{
		sessions:    d.Attributes[model.AttributeSessions].GetMilli() / 1000,
		encodeMilli: d.Attributes[model.AttributeEncode].GetMilli(), decodeMilli: d.Attributes[model.AttributeDecode].GetMilli(),
	}
}

// video writes what of a device's video engines is used, empty without any:
// "2/3 sessions, 0.5/1 encode, 0/1 decode".
func video(used, have engines) string {
	var parts []string
	for _, e := range []struct {
		what       string
		used, have int64
	}{
		{"sessions", used.sessions * 1000, have.sessions * 1000}, {"encode", used.encodeMilli, have.encodeMilli}, {"decode", used.decodeMilli, have.decodeMilli},
	} {
		if e.have > 0 {
			parts = append(parts, milli(e.used)+"/"+milli(e.have)+" "+e.what)
		}
	}
	return strings.Join(parts, ", ")
}

type share struct {
	thousandths, memoryMiB int64
	engines                engines
}

func usedShares(n *pb.Node) map[string]share {
	used := map[string]share{}
	for _, d := range n.UsedDevices {
		u := used[d.DeviceId]
		held := engines{int64(d.EncoderSessions), int64(d.EncodeMilli), int64(d.DecodeMilli)}
		used[d.DeviceId] = share{u.thousandths + int64(d.Thousandths), u.memoryMiB + d.MemoryMib, u.engines.plus(held)}
	}
	return used
}

// Node writes one node with its devices and attributes.
func Node(w io.Writer, s Style, n *pb.Node) {
	i := n.Info
	fmt.Fprintf(w, "%s  %s\n", sim(i.GetName(), i.GetSimulated()), s.state(nodeState(n)))
	facts := []string{"type " + nodeType(i)}
	for _, f := range []struct{ name, value string }{
		{"family", i.GetFamily()},
		{"zone", i.GetZone()},
		{"rack", i.GetRack()},
		{"price", price(i.GetPriceMicroPerHour())},
		{"agent", i.GetVersion()},
		{"at", i.GetAddress()},
	} {
		if f.value != "" {
			facts = append(facts, f.name+" "+f.value)
		}
	}
	fmt.Fprintf(w, "  %s\n", strings.Join(facts, ", "))
	fmt.Fprintf(w, "  registered %s, last change %s\n\n", or(s.ago(n.RegisteredMs), "at an unknown time"), or(s.ago(n.ChangedMs), "unknown"))
	t := newTable(w, s, "RESOURCE", "USED", "OF")
	t.row("cpu", milli(n.UsedCpuMilli), milli(i.GetCpuMilli())+" cores")
	t.row("memory", mib(n.UsedMemoryMib), mib(i.GetMemoryMib()))
	t.row("disk", mib(n.UsedDiskMib), mib(i.GetDiskMib()))
	t.row("tasks", strconv.FormatInt(n.Allocations, 10), "-")
	t.flush()
	nodeDevices(w, s, n)
	nodeRegions(w, s, n)
	nodeLinks(w, s, n)
	nodeHistory(w, s, n)
	if keys := slices.Sorted(maps.Keys(i.GetAttributes())); len(keys) > 0 {
		fmt.Fprintln(w)
		t := newTable(w, s, "ATTRIBUTE", "VALUE")
		for _, k := range keys {
			t.row(k, attribute(i.Attributes[k]))
		}
		t.flush()
	}
}

func nodeDevices(w io.Writer, s Style, n *pb.Node) {
	if len(n.Info.GetDevices()) == 0 {
		return
	}
	used := usedShares(n)
	fmt.Fprintln(w)
	header := []string{"DEVICE", "KIND", "MODEL", "USED", "MEMORY", "*HEALTH", "SINCE", "REASON"}
	if slices.ContainsFunc(n.Info.Devices, func(d *pb.Device) bool { return enginesOf(d) != engines{} }) {
		header = append(header, "VIDEO")
	}
	t := newTable(w, s, header...)
	for _, d := range n.Info.Devices {
		health, reason := "healthy", "-"
		if h := d.GetHealth().GetState(); h > pb.HealthState_HEALTH_STATE_HEALTHY {
			health = Word(h)
		}
		if !d.Healthy {
			reason = or(strings.TrimPrefix(d.HealthReason, health+": "), "unhealthy")
			if health == "healthy" {
				health = "out"
			}
		}
		u := used[d.Id]
		row := []string{
			d.Id, d.Kind, strings.TrimSpace(d.Vendor + " " + d.Model), milli(u.thousandths) + "/" + milli(int64(d.Thousandths)),
			mib(u.memoryMiB) + "/" + mib(d.MemoryMib), s.state(health), or(s.ago(d.GetHealth().GetSinceMs()), "-"), reason,
		}
		if len(header) > len(row) {
			row = append(row, video(u.engines, enginesOf(d)))
		}
		t.row(row...)
	}
	t.flush()
}

// nodeHistory writes what happened to the node's host and devices, the newest first.
func nodeHistory(w io.Writer, s Style, n *pb.Node) {
	type line struct {
		device string
		*pb.HealthEntry
	}
	var lines []line
	if h := n.Info.GetHealth(); h != nil {
		if h.Reason != "" {
			fmt.Fprintf(w, "\nThe host takes no tasks: %s\n", h.Reason)
		}
		for _, e := range h.History {
			lines = append(lines, line{"(host)", e})
		}
	}
	for _, d := range n.Info.GetDevices() {
		for _, e := range d.GetHealth().GetHistory() {
			lines = append(lines, line{d.Id, e})
		}
	}
	if len(lines) == 0 {
		return
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(b.TimeMs, a.TimeMs) })
	fmt.Fprintln(w)
	t := newTable(w, s, "WHEN", "DEVICE", "FAULT", "*THEN")
	for _, l := range lines {
		t.row(s.ago(l.TimeMs), l.device, or(l.Fault, "-"), s.state(Word(l.State)))
	}
	t.flush()
}

// nodeType is a node's instance type, and how it is known where nobody has named it.
func nodeType(i *pb.NodeInfo) string {
	name := or(i.GetInstanceType(), "unknown")
	from, ok := i.GetAttributes()["instance_type.from"]
	if !ok {
		return name
	}
	if others, ok := i.Attributes["instance_type.others"]; ok {
		return name + " (" + attribute(from) + "; or " + strings.ReplaceAll(attribute(others), " ", " or ") + ")"
	}
	return name + " (" + attribute(from) + ")"
}

// nodeRegions writes what programmable devices run and could run.
func nodeRegions(w io.Writer, s Style, n *pb.Node) {
	if slices.ContainsFunc(n.Info.GetDevices(), Programmable) {
		fmt.Fprintln(w)
		Regions(w, s, []*pb.Node{n})
	}
}

// maxLinked bounds the devices whose links are written: more do not fit a line.
const maxLinked = 16

// nodeLinks writes how close devices are, one row for each, if anything is known of it.
func nodeLinks(w io.Writer, s Style, n *pb.Node) {
	links, devices := n.Info.GetDeviceLinks(), n.Info.GetDevices()
	if len(links) == 0 || len(links) != len(devices)*(len(devices)-1)/2 || len(devices) > maxLinked {
		return
	}
	fmt.Fprintln(w)
	header := []string{"LINKS"}
	for i := range devices {
		header = append(header, strconv.Itoa(i))
	}
	t := newTable(w, s, header...)
	score := func(i, j int) string {
		if i == j {
			return "-"
		}
		i, j = min(i, j), max(i, j)
		return strconv.Itoa(int(links[i*(2*len(devices)-i-1)/2+j-i-1]))
	}
	for i, d := range devices {
		row := []string{strconv.Itoa(i) + " " + d.Id}
		for j := range devices {
			row = append(row, score(i, j))
		}
		t.row(row...)
	}
	t.flush()
}
