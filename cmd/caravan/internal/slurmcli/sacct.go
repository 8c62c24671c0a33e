package slurmcli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"caravan/api/client"
	"caravan/api/hostlist"
	"caravan/api/slurm"
)

func acctFlags() []flagSpec {
	return []flagSpec{
		{"jobs", 'j', true}, {"user", 'u', true}, {"allusers", 'a', false}, {"allocations", 'X', false}, {"parsable2", 'P', false}, {"parsable", 'p', false},
		{"noheader", 'n', false}, {"format", 'o', true}, {"state", 's', true}, {"starttime", 'S', true}, {"endtime", 'E', true}, {"name", 0, true},
		{"partition", 'r', true}, {"account", 'A', true}, {"nodelist", 'N', true}, {"brief", 'b', false}, {"long", 'l', false}, {"delimiter", 0, true},
		{"units", 0, true}, {"helpformat", 'e', false}, {"me", 0, false}, {"duplicates", 'D', false}, {"array", 0, false}, {"noconvert", 0, false},
	}
}

// line is a row of sacct: a job, or what its script used.
type line struct {
	*row
	batch bool
	units string
}

// sacct lists jobs with what they used, also those that have ended.
func (a *App) sacct(ctx context.Context, args []string) error {
	f, words, err := parse(acctFlags(), args)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return errors.New("unrecognized argument " + words[0])
	}
	known := acctFields()
	if f.has("helpformat") {
		_, err := fmt.Fprintln(a.Out, strings.Join(fieldNames(), "\n"))
		return err
	}
	cols, err := acctColumns(f, a.Getenv("SACCT_FORMAT"))
	if err != nil {
		return err
	}
	sel, err := a.selection(f)
	if err != nil {
		return err
	}
	sel.ended, sel.whole = true, true
	if len(sel.owners) == 0 && len(sel.ids) == 0 && !f.has("allusers") && a.User != "root" {
		sel.owners = []string{a.User}
	}
	from, to, err := a.period(f, len(sel.ids) > 0)
	if err != nil {
		return err
	}
	var found []*row
	err = a.ask(ctx, func(ctx context.Context, c *client.Client) (err error) {
		found, err = rows(ctx, c, sel, a.Now())
		return err
	})
	if e, ok := errors.AsType[*client.Error](err); ok && e.Kind == client.KindNotFound {
		err, found = nil, nil // sacct shows nothing of a job that it does not know
	}
	if err != nil {
		return err
	}
	var lines []*line
	for _, r := range found {
		if end := r.end(); end != 0 && time.UnixMilli(end).Before(from) || time.UnixMilli(r.job.SubmittedMs).After(to) {
			continue
		}
		lines = append(lines, &line{row: r, units: f.last("units")})
		if !f.has("allocations") && r.task != nil {
			lines = append(lines, &line{row: r, batch: true, units: f.last("units")})
		}
	}
	if f.has("parsable2") || f.has("parsable") {
		return a.parsable(f, cols, lines)
	}
	if !f.has("noheader") {
		if err := table(a.Out, cols, known, nil, false); err != nil {
			return err
		}
		var b strings.Builder
		for _, c := range cols {
			b.WriteString(strings.Repeat("-", c.width))
			b.WriteString(c.text)
		}
		fmt.Fprintln(a.Out, strings.TrimRight(b.String(), " "))
	}
	return table(a.Out, cols, known, lines, true)
}

// parsable writes fields between delimiters, not cut.
func (a *App) parsable(f flags, cols []column, lines []*line) error {
	known, by := acctFields(), "|"
	if f.has("delimiter") {
		by = f.last("delimiter")
	}
	write := func(value func(field[*line]) string) error {
		var parts []string
		for _, c := range cols {
			if c.key != "" {
				parts = append(parts, value(known[c.key]))
			}
		}
		text := strings.Join(parts, by)
		if !f.has("parsable2") {
			text += by
		}
		_, err := fmt.Fprintln(a.Out, text)
		return err
	}
	if !f.has("noheader") {
		if err := write(func(f field[*line]) string { return f.head }); err != nil {
			return err
		}
	}
	for _, l := range lines {
		if err := write(func(f field[*line]) string { return f.value(l) }); err != nil {
			return err
		}
	}
	return nil
}

// period is what --starttime and --endtime say: since midnight, unless jobs are named.
func (a *App) period(f flags, named bool) (from, to time.Time, err error) {
	now := a.Now()
	from, to = time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location()), now
	if named {
		from = time.Time{}
	}
	read := func(text string) (time.Time, error) {
		if rest, ok := strings.CutPrefix(strings.ToLower(text), "now-"); ok {
			at, err := slurm.StartTime("now+"+rest, now)
			return now.Add(-at.Sub(now)), err
		}
		at, err := slurm.StartTime(text, now)
		if at.IsZero() {
			at = now
		}
		return at, err
	}
	if f.has("starttime") {
		if from, err = read(f.last("starttime")); err != nil {
			return from, to, err
		}
	}
	if f.has("endtime") {
		to, err = read(f.last("endtime"))
	}
	return from, to, err
}

func acctColumns(f flags, usual string) ([]column, error) {
	format := "JobID%-12,JobName,Partition,Account,AllocCPUS,State,ExitCode"
	switch {
	case f.has("format"):
		format = strings.Join(f["format"], ",")
	case f.has("brief"):
		format = "JobID%-12,State,ExitCode"
	case f.has("long"):
		format = strings.Join(fieldNames(), ",")
	case usual != "":
		format = usual
	}
	cols, err := named(format, '%', 10, acctFields())
	if err != nil {
		return nil, err
	}
	for i := range cols {
		if cols[i].key == "jobid" && cols[i].width == 10 {
			cols[i].width, cols[i].right = 12, false
		}
		if w := map[string]int{"start": 19, "end": 19, "submit": 19, "nodelist": 15, "reqtres": 10, "exitcode": 8}[cols[i].key]; w > 0 && cols[i].width == 10 {
			cols[i].width = w
		}
	}
	return cols, nil
}

// fieldNames are the names of sacct's fields, sorted.
func fieldNames() []string {
	var names []string
	for _, e := range acctTable() {
		names = append(names, e.head)
	}
	slices.Sort(names)
	return names
}

func acctFields() fields[*line] {
	out := fields[*line]{}
	for _, f := range acctTable() {
		out[strings.ToLower(f.head)] = f
	}
	return out
}

// size writes bytes in the units that were asked for, KiB else.
func (l *line) size(bytes int64) string {
	if bytes == 0 {
		return "0"
	}
	unit := strings.ToUpper(l.units)
	for i, u := range []string{"K", "M", "G", "T"} {
		if u == unit || unit == "" && i == 0 {
			scaled := float64(bytes) / float64(int64(1)<<(10*(i+1)))
			if i == 0 {
				return fmt.Sprintf("%.0f%s", scaled, u)
			}
			return fmt.Sprintf("%.2f%s", scaled, u)
		}
	}
	return strconv.FormatInt(bytes, 10)
}

func acctTable() []field[*line] {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	own := func(f func(*line) string) func(*line) string { // of the job alone
		return func(l *line) string {
			if l.batch {
				return ""
			}
			return f(l)
		}
	}
	used := func(f func(*line) string) func(*line) string { // of what ran alone
		return func(l *line) string {
			if !l.batch {
				return ""
			}
			return f(l)
		}
	}
	label := func(name string) func(*line) string {
		return func(l *line) string { return l.job.GetSpec().GetLabels()[name] }
	}
	cpuTime := func(l *line) string {
		return clock(time.Duration(l.task.GetLast().GetUsage().GetCpuMs())*time.Millisecond, true)
	}
	return []field[*line]{
		{"JobID", func(l *line) string {
			if l.batch {
				return l.id() + ".batch"
			}
			return l.id()
		}},
		{"JobIDRaw", func(l *line) string {
			if l.batch {
				return n(l.numeric()) + ".batch"
			}
			return n(l.numeric())
		}},
		{"JobName", func(l *line) string {
			if l.batch {
				return "batch"
			}
			return l.name()
		}},
		{"User", own(func(l *line) string { return l.job.Owner })},
		{"Partition", own(func(l *line) string { return l.job.GetSpec().GetQueue() })},
		{"Account", label(slurm.LabelAccount)},
		{"QOS", own(label(slurm.LabelQOS))},
		{"Comment", own(label(slurm.LabelComment))},
		{"AllocCPUS", func(l *line) string { return n(l.cpus()) }},
		{"NCPUS", func(l *line) string { return n(l.cpus()) }},
		{"ReqCPUS", func(l *line) string { return n(l.cpus()) }},
		{"AllocNodes", func(l *line) string { return n(int64(len(l.nodes))) }},
		{"NNodes", func(l *line) string { return n(l.nodeCount()) }},
		{"NTasks", used(func(*line) string { return "1" })},
		{"ReqMem", own(func(l *line) string { return n(l.memoryMiB()) + "M" })},
		{"AllocTRES", func(l *line) string {
			t := fmt.Sprintf("cpu=%d,mem=%dM,node=%d", l.cpus(), l.memoryMiB()*l.nodeCount(), l.nodeCount())
			if g := l.gpus(); g > 0 {
				t += fmt.Sprintf(",gres/gpu=%d", g*l.nodeCount())
			}
			return t
		}},
		{"State", func(l *line) string { s, _ := l.state(); return s }},
		{"ExitCode", func(l *line) string { c, s := l.exit(); return fmt.Sprintf("%d:%d", c, s) }},
		{"DerivedExitCode", own(func(l *line) string { c, s := l.exit(); return fmt.Sprintf("%d:%d", c, s) })},
		{"Submit", func(l *line) string { return stamp(l.job.SubmittedMs) }},
		{"Eligible", func(l *line) string { return stamp(max(l.job.SubmittedMs, l.job.GetSpec().GetBeginMs())) }},
		{"Start", func(l *line) string { return unknown(stamp(l.start())) }},
		{"End", func(l *line) string { return unknown(stamp(l.end())) }},
		{"Elapsed", func(l *line) string { return clock(l.elapsed(), true) }},
		{"ElapsedRaw", func(l *line) string { return n(int64(l.elapsed() / time.Second)) }},
		{"Timelimit", own(func(l *line) string {
			if l.group().TimeLimitMs == 0 {
				return "UNLIMITED"
			}
			return clock(time.Duration(l.group().TimeLimitMs)*time.Millisecond, true)
		})},
		{"CPUTime", func(l *line) string { return clock(l.elapsed()*time.Duration(l.cpus()), true) }},
		{"CPUTimeRAW", func(l *line) string { return n(int64(l.elapsed()/time.Second) * l.cpus()) }},
		{"TotalCPU", cpuTime},
		{"MaxRSS", used(func(l *line) string { return l.size(l.task.GetLast().GetUsage().GetPeakMemoryBytes()) })},
		{"AveRSS", used(func(l *line) string { return l.size(l.task.GetLast().GetUsage().GetPeakMemoryBytes()) })},
		{"NodeList", func(l *line) string {
			if len(l.nodes) == 0 {
				return "None assigned"
			}
			return hostlist.Compress(l.nodes)
		}},
		{"Priority", own(func(l *line) string { return n(int64(l.job.GetSpec().GetPriority() + l.job.PriorityChange)) })},
		{"Reason", own(func(l *line) string { return l.reason() })},
		{"WorkDir", own(func(l *line) string { return l.group().Workdir })},
		{"Cluster", func(*line) string { return "caravan" }},
		{"Restarts", own(func(l *line) string { return n(int64(max(0, l.task.GetAttempts()-1))) })},
	}
}

func unknown(stamp string) string {
	if stamp == "N/A" {
		return "Unknown"
	}
	return stamp
}
