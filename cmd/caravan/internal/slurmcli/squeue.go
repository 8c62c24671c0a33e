package slurmcli

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"caravan/api/client"
	"caravan/api/hostlist"
	"caravan/api/slurm"
)

func queueFlags() []flagSpec {
	return []flagSpec{
		{"user", 'u', true}, {"jobs", 'j', true}, {"states", 't', true}, {"state", 0, true}, {"partition", 'p', true}, {"account", 'A', true},
		{"name", 'n', true}, {"nodelist", 'w', true}, {"noheader", 'h', false}, {"format", 'o', true}, {"Format", 'O', true},
		{"me", 0, false}, {"long", 'l', false}, {"array", 'r', false}, {"json", 0, false}, {"start", 0, false}, {"all", 'a', false},
		{"sort", 'S', true}, {"qos", 'q', true}, {"steps", 's', false}, {"verbose", 'v', false}, {"iterate", 'i', true}, {"array-unique", 0, false},
	}
}

// squeue lists jobs.
func (a *App) squeue(ctx context.Context, args []string) error {
	f, words, err := parse(queueFlags(), args)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return errors.New("unrecognized argument " + words[0])
	}
	if f.has("iterate") {
		return errors.New("--iterate is not there; use watch squeue")
	}
	sel, err := a.selection(f)
	if err != nil {
		return err
	}
	var list []*row
	err = a.ask(ctx, func(ctx context.Context, c *client.Client) (err error) {
		list, err = rows(ctx, c, sel, a.Now())
		return err
	})
	if e, ok := errors.AsType[*client.Error](err); ok && e.Kind == client.KindNotFound && len(sel.ids) > 0 {
		return errors.New("Invalid job id specified") //nolint:staticcheck // as squeue says it
	}
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(r *row) bool { return f.has("qos") && !slices.Contains(f.list("qos"), r.label(slurm.LabelQOS)) })
	sortRows(list, f.last("sort"))
	if f.has("json") {
		return a.queueJSON(list)
	}
	cols, err := a.queueColumns(f)
	if err != nil {
		return err
	}
	return table(a.Out, cols, queueFields(), list, f.has("noheader"))
}

func (a *App) queueColumns(f flags) ([]column, error) {
	switch format := a.Getenv("SQUEUE_FORMAT"); {
	case f.has("Format"):
		return named(f.last("Format"), ':', 20, queueFields())
	case f.has("format"):
		return percent(f.last("format"), queueFields())
	case f.has("long"):
		return percent("%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R", queueFields())
	case f.has("start"):
		return percent("%.18i %.9P %.8j %.8u %.2t %.19S %.6D %20Y %R", queueFields())
	case format != "":
		return percent(format, queueFields())
	}
	return percent("%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R", queueFields())
}

// selection reads the filters that squeue, scancel and sacct share.
func (a *App) selection(f flags) (sel selection, err error) {
	if sel.ids, err = readIDs(f["jobs"]); err != nil {
		return sel, err
	}
	sel.owners = f.list("user")
	if f.has("me") {
		sel.owners = append(sel.owners, a.User)
	}
	for _, s := range append(f.list("states"), f.list("state")...) {
		sel.states = append(sel.states, strings.ToUpper(s))
	}
	for _, s := range sel.states {
		if !slices.Contains([]string{"PD", "PENDING", "R", "RUNNING", "CF", "CONFIGURING", "CG", "COMPLETING"}, s) {
			sel.ended = true
		}
	}
	for _, p := range f.list("partition") {
		sel.partitions = append(sel.partitions, slurm.QueueName(p))
	}
	sel.accounts, sel.names = f.list("account"), f.list("name")
	sel.nodes, err = hostlist.Expand(f.last("nodelist"))
	return sel, err
}

// sortRows sorts by fields such as -t,i; a '-' before one turns it round.
func sortRows(list []*row, by string) {
	keys := strings.FieldsFunc(by, func(r rune) bool { return r == ',' })
	if len(keys) == 0 {
		return
	}
	known := queueFields()
	slices.SortStableFunc(list, func(x, y *row) int {
		for _, k := range keys {
			turn := 1
			if k[0] == '-' {
				turn = -1
			}
			f, ok := known[strings.TrimLeft(k, "+-")]
			if !ok {
				continue
			}
			if c := natural(f.value(x), f.value(y)); c != 0 {
				return turn * c
			}
		}
		return 0
	})
}

// natural compares numbers as such, and other texts as texts.
func natural(a, b string) int {
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	switch {
	case err1 != nil || err2 != nil:
		return strings.Compare(a, b)
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// queueFields are the fields of squeue by letter and by name.
func queueFields() fields[*row] {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	nodes := func(r *row) string { return hostlist.Compress(r.nodes) }
	long := func(r *row) string { s, _ := r.state(); return s }
	short := func(r *row) string { _, s := r.state(); return s }
	left := func(r *row) string {
		if r.group().TimeLimitMs == 0 {
			return "UNLIMITED"
		}
		return clock(max(0, time.Duration(r.group().TimeLimitMs)*time.Millisecond-r.elapsed()), false)
	}
	why := func(r *row) string {
		if len(r.nodes) > 0 {
			return nodes(r)
		}
		return "(" + r.reason() + ")"
	}
	type entry struct {
		letter, names, head string
		value               func(*row) string
	}
	label := func(name string) func(*row) string { return func(r *row) string { return r.label(name) } }
	all := fields[*row]{}
	for _, e := range []entry{
		{"i", "jobarrayid", "JOBID", (*row).id},
		{"A", "jobid", "JOBID", func(r *row) string { return n(r.numeric()) }},
		{"F", "arrayjobid", "ARRAY_JOB_ID", func(r *row) string { return n(number(r.job.Id)) }},
		{"K", "arraytaskid", "ARRAY_TASK_ID", func(r *row) string {
			if r.waiting != "" && r.arrayed() {
				return r.waiting
			}
			if !r.arrayed() {
				return "N/A"
			}
			return r.index()
		}},
		{"j", "name", "NAME", (*row).name},
		{"u", "username", "USER", func(r *row) string { return r.job.Owner }},
		{"a", "account", "ACCOUNT", label(slurm.LabelAccount)},
		{"q", "qos", "QOS", label(slurm.LabelQOS)},
		{"k", "comment", "COMMENT", label(slurm.LabelComment)},
		{"P", "partition", "PARTITION", func(r *row) string { return r.job.GetSpec().GetQueue() }},
		{"t", "statecompact", "ST", short},
		{"T", "state", "STATE", long},
		{"M", "timeused", "TIME", func(r *row) string { return clock(r.elapsed(), false) }},
		{"l", "timelimit", "TIME_LIMIT", func(r *row) string { return limit(r.group().TimeLimitMs) }},
		{"L", "timeleft", "TIME_LEFT", left},
		{"D", "numnodes", "NODES", func(r *row) string { return n(r.nodeCount()) }},
		{"C", "numcpus", "CPUS", func(r *row) string { return n(r.cpus()) }},
		{"c", "mincpus", "MIN_CPUS", func(r *row) string { return n(r.cpus() / max(1, r.nodeCount())) }},
		{"m", "minmemory", "MIN_MEMORY", func(r *row) string { return n(r.memoryMiB()) + "M" }},
		{"b", "tres-per-node", "TRES_PER_NODE", func(r *row) string {
			if r.gpus() == 0 {
				return "N/A"
			}
			return "gres/gpu:" + n(r.gpus())
		}},
		{"N", "nodelist", "NODELIST", nodes},
		{"R", "reasonlist", "NODELIST(REASON)", why},
		{"r", "reason", "REASON", (*row).reason},
		{"S", "starttime", "START_TIME", func(r *row) string {
			if ms := r.start(); ms != 0 {
				return stamp(ms)
			}
			return stamp(r.job.GetSpec().GetBeginMs())
		}},
		{"e", "endtime", "END_TIME", func(r *row) string { return stamp(r.end()) }},
		{"V", "submittime", "SUBMIT_TIME", func(r *row) string { return stamp(r.job.SubmittedMs) }},
		{"Q", "priority", "PRIORITY", func(r *row) string { return n(int64(r.job.GetSpec().GetPriority() + r.job.PriorityChange)) }},
		{"Z", "workdir", "WORK_DIR", func(r *row) string { return r.group().Workdir }},
		{"o", "command", "COMMAND", func(r *row) string {
			for _, v := range r.group().Variants {
				return strings.Join(v.Command, " ")
			}
			return ""
		}},
		{"E", "dependency", "DEPENDENCY", (*row).dependency},
		{"Y", "schednodes", "SCHEDNODES", func(*row) string { return "(null)" }},
		{"f", "feature", "FEATURES", func(*row) string { return "(null)" }},
	} {
		all[e.letter] = field[*row]{e.head, e.value}
		all[e.names] = field[*row]{e.head, e.value}
	}
	all["p"] = all["Q"]
	all["I"] = all["i"]
	return all
}

func (r *row) dependency() string {
	if len(r.job.WaitsFor) == 0 {
		return "(null)"
	}
	var parts []string
	for _, d := range r.job.WaitsFor {
		word := map[int32]string{2: "afterany", 3: "afternotok", 4: "after"}[int32(d.Condition)]
		if word == "" {
			word = "afterok"
		}
		parts = append(parts, word+":"+strconv.FormatInt(number(d.Job), 10)+"(unfulfilled)")
	}
	return strings.Join(parts, ",")
}

// queueJSON writes the fields that scripts read most.
func (a *App) queueJSON(list []*row) error {
	type job struct {
		ID        int64    `json:"job_id"`
		ArrayID   int64    `json:"array_job_id"`
		ArrayTask string   `json:"array_task_string"`
		Name      string   `json:"name"`
		User      string   `json:"user_name"`
		Account   string   `json:"account"`
		Partition string   `json:"partition"`
		State     []string `json:"job_state"`
		Reason    string   `json:"state_reason"`
		Nodes     string   `json:"nodes"`
		Dir       string   `json:"current_working_directory"`
		Submit    int64    `json:"submit_time"`
		Start     int64    `json:"start_time"`
		End       int64    `json:"end_time"`
	}
	jobs := []job{}
	for _, r := range list {
		long, _ := r.state()
		j := job{
			ID: r.numeric(), Name: r.name(), User: r.job.Owner, Account: r.job.GetSpec().GetLabels()[slurm.LabelAccount],
			Partition: r.job.GetSpec().GetQueue(), State: []string{long}, Reason: r.reason(), Nodes: hostlist.Compress(r.nodes),
			Dir: r.group().Workdir, Submit: r.job.SubmittedMs / 1000, Start: r.start() / 1000, End: r.end() / 1000,
		}
		if r.arrayed() {
			j.ArrayID, j.ArrayTask = number(r.job.Id), r.waiting
			if r.task != nil {
				j.ArrayTask = r.index()
			}
		}
		jobs = append(jobs, j)
	}
	e := json.NewEncoder(a.Out)
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{"jobs": jobs})
}
