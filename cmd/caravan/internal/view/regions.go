package view

import (
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "caravan/api/caravanv1"
)

// Programmable reports whether a device takes images.
func Programmable(d *pb.Device) bool {
	_, ok := d.GetAttributes()["region"]
	return ok
}

// imagePrefix begins the attributes that name a device's images.
const imagePrefix = "image."

// Regions writes the programmable devices of all nodes.
func Regions(w io.Writer, s Style, nodes []*pb.Node) {
	header := []string{"NODE", "DEVICE", "MODEL", "*STATE", "RUNS", "CAN LOAD", "LOAD TIME", "HELD"}
	if s.Wide {
		header = append(header, "SHELL", "HEALTH")
	}
	t := newTable(w, s, header...)
	for _, n := range nodes {
		used := usedShares(n)
		for _, d := range n.Info.GetDevices() {
			if !Programmable(d) {
				continue
			}
			held := "no"
			if used[d.Id].thousandths > 0 {
				held = "yes"
			}
			row := []string{
				n.Info.Name, d.Id, strings.TrimSpace(d.Vendor + " " + d.Model), attribute(d.Attributes["region"]),
				or(runs(d), "-"), or(strings.Join(loadable(d), ", "), "-"), or(loadTime(d), "-"), held,
			}
			if s.Wide {
				row = append(row, attribute(d.Attributes["shell"]), health(d))
			}
			t.row(row...)
		}
	}
	t.flush()
}

// runs names the image that a device runs, by its name where the node knows one.
func runs(d *pb.Device) string {
	loaded := attribute(d.Attributes["image"])
	for _, k := range slices.Sorted(maps.Keys(d.Attributes)) {
		if name, ok := strings.CutPrefix(k, imagePrefix); ok && attribute(d.Attributes[k]) == "loaded" {
			return name
		}
	}
	return loaded
}

// loadable lists the images that could be loaded into a device.
func loadable(d *pb.Device) []string {
	var names []string
	for _, k := range slices.Sorted(maps.Keys(d.Attributes)) {
		if name, ok := strings.CutPrefix(k, imagePrefix); ok && attribute(d.Attributes[k]) == "loadable" {
			names = append(names, name)
		}
	}
	return names
}

func loadTime(d *pb.Device) string {
	ms, err := strconv.ParseInt(attribute(d.Attributes["reprogram_ms"]), 10, 64)
	if err != nil {
		return ""
	}
	return Duration(time.Duration(ms) * time.Millisecond)
}

func health(d *pb.Device) string {
	if d.Healthy {
		return "ok"
	}
	return or(d.HealthReason, "unhealthy")
}
