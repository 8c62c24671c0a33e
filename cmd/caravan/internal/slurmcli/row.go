package slurmcli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/api/hostlist"
	"caravan/api/slurm"
)

// row is a job as Slurm counts them: a job, a task of an array, or the tasks of an array that
// wait, together.
type row struct {
	job *pb.Job
	// task is the one that runs or has run; nil for what waits.
	task *pb.Task
	// nodes are where it runs or ran.
	nodes []string
	// waiting are the indices of an array's tasks that wait, in short.
	waiting string
	now     time.Time
}

// group is the job's first: scripts have no more.
func (r *row) group() *pb.TaskGroup {
	if g := r.job.GetSpec().GetGroups(); len(g) > 0 {
		return g[0]
	}
	return &pb.TaskGroup{}
}

func (r *row) arrayed() bool {
	g := r.group()
	if g.Gang {
		return false
	}
	return g.Batch != nil && g.Env["SLURM_ARRAY_TASK_COUNT"] != "" || g.Batch == nil && tasksOf(r.job) > 1
}

func tasksOf(j *pb.Job) int64 {
	var n int64
	for _, g := range j.Groups {
		n += g.Tasks
	}
	return n
}

// id is what users type: 123, 123_4 or 123_[5-9%2].
func (r *row) id() string {
	base := strconv.FormatInt(number(r.job.Id), 10)
	switch {
	case !r.arrayed():
		return base
	case r.task != nil:
		return base + "_" + r.index()
	}
	return base + "_[" + r.waiting + "]"
}

func (r *row) index() string {
	if r.task == nil || len(r.task.Indices) == 0 {
		return "N/A"
	}
	return strconv.FormatInt(r.task.Indices[0], 10)
}

// numeric is the number of the job, or of the task of an array.
func (r *row) numeric() int64 {
	n := number(r.job.Id)
	if r.task != nil && r.arrayed() && r.group().Batch != nil {
		n += r.task.Ordinal
	}
	return n
}

func (r *row) name() string {
	if b := r.group().Batch; b != nil && b.Name != "" {
		return b.Name
	}
	return r.job.GetSpec().GetName()
}

// state is Slurm's word and its short form.
func (r *row) state() (long, short string) {
	if r.task != nil {
		switch r.task.State {
		case pb.TaskState_TASK_STATE_RUNNING:
			if r.task.Last.GetState() == pb.AllocationState_ALLOCATION_STATE_PLACED {
				return "CONFIGURING", "CF"
			}
			if r.task.Last.GetStopRequested() {
				return "COMPLETING", "CG"
			}
			return "RUNNING", "R"
		case pb.TaskState_TASK_STATE_SUCCEEDED:
			return "COMPLETED", "CD"
		case pb.TaskState_TASK_STATE_STOPPED:
			return "CANCELLED", "CA"
		case pb.TaskState_TASK_STATE_FAILED:
			return failure(r.task.Last.GetExit().GetReason())
		}
		return "PENDING", "PD"
	}
	switch r.job.State {
	case pb.JobState_JOB_STATE_SUCCEEDED:
		return "COMPLETED", "CD"
	case pb.JobState_JOB_STATE_STOPPED:
		return "CANCELLED", "CA"
	case pb.JobState_JOB_STATE_FAILED:
		return "FAILED", "F"
	}
	return "PENDING", "PD"
}

func failure(reason string) (long, short string) {
	switch reason {
	case "time-limit":
		return "TIMEOUT", "TO"
	case "oom":
		return "OUT_OF_MEMORY", "OOM"
	case "node-lost", "host-fault", "device-fault", "shim-lost":
		return "NODE_FAIL", "NF"
	}
	return "FAILED", "F"
}

// reason is why it waits.
func (r *row) reason() string {
	if _, short := r.state(); short != "PD" {
		return "None"
	}
	var paused, delayed, blocked, pending int64
	for _, g := range r.job.Groups {
		paused, delayed, blocked, pending = paused+g.Paused, delayed+g.Delayed, blocked+g.Blocked, pending+g.Pending
	}
	switch {
	case len(r.job.WaitsFor) > 0, pending == 0 && blocked > 0:
		return "Dependency"
	case paused > 0 && paused >= pending:
		return "JobHeldUser"
	case delayed > 0 && delayed >= pending:
		return "BeginTime"
	case r.group().MaxRunning > 0 && r.job.Groups[0].Allocations >= int64(r.group().MaxRunning):
		return "JobArrayTaskLimit"
	}
	return "Resources"
}

func (r *row) start() int64 {
	if r.task == nil {
		return r.job.StartedMs
	}
	if ms := r.task.Last.GetStartedMs(); ms != 0 {
		return ms
	}
	return r.task.Last.GetPlacedMs()
}

func (r *row) end() int64 {
	if r.task == nil {
		return r.job.EndedMs
	}
	return r.task.Last.GetEndedMs()
}

func (r *row) elapsed() time.Duration {
	from, to := r.start(), r.end()
	if from == 0 {
		return 0
	}
	if to == 0 {
		to = r.now.UnixMilli()
	}
	return time.Duration(max(0, to-from)) * time.Millisecond
}

func (r *row) nodeCount() int64 {
	if r.group().Gang {
		return max(int64(len(r.nodes)), tasksOf(r.job))
	}
	return 1
}

func (r *row) cpus() int64 {
	for _, v := range r.group().Variants {
		return max(1, (v.GetResources().GetCpuMilli()+999)/1000) * r.nodeCount()
	}
	return 0
}

func (r *row) memoryMiB() int64 {
	for _, v := range r.group().Variants {
		return v.GetResources().GetMemoryMib()
	}
	return 0
}

func (r *row) gpus() int64 {
	var n int64
	for _, v := range r.group().Variants[:min(1, len(r.group().Variants))] {
		for _, d := range v.GetResources().GetDevices() {
			if d.Kind == "gpu" {
				n += int64(max(1, d.Count))
			}
		}
	}
	return n
}

func (r *row) label(name string) string {
	if v := r.job.GetSpec().GetLabels()[name]; v != "" {
		return v
	}
	return "(null)"
}

// exit is Slurm's pair of code and signal.
func (r *row) exit() (code, signal int32) {
	e := r.task.GetLast().GetExit()
	if s := e.GetSignal(); s != 0 {
		return 0, s
	}
	return max(0, e.GetCode()), 0
}

// clock writes a span of time as [D-]H:MM:SS, or M:SS where it is short.
func clock(d time.Duration, long bool) string {
	s := int64(d / time.Second)
	days, h, m, sec := s/86400, s/3600%24, s/60%60, s%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d-%02d:%02d:%02d", days, h, m, sec)
	case long:
		return fmt.Sprintf("%02d:%02d:%02d", h, m, sec)
	case h > 0:
		return fmt.Sprintf("%d:%02d:%02d", h, m, sec)
	}
	return fmt.Sprintf("%d:%02d", m, sec)
}

func limit(ms int64) string {
	if ms == 0 {
		return "UNLIMITED"
	}
	return clock(time.Duration(ms)*time.Millisecond, false)
}

func stamp(ms int64) string {
	if ms == 0 {
		return "N/A"
	}
	return time.UnixMilli(ms).Format("2006-01-02T15:04:05")
}

// selection says which jobs are wanted; empty fields want all.
type selection struct {
	ids        []wanted
	owners     []string
	names      []string
	partitions []string
	accounts   []string
	states     []string // Slurm's, long or short, in capitals
	nodes      []string
	ended      bool // also what has ended
	// whole says that tasks of arrays are wanted one by one, also those that wait.
	whole bool
}

// wanted is a job that was named, perhaps some tasks of its array.
type wanted struct {
	job     string
	indices []*pb.IndexRange
}

// rows gathers what a selection wants, oldest job first.
func rows(ctx context.Context, c *client.Client, sel selection, now time.Time) ([]*row, error) {
	jobs, err := sel.jobs(ctx, c)
	if err != nil {
		return nil, err
	}
	var out []*row
	for _, j := range jobs {
		more, err := rowsOf(ctx, c, j, now)
		if err != nil {
			return nil, err
		}
		for _, r := range more {
			if sel.wants(r) {
				out = append(out, r)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *row) int { return int(number(a.job.Id) - number(b.job.Id)) })
	return out, nil
}

func (sel *selection) jobs(ctx context.Context, c *client.Client) ([]*pb.Job, error) {
	var jobs []*pb.Job
	if len(sel.ids) > 0 {
		seen := make(map[string]bool)
		for _, w := range sel.ids {
			j, err := c.Jobs.GetJob(ctx, &pb.GetJobRequest{JobId: w.job})
			if err != nil {
				return nil, err
			}
			if !seen[j.Id] {
				jobs = append(jobs, j)
			}
			seen[j.Id] = true
		}
		return jobs, nil
	}
	req := &pb.ListJobsRequest{PageSize: 1000}
	if !sel.ended {
		req.States = []pb.JobState{pb.JobState_JOB_STATE_PENDING, pb.JobState_JOB_STATE_RUNNING}
	}
	if len(sel.owners) == 1 {
		req.Owner = sel.owners[0]
	}
	for {
		page, err := c.Jobs.ListJobs(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, j := range page.Jobs {
			if sel.ended || !client.Ended(j.State) {
				jobs = append(jobs, j)
			}
		}
		if req.PageToken = page.NextPageToken; req.PageToken == "" {
			return jobs, nil
		}
	}
}

// rowsOf makes the rows of a job.
func rowsOf(ctx context.Context, c *client.Client, j *pb.Job, now time.Time) ([]*row, error) {
	whole := &row{job: j, now: now}
	if len(j.GetSpec().GetGroups()) == 0 { // lists leave the groups out
		full, err := c.Jobs.GetJob(ctx, &pb.GetJobRequest{JobId: j.Id})
		if err != nil {
			return nil, err
		}
		j, whole.job = full, full
	}
	if j.StartedMs == 0 && j.State == pb.JobState_JOB_STATE_PENDING && tasksRunning(j) == 0 {
		whole.waiting = waitingOf(whole, nil)
		return []*row{whole}, nil
	}
	tasks, err := tasks(ctx, c, j)
	if err != nil {
		return nil, err
	}
	if !whole.arrayed() {
		for _, t := range tasks {
			if whole.task == nil && t.Last != nil {
				whole.task = t
			}
			if n := t.Last.GetNode(); n != "" && !slices.Contains(whole.nodes, n) {
				whole.nodes = append(whole.nodes, n)
			}
		}
		if whole.task != nil && whole.task.State < pb.TaskState_TASK_STATE_RUNNING {
			whole.task, whole.nodes = nil, nil
		}
		return []*row{whole}, nil
	}
	var out []*row
	var left []int64
	for _, t := range tasks {
		if t.State < pb.TaskState_TASK_STATE_RUNNING || t.Last == nil {
			if t.State <= pb.TaskState_TASK_STATE_RUNNING {
				left = append(left, t.Indices...)
				continue
			}
		}
		r := &row{job: j, task: t, now: now}
		if n := t.Last.GetNode(); n != "" {
			r.nodes = []string{n}
		}
		out = append(out, r)
	}
	if len(left) > 0 {
		whole.waiting = waitingOf(whole, left)
		out = append(out, whole)
	}
	return out, nil
}

func tasksRunning(j *pb.Job) int64 {
	var n int64
	for _, g := range j.Groups {
		n += g.Running
	}
	return n
}

// waitingOf writes the indices that wait, as in 1-9:2,15%4; nil means all.
func waitingOf(r *row, left []int64) string {
	g := r.group()
	var parts []string
	if left == nil {
		for _, x := range g.Indices {
			switch {
			case x.First == x.Last:
				parts = append(parts, strconv.FormatInt(x.First, 10))
			case x.Step == 1:
				parts = append(parts, fmt.Sprintf("%d-%d", x.First, x.Last))
			default:
				parts = append(parts, fmt.Sprintf("%d-%d:%d", x.First, x.Last, x.Step))
			}
		}
	} else {
		names := make([]string, len(left))
		for i, n := range left {
			names[i] = strconv.FormatInt(n, 10)
		}
		parts = []string{strings.Trim(hostlist.Compress(names), "[]")}
	}
	text := strings.Join(parts, ",")
	if g.MaxRunning > 0 {
		text += "%" + strconv.Itoa(int(g.MaxRunning))
	}
	return text
}

// tasks lists all tasks of a job.
func tasks(ctx context.Context, c *client.Client, j *pb.Job) ([]*pb.Task, error) {
	var out []*pb.Task
	req := &pb.ListTasksRequest{JobId: j.Id, PageSize: 1000}
	for {
		page, err := c.Jobs.ListTasks(ctx, req)
		if err != nil {
			return nil, err
		}
		out = append(out, page.Tasks...)
		if req.PageToken = page.NextPageToken; req.PageToken == "" {
			return out, nil
		}
	}
}

// wants reports whether a row is of the selection.
func (sel *selection) wants(r *row) bool {
	among := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	long, short := r.state()
	if len(sel.states) > 0 && !slices.Contains(sel.states, long) && !slices.Contains(sel.states, short) && !slices.Contains(sel.states, "ALL") {
		return false
	}
	if len(sel.states) == 0 && !sel.ended && r.task != nil && r.task.State > pb.TaskState_TASK_STATE_RUNNING {
		return false
	}
	if len(sel.nodes) > 0 && !slices.ContainsFunc(r.nodes, func(n string) bool { return slices.Contains(sel.nodes, n) }) {
		return false
	}
	return among(sel.owners, r.job.Owner) && (among(sel.names, r.name()) || among(sel.names, r.job.GetSpec().GetName())) &&
		among(sel.partitions, r.job.GetSpec().GetQueue()) && among(sel.accounts, r.label(slurm.LabelAccount)) && sel.names1(r)
}

// names1 reports whether a row is among the ids that were named.
func (sel *selection) names1(r *row) bool {
	if len(sel.ids) == 0 {
		return true
	}
	for _, w := range sel.ids {
		n := strconv.FormatInt(number(r.job.Id), 10)
		if w.job == strconv.FormatInt(r.numeric(), 10) && w.job != n {
			return true
		}
		if w.job != n && w.job != r.job.Id {
			continue
		}
		if len(w.indices) == 0 {
			return true
		}
		for _, x := range w.indices {
			if r.task == nil || len(r.task.Indices) > 0 && within1(x, r.task.Indices[0]) {
				return true
			}
		}
	}
	return false
}

func within1(x *pb.IndexRange, i int64) bool {
	return i >= min(x.First, x.Last) && i <= max(x.First, x.Last) && (i-x.First)%x.Step == 0
}
