package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	pb "caravan/api/caravanv1"
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
	if n.Draining && n.State == pb.NodeState_NODE_STATE_READY {
		return "draining"
	}
	return Word(n.State)
}

// deviceSummary counts devices by kind: "1.5/4 gpu, 1 unhealthy".
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
	return strings.Join(parts, ", ")
}

type share struct{ thousandths, memoryMiB int64 }

func usedShares(n *pb.Node) map[string]share {
	used := map[string]share{}
	for _, d := range n.UsedDevices {
		u := used[d.DeviceId]
		used[d.DeviceId] = share{u.thousandths + int64(d.Thousandths), u.memoryMiB + d.MemoryMib}
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
	t := newTable(w, s, "DEVICE", "KIND", "MODEL", "USED", "MEMORY", "HEALTH")
	for _, d := range n.Info.Devices {
		u := used[d.Id]
		t.row(d.Id, d.Kind, strings.TrimSpace(d.Vendor+" "+d.Model), milli(u.thousandths)+"/"+milli(int64(d.Thousandths)),
			mib(u.memoryMiB)+"/"+mib(d.MemoryMib), health(d))
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
