package state

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/datadriven"

	"caravan/scheduler/model"
)

// show prints one table of the newest snapshot.
func (s *scenario) show(d *datadriven.TestData) string {
	var b strings.Builder
	snap := s.store.Snapshot()
	switch first(d) {
	case "jobs":
		showJobs(&b, snap)
	case "allocations":
		for a := range snap.Allocations() {
			fmt.Fprintf(&b, "%s on %s epoch %d %s", a.ID, a.Node, a.Epoch, a.State)
			if a.StopRequested {
				b.WriteString(", stop requested")
			}
			fmt.Fprintf(&b, "; placed %s started %s ended %s %s\n", clock(a.PlacedAt), clock(a.StartedAt), clock(a.EndedAt), a.Exit.Reason)
		}
	case "ports":
		for j := range snap.Jobs() {
			for g := range j.Groups {
				fmt.Fprintf(&b, "%s.%s epoch %d port %d\n", j.ID, j.Spec.Groups[g].Name, j.Groups[g].Epoch, j.Groups[g].Port)
			}
		}
	case "tasks":
		for r := range snap.Tasks() {
			fmt.Fprintf(&b, "%s.%d.%d attempts=%d failures=%d last=%s\n", r.Job, r.Group, r.Ordinal, r.Attempts, r.Failures, r.LastAllocation)
		}
	case "nodes":
		showNodes(&b, snap)
	case "health":
		showHealth(&b, snap)
	case "queues":
		for q := range snap.Queues() {
			fmt.Fprintf(&b, "%s %+v\n", q.Name, snap.QueueUsage(q.Name))
		}
	case "limits":
		for l := range snap.Limits() {
			fmt.Fprintf(&b, "%s %d per %s, %d held\n", l.Name, l.Count, l.Scope, snap.LimitUsed(l.Name))
		}
	case "requests":
		for r := range snap.Requests() {
			fmt.Fprintf(&b, "%s at %s: %s%s\n", r.ID, clock(r.Time), r.JobID, r.ErrorMessage)
		}
	case "servers":
		for v := range snap.Servers() {
			fmt.Fprintf(&b, "%s raft=%s api=%s\n", v.ID, v.RaftAddress, v.APIAddress)
		}
	}
	return b.String()
}

func showHealth(b *strings.Builder, snap *Snapshot) {
	for r := range snap.HealthRecords() {
		fmt.Fprintf(b, "%s at %s %s:", r.Identity, r.Node, r.Device)
		for _, e := range r.History {
			fmt.Fprintf(b, " %s:%s:%s", clock(e.At), e.Fault, e.State)
		}
		if r.Order.Index != 0 {
			fmt.Fprintf(b, "; order %d: %s", r.Order.Index, r.Order.Verb)
		}
		b.WriteByte('\n')
	}
	for n := range snap.Nodes() {
		for _, o := range snap.OrdersFor(n.Name) {
			fmt.Fprintf(b, "for %s: %d %s %s\n", n.Name, o.Index, o.Verb, o.Device)
		}
		fmt.Fprintf(b, "%s takes work %t", n.Name, n.Schedulable())
		for i := range n.Devices {
			d := &n.Devices[i]
			fmt.Fprintf(b, "; %s %t fault %s %s", d.ID, d.Healthy, clock(d.Health.LastFault), d.HealthReason)
		}
		b.WriteByte('\n')
	}
}

func clock(t model.Time) string {
	if t == 0 {
		return "-"
	}
	return fmt.Sprintf("%ds", t/1000)
}

func showJobs(b *strings.Builder, snap *Snapshot) {
	for j := range snap.Jobs() {
		fmt.Fprintf(b, "%s %s submitted %s started %s ended %s", j.ID, j.State, clock(j.SubmittedAt), clock(j.StartedAt), clock(j.EndedAt))
		for _, d := range j.Waits {
			fmt.Fprintf(b, ", waits for %s %s", d.Job, d.Condition)
		}
		for _, f := range j.NodeFailures {
			fmt.Fprintf(b, ", %d failed on %s", f.Failures, f.Node)
			if f.AvoidUntil != 0 {
				fmt.Fprintf(b, " (avoided until %s)", clock(f.AvoidUntil))
			}
		}
		b.WriteByte('\n')
		for g := range j.Groups {
			st := &j.Groups[g]
			fmt.Fprintf(b, "  %s waiting [%s] active [%s] succeeded [%s] failed [%s] stopped [%s]", j.Spec.Groups[g].Name,
				st.Waiting, st.Active, st.Succeeded, st.Failed, st.Stopped)
			if st.Epoch != 0 {
				fmt.Fprintf(b, " epoch %d restarts %d", st.Epoch, st.Restarts)
			}
			if st.VariantChosen != 0 {
				fmt.Fprintf(b, " variant %d", st.VariantChosen-1)
			}
			b.WriteString(showMarks(st))
			b.WriteByte('\n')
		}
	}
}

func showNodes(b *strings.Builder, snap *Snapshot) {
	for n := range snap.Nodes() {
		free, _ := snap.Free(n.Name)
		fmt.Fprintf(b, "%s %s draining=%t free %s cores %s", n.Name, n.State, n.Draining, model.FormatMilli(free.CPUMilli), model.FormatMiB(free.MemoryMiB))
		for i, d := range n.Devices {
			fmt.Fprintf(b, " %s=%d", d.ID, free.Devices[i].Thousandths)
		}
		fmt.Fprintf(b, " live=%d\n", snap.LiveCount(n.Name))
	}
	if over := snap.Overcommitted(); len(over) > 0 {
		fmt.Fprintf(b, "overcommitted: %s\n", strings.Join(over, " "))
	}
}

// history holds some older snapshots and what they were like, to prove that
// nothing that a reader can reach is ever changed.
type history struct {
	snapshots []*Snapshot
	digests   [][32]byte
}

const historyLength = 8

// failer is a test, of package testing or of rapid.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// remember checks the new snapshot and all that are remembered, then adds it.
func (h *history) remember(t failer, s *Snapshot) {
	t.Helper()
	if err := Check(s); err != nil {
		t.Fatalf("at index %d: %v", s.Index(), err)
	}
	for i, old := range h.snapshots {
		if Digest(old) != h.digests[i] {
			t.Fatalf("index %d changed the snapshot of index %d", s.Index(), old.Index())
		}
		if err := Check(old); err != nil {
			t.Fatalf("index %d changed what is derived in the snapshot of index %d: %v", s.Index(), old.Index(), err)
		}
	}
	h.snapshots, h.digests = append(h.snapshots, s), append(h.digests, Digest(s))
	if len(h.snapshots) > historyLength {
		h.snapshots, h.digests = h.snapshots[1:], h.digests[1:]
	}
}
