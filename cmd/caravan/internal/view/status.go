package view

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/cmd/caravan/internal/taskref"
)

// Status writes one job: its groups and, of its tasks, those given.
func Status(w io.Writer, s Style, j *pb.Job, tasks []*pb.Task) {
	fmt.Fprintf(w, "%s  %s\n", sim(j.Id, j.Simulated), s.state(Word(j.State)))
	facts := []string{"queue " + or(j.Spec.GetQueue(), "default")}
	if j.Owner != "" {
		facts = append(facts, "owner "+j.Owner)
	}
	if p := j.Spec.GetPriority() + j.PriorityChange; p != 0 {
		facts = append(facts, fmt.Sprintf("priority %d", p))
	}
	facts = append(facts, "submitted "+or(s.ago(j.SubmittedMs), "at an unknown time"))
	switch {
	case j.EndedMs != 0 && j.StartedMs != 0:
		facts = append(facts, "ran "+s.span(j.StartedMs, j.EndedMs), "ended "+s.ago(j.EndedMs))
	case j.StartedMs != 0:
		facts = append(facts, "running for "+s.span(j.StartedMs, 0))
	}
	fmt.Fprintf(w, "  %s\n", strings.Join(facts, ", "))
	if l := labels(j.Spec.GetLabels()); l != "" {
		fmt.Fprintf(w, "  labels %s\n", l)
	}
	fmt.Fprintln(w)
	groups(w, s, j)
	marks(w, j)
	sweeps(w, j)
	if len(tasks) > 0 {
		fmt.Fprintln(w)
		Tasks(w, s, j, tasks)
	}
}

// groups writes the counts of each group.
func groups(w io.Writer, s Style, j *pb.Job) {
	waits := map[string]string{}
	for _, g := range j.Spec.GetGroups() {
		var names []string
		for _, d := range g.DependsOn {
			name := d.Group
			if d.Each {
				name += " (each)"
			}
			switch d.Condition {
			case pb.DependencyCondition_DEPENDENCY_CONDITION_ENDED:
				name += " ended"
			case pb.DependencyCondition_DEPENDENCY_CONDITION_FAILED:
				name += " failed"
			}
			names = append(names, name)
		}
		waits[g.Name] = some(names, 3)
	}
	t := newTable(w, s, "GROUP", "TASKS", "DONE", "RUNNING", "WAITING", "FAILED", "STOPPED", "AFTER")
	for _, g := range j.Groups {
		t.row(g.Name, strconv.FormatInt(g.Tasks, 10), nonzero(g.Succeeded), nonzero(g.Running),
			nonzero(g.Pending+g.Blocked), nonzero(g.Failed), nonzero(g.Stopped), or(waits[g.Name], "-"))
	}
	t.flush()
}

// Tasks writes tasks with their last attempts.
func Tasks(w io.Writer, s Style, j *pb.Job, tasks []*pb.Task) {
	names := taskref.Of(j.Spec)
	header := []string{"TASK", "*STATE", "TRY", "NODE", "VARIANT", "EXIT", "CPU TIME", "PEAK MEMORY", "RUN TIME"}
	if s.Wide {
		header = append(header, "STARTED", "DEVICES", "LIMITS", "ALLOCATION")
	}
	point := points(j)
	if point != nil {
		header = append(header, "POINT")
	}
	t := newTable(w, s, header...)
	var notes []string
	for _, task := range tasks {
		a := task.Last
		name := names.Task(task.Group, task.Ordinal)
		row := []string{
			sim(name, a.GetSimulated()), s.state(Word(task.State)), nonzero(int64(task.Attempts)), a.GetNode(), a.GetVariant(), exit(a.GetExit()),
			cpuTime(a.GetUsage()), peak(a.GetUsage()), or(s.span(a.GetStartedMs(), a.GetEndedMs()), "-"),
		}
		if s.Wide {
			row = append(row, s.ago(a.GetStartedMs()), devices(a.GetDevices()), a.GetUsage().GetLimits(), a.GetId())
		}
		if point != nil {
			row = append(row, point(task))
		}
		t.row(row...)
		if m := a.GetExit().GetMessage(); m != "" && task.State != pb.TaskState_TASK_STATE_SUCCEEDED {
			notes = append(notes, fmt.Sprintf("  %s: %s", name, m))
		}
	}
	t.flush()
	for i, n := range notes {
		if i == 5 && !s.Wide {
			fmt.Fprintf(w, "  and %d more messages (-o wide)\n", len(notes)-i)
			break
		}
		fmt.Fprintln(w, n)
	}
}

func cpuTime(u *pb.Usage) string {
	if u == nil {
		return ""
	}
	if u.CpuMs >= 1000 && u.CpuMs < 60_000 {
		return fmt.Sprintf("%d.%ds", u.CpuMs/1000, u.CpuMs%1000/100)
	}
	return Duration(time.Duration(u.CpuMs) * time.Millisecond)
}

func peak(u *pb.Usage) string {
	if u.GetPeakMemoryBytes() == 0 {
		return ""
	}
	return size(u.PeakMemoryBytes)
}

func devices(shares []*pb.DeviceShare) string {
	var parts []string
	for _, d := range shares {
		part := d.DeviceId
		if d.Thousandths != 1000 {
			part += ":" + milli(int64(d.Thousandths))
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}
