package view

import (
	"io"
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
				or(attribute(d.Attributes["image"]), "-"), or(strings.ReplaceAll(attribute(d.Attributes["images"]), ",", ", "), "-"), or(loadTime(d), "-"), held,
			}
			if s.Wide {
				row = append(row, attribute(d.Attributes["shell"]), health(d))
			}
			t.row(row...)
		}
	}
	t.flush()
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
