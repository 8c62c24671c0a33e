package wire

import (
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// JobToProto gives a job's view. The spec is left out when withSpec is false,
// as in lists.
func JobToProto(j *model.Job, withSpec bool) *pb.Job {
	p := &pb.Job{
		Id: j.ID, Owner: j.Owner, State: pb.JobState(j.State), SubmittedMs: int64(j.SubmittedAt),
		StartedMs: int64(j.StartedAt), EndedMs: int64(j.EndedAt), Revision: j.Revision, Simulated: j.Spec.Simulated(),
	}
	if withSpec {
		p.Spec = JobSpecToProto(j.Spec)
	} else {
		p.Spec = &pb.JobSpec{Name: j.Spec.Name, Queue: j.Spec.Queue, Priority: j.Spec.Priority, Labels: j.Spec.Labels}
	}
	for g := range j.Groups {
		p.Groups = append(p.Groups, groupStatusToProto(j, g))
	}
	return p
}

func groupStatusToProto(j *model.Job, g int) *pb.GroupStatus {
	s := &j.Groups[g]
	blocked := s.Waiting.Intersect(model.DependencyBlocked(j.Spec, j.Groups, g)).Len()
	return &pb.GroupStatus{
		Name: j.Spec.Groups[g].Name, Tasks: j.Spec.Groups[g].Indices.Tasks(), Blocked: blocked,
		Pending: s.Waiting.Len() - blocked, Running: s.Active.Len(), Succeeded: s.Succeeded.Len(),
		Failed: s.Failed.Len(), Stopped: s.Stopped.Len(),
	}
}
