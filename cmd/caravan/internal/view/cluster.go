package view

import (
	"fmt"
	"io"
	"strconv"

	pb "caravan/api/caravanv1"
)

// Queues writes the queues with what they hold and may hold.
func Queues(w io.Writer, s Style, queues []*pb.QueueStatus) {
	t := newTable(w, s, "QUEUE", "WEIGHT", "PENDING", "RUNNING", "TASKS", "CPU", "MEMORY", "DEVICES", "PARENT")
	for _, q := range queues {
		c := q.Queue
		t.row(c.GetName(), strconv.FormatInt(c.GetWeight(), 10), strconv.FormatInt(q.JobsPending, 10), strconv.FormatInt(q.JobsRunning, 10),
			strconv.FormatInt(q.TasksRunning, 10), of(q.UsedCpuMilli, c.GetMaxCpuMilli(), milli), of(q.UsedMemoryMib, c.GetMaxMemoryMib(), mib),
			of(q.UsedDevicesMilli, c.GetMaxDevicesMilli(), milli), or(c.GetParent(), "-"))
	}
	t.flush()
}

// of writes an amount, and its bound if it has one.
func of(used, most int64, format func(int64) string) string {
	if most == 0 {
		return format(used)
	}
	return format(used) + "/" + format(most)
}

// Cluster writes the servers.
func Cluster(w io.Writer, s Style, c *pb.Cluster) {
	fmt.Fprintf(w, "leader %s, term %d, applied index %d, version %s\n\n", or(c.Leader, "none"), c.Term, c.AppliedIndex, or(c.Version, "unknown"))
	t := newTable(w, s, "SERVER", "ROLE", "API", "RAFT")
	for _, m := range c.Servers {
		role := "follower"
		switch {
		case m.Leader:
			role = "leader"
		case !m.Voter:
			role = "joining"
		}
		t.row(m.Id, role, m.ApiAddress, m.RaftAddress)
	}
	t.flush()
}

// Event writes one event as a line.
func Event(w io.Writer, s Style, e *pb.Event) {
	about := or(e.AllocationId, e.JobId)
	if e.AllocationId == "" && e.Group != "" {
		about += "." + e.Group
	}
	if e.Node != "" {
		if about != "" {
			about += " on "
		}
		about += e.Node
	}
	if about != "" && e.Message != "" {
		about += ": "
	}
	fmt.Fprintf(w, "%s  %-16s  %s%s\n", s.clock(e.TimeMs), e.Type, about, e.Message)
}
