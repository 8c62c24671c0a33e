package view

import (
	"fmt"
	"io"
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// Explain writes why an allocation is on its node, and which would be next.
func Explain(w io.Writer, s Style, e *pb.AllocationExplanation) {
	fmt.Fprintf(w, "%s  %s on %s, placed %s\n", e.AllocationId, s.state(Word(e.State)), e.Chosen.GetNode(), s.ago(e.PlacedMs))
	fmt.Fprintln(w, "judged by the present state, without this allocation; the state it was placed in is not kept")
	if len(e.Variants) > 1 {
		fmt.Fprintf(w, "variants, preferred first: %s\n", variants(e.Variants))
	}
	switch {
	case e.Rank == 0:
		fmt.Fprintf(w, "it would not go to %s now, which lacks %s; it fits %s of %d\n", e.Chosen.GetNode(), or(e.Lacks, "room"), Count(e.Fits, "node"), e.Nodes)
	case e.Rank == 1:
		fmt.Fprintf(w, "%s is the best of %s that it fits, out of %d\n", e.Chosen.Node, Count(e.Fits, "node"), e.Nodes)
	default:
		fmt.Fprintf(w, "%s comes %s of %s that it fits, out of %d: the first would be chosen now\n", e.Chosen.Node, nth(e.Rank), Count(e.Fits, "node"), e.Nodes)
	}
	for _, n := range e.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	given(w, s, e.Given)
	if e.Rank == 0 && len(e.Next) == 0 {
		return
	}
	fmt.Fprintln(w)
	ranking(w, s, e)
	fmt.Fprintln(w, "\nless is better; the last column names what makes the difference")
}

// ranking writes the nodes in order, the chosen one in its place.
func ranking(w io.Writer, s Style, e *pb.AllocationExplanation) {
	t := newTable(w, s, "NODE", "TYPE", "OTHER KINDS", "SPLITS", "REST", "DEVICES LEFT", "DEVICE MEM", "HOST LEFT", "DECIDED BY")
	row := func(n *pb.RankedNode, decided string) {
		t.row(sim(n.Node, n.Simulated), n.InstanceType, fmt.Sprint(n.ForeignKinds), fmt.Sprint(n.Splits), model.FormatMilli(n.Splinter),
			model.FormatMilli(n.DevicesLeft), fmt.Sprintf("%dGiB", n.DeviceMemoryGib), model.FormatMilli(n.HostLeft), decided)
	}
	shown := e.Rank == 0
	for i, n := range e.Next {
		if !shown && int64(i)+1 == e.Rank {
			row(e.Chosen, "(chosen)")
			shown = true
		}
		row(n, columnOf(n.DecidedBy))
	}
	if !shown {
		row(e.Chosen, "(chosen)")
	}
	t.flush()
}

// variants writes each variant with its speed and the nodes that it fits.
func variants(all []*pb.RankedVariant) string {
	var parts []string
	for _, v := range all {
		p := fmt.Sprintf("%s (speed %s, fits %s)", v.Variant, model.FormatMilli(int64(v.SpeedPermille)), Count(v.Fits, "node"))
		if v.Chosen {
			p = "*" + p
		}
		parts = append(parts, p)
	}
	return strings.Join(parts, ", ")
}

// nth writes 2nd, 3rd, 4th, 11th, 21st.
func nth(n int64) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprint(n) + suffix
}

// columnOf names the column that shows a part of the score.
func columnOf(part string) string {
	switch part {
	case "foreign-kinds":
		return "other kinds"
	case "splinter":
		return "rest"
	case "device-memory":
		return "device mem"
	case "image":
		return "image loaded"
	}
	return strings.ReplaceAll(part, "-", " ")
}
