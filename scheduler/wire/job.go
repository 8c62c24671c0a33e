package wire

import (
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// JobToProto gives a job's view. The spec is left out when withSpec is false,
// as in lists. What depends on the time is as of now, the state's clock.
func JobToProto(j *model.Job, withSpec bool, now model.Time) *pb.Job {
	p := &pb.Job{
		Id: j.ID, Owner: j.Owner, State: pb.JobState(j.State), SubmittedMs: int64(j.SubmittedAt),
		StartedMs: int64(j.StartedAt), EndedMs: int64(j.EndedAt), Revision: j.Revision, Simulated: j.Spec.Simulated(), PriorityChange: j.Boost, WaitsFor: JobDependenciesToProto(j.Waits), AvoidedNodes: j.Avoids(now),
	}
	if withSpec {
		p.Spec = JobSpecToProto(j.Spec)
	} else {
		p.Spec = &pb.JobSpec{Name: j.Spec.Name, Queue: j.Spec.Queue, Priority: j.Spec.Priority, Labels: j.Spec.Labels}
	}
	for g := range j.Groups {
		p.Groups = append(p.Groups, groupStatusToProto(j, g, now))
	}
	return p
}

func groupStatusToProto(j *model.Job, g int, now model.Time) *pb.GroupStatus {
	spec, s := &j.Spec.Groups[g], &j.Groups[g]
	waiting := j.Blocked(g)
	blocked, pending := waiting.Len(), s.Waiting.Subtract(waiting)
	p := &pb.GroupStatus{
		Name: spec.Name, Tasks: spec.Indices.Tasks(), Blocked: blocked,
		Pending: s.Waiting.Len() - blocked, Running: s.Active.Len(), Succeeded: s.Succeeded.Len(),
		Failed: s.Failed.Len(), Stopped: s.Stopped.Len(), Eaten: s.Eaten.Len(), Paused: pending.Intersect(s.Paused).Len(),
		Delayed: pending.Intersect(s.Delayed(now)).Len(), Allocations: s.Running(),
	}
	if spec.Indices.Auto {
		p.AutoChunk = s.Pace.Next()
	}
	for _, m := range s.Memory {
		p.LearnedMemoryMib = append(p.LearnedMemoryMib, m.MiB)
	}
	return p
}
