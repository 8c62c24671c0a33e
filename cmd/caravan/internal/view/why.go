package view

import (
	"fmt"
	"io"
	"slices"
	"strings"

	pb "caravan/api/caravanv1"
)

// Limits that keep "why" and a dry run to one screen; -o wide lifts them.
const (
	maxGroups     = 4
	maxVariants   = 3
	maxRejections = 4
	maxOffers     = 12
)

// Why writes why the groups of a job do not run. Groups that do run, or that
// need no explanation, share one line.
func Why(w io.Writer, s Style, e *pb.Explanation) {
	waiting, quiet := split(e.Groups)
	if len(waiting) == 0 {
		fmt.Fprintf(w, "%s: nothing waits\n", e.JobId)
	} else {
		looked := "the scheduler has not looked at it yet"
		if e.DecidedMs != 0 {
			looked = "as of " + s.ago(e.DecidedMs)
		}
		fmt.Fprintf(w, "%s: %s of %d %s, %s\n", e.JobId, Count(int64(len(waiting)), "group"), len(e.Groups), verb(len(waiting)), looked)
	}
	verdicts(w, s, waiting)
	if len(quiet) > 0 {
		fmt.Fprintf(w, "\n%s\n", strings.Join(quiet, "; "))
	}
}

func verb(n int) string {
	if n == 1 {
		return "waits"
	}
	return "wait"
}

// verdicts writes groups that wait, those that wait for room before those
// that wait for other groups.
func verdicts(w io.Writer, s Style, groups []*pb.GroupVerdict) {
	for i, g := range groups {
		if i == maxGroups && !s.Wide {
			fmt.Fprintf(w, "\nand %s (-o wide)\n", Count(int64(len(groups)-i), "more group"))
			return
		}
		fmt.Fprintln(w)
		verdict(w, s, g)
	}
}

// split separates the groups that wait from those that run or are done, which
// come back as one phrase per code.
func split(groups []*pb.GroupVerdict) (waiting []*pb.GroupVerdict, quiet []string) {
	byCode := map[string][]string{}
	for _, g := range groups {
		switch g.Code {
		case "placed", "running", "done":
			byCode[g.Code] = append(byCode[g.Code], g.Group)
		default:
			waiting = append(waiting, g)
		}
	}
	slices.SortStableFunc(waiting, func(a, b *pb.GroupVerdict) int { return rank(a) - rank(b) })
	for _, code := range []string{"placed", "running", "done"} {
		if names := byCode[code]; len(names) > 0 {
			quiet = append(quiet, code+": "+some(names, 6))
		}
	}
	return waiting, quiet
}

func rank(g *pb.GroupVerdict) int {
	if g.Code == "blocked" {
		return 1
	}
	return 0
}

func verdict(w io.Writer, s Style, g *pb.GroupVerdict) {
	head := fmt.Sprintf("%s  %s", g.Group, s.state(g.Code))
	if g.ReadyTasks > 0 {
		head += "  " + Count(g.ReadyTasks, "task") + " ready"
	}
	if len(g.WaitsFor) > 0 {
		head += "  after " + some(g.WaitsFor, 4)
	}
	fmt.Fprintln(w, head)
	if g.Summary != "" && len(g.WaitsFor) == 0 {
		fmt.Fprintf(w, "  %s\n", g.Summary)
	}
	for i, v := range g.Variants {
		if i == maxVariants && !s.Wide {
			fmt.Fprintf(w, "  and %s (-o wide)\n", Count(int64(len(g.Variants)-i), "more variant"))
			return
		}
		variant(w, s, v)
	}
}

// variant writes how many nodes each condition rules out, and the way out.
func variant(w io.Writer, s Style, v *pb.VariantVerdict) {
	fmt.Fprintf(w, "  %s on %s:\n", or(v.Variant, "the only variant"), Count(v.Nodes, "node"))
	for i, r := range v.Rejections {
		if i == maxRejections && !s.Wide {
			fmt.Fprintf(w, "    and %s (-o wide)\n", Count(int64(len(v.Rejections)-i), "more condition"))
			break
		}
		line := fmt.Sprintf("%6d  %s", r.Nodes, r.Constraint)
		if r.IfEmpty > 0 {
			line += fmt.Sprintf("; %d would do if empty", r.IfEmpty)
		}
		fmt.Fprintln(w, line)
	}
	if v.NearestNode != "" {
		fmt.Fprintf(w, "    nearest: %s", v.NearestNode)
		if v.NearestLacks != "" {
			fmt.Fprintf(w, " (%s)", v.NearestLacks)
		}
		fmt.Fprintln(w)
	}
	if v.Hint != "" {
		fmt.Fprintf(w, "    hint: %s\n", v.Hint)
	}
}

// DryRun writes where a job would run, what that costs, and what would wait.
func DryRun(w io.Writer, s Style, name string, r *pb.DryRunJobResponse) {
	var tasks, cost int64
	nodes := map[string]bool{}
	for _, o := range r.Offers {
		tasks += o.Tasks
		cost += o.PriceMicroPerHour
		nodes[o.Node] = true
	}
	if len(r.Offers) == 0 {
		fmt.Fprintf(w, "%s: nothing would start now\n", name)
	} else {
		fmt.Fprintf(w, "%s: %s would start now on %s", name, Count(tasks, "task"), Count(int64(len(nodes)), "node"))
		if cost > 0 {
			fmt.Fprintf(w, " for %s", price(cost))
		}
		fmt.Fprint(w, "\n\n")
		offers(w, s, r.Offers)
	}
	waiting, _ := split(r.Explanation.GetGroups())
	verdicts(w, s, waiting)
	if len(r.Warnings) > 0 {
		fmt.Fprintln(w)
	}
	Warnings(w, s, r.Warnings)
	fmt.Fprintln(w, "\nnothing was submitted")
}

func offers(w io.Writer, s Style, list []*pb.Offer) {
	t := newTable(w, s, "GROUP", "VARIANT", "TASKS", "NODE", "TYPE", "PRICE")
	shown := list
	if len(list) > maxOffers && !s.Wide {
		shown = list[:maxOffers]
	}
	for _, o := range shown {
		t.row(o.Group, o.Variant, fmt.Sprint(o.Tasks), sim(o.Node, o.Simulated), o.InstanceType, or(price(o.PriceMicroPerHour), "unknown"))
	}
	t.flush()
	if n := len(list) - len(shown); n > 0 {
		fmt.Fprintf(w, "and %s (-o wide)\n", Count(int64(n), "more place"))
	}
}

// Warnings writes what the user should know, one line each.
func Warnings(w io.Writer, s Style, warnings []string) {
	for _, text := range warnings {
		fmt.Fprintf(w, "%s %s\n", s.paint(yellow, "warning:"), text)
	}
}
