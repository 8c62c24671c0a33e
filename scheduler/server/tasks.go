package server

import (
	"context"
	"strconv"
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
	"caravan/scheduler/wire"
)

// ListTasks pages through a job's tasks in order of group and ordinal. Tasks
// without a record cost nothing until they are listed.
func (s *jobs) ListTasks(ctx context.Context, r *pb.ListTasksRequest) (*pb.ListTasksResponse, error) {
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	j, err := findJob(snap, r.JobId)
	if err != nil {
		return nil, err
	}
	size, err := pageSize(r.PageSize)
	if err != nil {
		return nil, err
	}
	first, last, err := groupSpan(j, r.Group)
	if err != nil {
		return nil, err
	}
	group, ordinal := first, int64(0)
	if r.PageToken != "" {
		if group, ordinal, err = parseTaskToken(r.PageToken); err != nil {
			return nil, err
		}
	}
	out := &pb.ListTasksResponse{}
	for ; group < last; group, ordinal = group+1, 0 {
		want := tasksInStates(j, group, r.States).Intersect(model.NewSet(ordinal, model.MaxTasks))
		for o := range want.All() {
			if len(out.Tasks) == size {
				out.NextPageToken = strconv.Itoa(group) + ":" + strconv.FormatInt(o, 10)
				return out, nil
			}
			out.Tasks = append(out.Tasks, taskToProto(snap, j, group, o))
		}
	}
	return out, nil
}

// groupSpan returns the half-open range of groups that a name stands for; no
// name means all.
func groupSpan(j *model.Job, name string) (first, last int, err error) {
	if name == "" {
		return 0, len(j.Spec.Groups), nil
	}
	g := j.Spec.GroupIndex(name)
	if g < 0 {
		names := make([]string, len(j.Spec.Groups))
		for i := range j.Spec.Groups {
			names[i] = j.Spec.Groups[i].Name
		}
		return 0, 0, model.NotFound("group", name, j.ID+" has "+strings.Join(names, ", "))
	}
	return g, g + 1, nil
}

func parseTaskToken(token string) (group int, ordinal int64, err error) {
	g, o, ok := strings.Cut(token, ":")
	group, gerr := strconv.Atoi(g)
	ordinal, oerr := strconv.ParseInt(o, 10, 64)
	if !ok || gerr != nil || oerr != nil || group < 0 || ordinal < 0 {
		return 0, 0, badToken(token)
	}
	return group, ordinal, nil
}

// tasksInStates returns the ordinals of a group's tasks in any of the states;
// no state means all.
func tasksInStates(j *model.Job, g int, states []pb.TaskState) model.Set {
	if len(states) == 0 {
		return model.NewSet(0, j.Spec.Groups[g].Indices.Tasks())
	}
	wanted := make([]model.TaskState, len(states))
	for i, state := range states {
		wanted[i] = model.TaskState(max(0, state))
	}
	return j.TasksIn(g, wanted)
}

func taskToProto(snap *state.Snapshot, j *model.Job, g int, ordinal int64) *pb.Task {
	p := &pb.Task{
		JobId: j.ID, Group: j.Spec.Groups[g].Name, Ordinal: ordinal,
		Indices: j.Spec.Groups[g].Indices.Of(model.NewSet(ordinal, ordinal+1)), State: pb.TaskState(j.TaskState(g, ordinal)),
	}
	if t, ok := snap.Task(j.ID, g, ordinal); ok {
		p.Attempts = t.Attempts
		if a, ok := snap.Allocation(t.LastAllocation); ok {
			p.Last = wire.AllocationToProto(a, j.Spec)
		}
	}
	return p
}
