package slurm

import (
	"cmp"
	"slices"
	"strings"
)

// takes says whether an option has a value.
type takes uint8

const (
	nothing takes = iota
	something
	perhaps // after '=' only
)

// option is a row of the table of what sbatch and srun understand.
type option struct {
	name   string
	letter byte
	takes  takes
	// variable is the name behind SBATCH_, where it is not the option's own; "-" for none.
	variable string
	// set applies the value; nil for options without effect.
	set func(*Request, string) error
	// why says, of an option without effect, why that is.
	why string
}

// Reasons why an option has no effect.
const (
	whyPlacement = "the scheduler chooses cores, sockets and switches by itself"
	whyMail      = "Caravan sends no mail"
	whyBind      = "a task runs on the processors that its node gives it"
	whySite      = "there is nothing like it here"
)

// table lists all options. Names and letters are those of sbatch(1) and srun(1).
func table() []option {
	return slices.Concat(sizeOptions(), jobOptions(), fileOptions(), commandOptions(), idleOptions())
}

func sizeOptions() []option {
	return []option{
		{"nodes", 'N', something, "", (*Request).setNodes, ""},
		{"ntasks", 'n', something, "", whole(func(r *Request) *int64 { return &r.Tasks }), ""},
		{"ntasks-per-node", 0, something, "", whole(func(r *Request) *int64 { return &r.TasksPerNode }), ""},
		{"tasks-per-node", 0, something, "-", whole(func(r *Request) *int64 { return &r.TasksPerNode }), ""},
		{"cpus-per-task", 'c', something, "", whole(func(r *Request) *int64 { return &r.CPUsPerTask }), ""},
		{"cpus-per-gpu", 0, something, "", whole(func(r *Request) *int64 { return &r.CPUsPerGPU }), ""},
		{"mincpus", 0, something, "", whole(func(r *Request) *int64 { return &r.MinCPUs }), ""},
		{"mem", 0, something, "MEM_PER_NODE", size(func(r *Request) *int64 { return &r.Mem }), ""},
		{"mem-per-cpu", 0, something, "", size(func(r *Request) *int64 { return &r.MemPerCPU }), ""},
		{"mem-per-gpu", 0, something, "", size(func(r *Request) *int64 { return &r.MemPerGPU }), ""},
		{"tmp", 0, something, "", size(func(r *Request) *int64 { return &r.Disk }), ""},
		{"gres", 0, something, "", (*Request).setGres, ""},
		{"gpus", 'G', something, "", gpus(func(r *Request) *GPUs { return &r.GPUs }), ""},
		{"gpus-per-node", 0, something, "", gpus(func(r *Request) *GPUs { return &r.GPUsPerNode }), ""},
		{"gpus-per-task", 0, something, "", gpus(func(r *Request) *GPUs { return &r.GPUsPerTask }), ""},
		{"ntasks-per-gpu", 0, something, "", whole(func(r *Request) *int64 { return &r.TasksPerGPU }), ""},
		{"exclusive", 0, perhaps, "", (*Request).setExclusive, ""},
		{"constraint", 'C', something, "", text(func(r *Request) *string { return &r.Constraint }), ""},
		{"nodelist", 'w', something, "", hosts(func(r *Request) *[]string { return &r.NodeList }), ""},
		{"exclude", 'x', something, "", hosts(func(r *Request) *[]string { return &r.Exclude }), ""},
		{"licenses", 'L', something, "", (*Request).setLicenses, ""},
	}
}

func jobOptions() []option {
	return []option{
		{"job-name", 'J', something, "", text(func(r *Request) *string { return &r.Name }), ""},
		{"array", 'a', something, "ARRAY_INX", (*Request).setArray, ""},
		{"time", 't', something, "TIMELIMIT", (*Request).setTime, ""},
		{"partition", 'p', something, "", text(func(r *Request) *string { return &r.Partition }), ""},
		{"account", 'A', something, "", text(func(r *Request) *string { return &r.Account }), ""},
		{"qos", 'q', something, "", text(func(r *Request) *string { return &r.QOS }), ""},
		{"comment", 0, something, "", text(func(r *Request) *string { return &r.Comment }), ""},
		{"dependency", 'd', something, "", (*Request).setDependency, ""},
		{"signal", 0, something, "", (*Request).setSignal, ""},
		{"requeue", 0, nothing, "", func(r *Request, _ string) error { r.Requeue = true; return nil }, ""},
		{"no-requeue", 0, nothing, "", nil, "a job whose node is lost is placed again in any case; one that fails never is unless --requeue is given"},
		{"begin", 'b', something, "", text(func(r *Request) *string { return &r.Begin }), ""},
		{"hold", 'H', nothing, "", func(r *Request, _ string) error { r.Hold = true; return nil }, ""},
		{"nice", 0, perhaps, "", (*Request).setNice, ""},
		{"priority", 0, something, "", (*Request).setPriority, ""},
		{"export", 0, something, "", text(func(r *Request) *string { return &r.Export }), ""},
		{"chdir", 'D', something, "", text(func(r *Request) *string { return &r.Chdir }), ""},
		{"workdir", 0, something, "-", text(func(r *Request) *string { return &r.Chdir }), ""},
	}
}

func fileOptions() []option {
	return []option{
		{"output", 'o', something, "", text(func(r *Request) *string { return &r.Output }), ""},
		{"error", 'e', something, "", text(func(r *Request) *string { return &r.Error }), ""},
		{"input", 'i', something, "", text(func(r *Request) *string { return &r.Input }), ""},
		{"open-mode", 0, something, "", (*Request).setOpenMode, ""},
	}
}

// commandOptions mean something to the command that reads them, not to the job.
func commandOptions() []option {
	flag := func(f func(*Request) *bool) func(*Request, string) error {
		return func(r *Request, _ string) error { *f(r) = true; return nil }
	}
	return []option{
		{"wrap", 0, something, "-", text(func(r *Request) *string { return &r.Wrap }), ""},
		{"parsable", 0, nothing, "-", flag(func(r *Request) *bool { return &r.Parsable }), ""},
		{"wait", 'W', perhaps, "", flag(func(r *Request) *bool { return &r.Wait }), ""},
		{"test-only", 0, nothing, "-", flag(func(r *Request) *bool { return &r.TestOnly }), ""},
		{"quiet", 'Q', nothing, "-", flag(func(r *Request) *bool { return &r.Quiet }), ""},
		{"verbose", 'v', nothing, "-", flag(func(r *Request) *bool { return &r.Verbose }), ""},
		{"label", 'l', nothing, "-", flag(func(r *Request) *bool { return &r.Label }), ""},
		{"unbuffered", 'u', nothing, "-", flag(func(r *Request) *bool { return &r.Unbuffered }), ""},
		{"overlap", 0, nothing, "-", flag(func(r *Request) *bool { return &r.Overlap }), ""},
		{"oversubscribe", 's', nothing, "-", flag(func(r *Request) *bool { return &r.Overlap }), ""},
		{"exact", 0, nothing, "-", flag(func(r *Request) *bool { return &r.Exact }), ""},
		{"kill-on-bad-exit", 'K', perhaps, "-", (*Request).setKillOnBadExit, ""},
		{"jobid", 0, something, "-", text(func(r *Request) *string { return &r.JobID }), ""},
		{"relative", 'r', something, "-", whole(func(r *Request) *int64 { return &r.Relative }), ""},
		{"immediate", 'I', perhaps, "-", nil, "a step waits until there is room"},
		{"pty", 0, perhaps, "-", nil, "use `caravan exec JOB -- sh` for a terminal"},
	}
}

// idleOptions are understood and have no effect. Each one is a warning, but for those that ask
// for what is so anyway.
func idleOptions() []option {
	rows := map[string]string{
		"sockets-per-node cores-per-socket threads-per-core ntasks-per-core ntasks-per-socket gpus-per-socket extra-node-info hint " +
			"contiguous switches distribution core-spec thread-spec use-min-nodes spread-job mem-bind": whyPlacement,
		"cpu-bind gpu-bind accel-bind tres-bind cpu-freq gpu-freq": whyBind,
		"mail-type mail-user": whyMail,
		"bb bbf burst-buffer container container-id wckey reservation clusters cluster-constraint power prefer " +
			"acctg-freq profile propagate network get-user-env gid uid export-file ignore-pbs kill-on-invalid-dep " +
			"no-kill delay-boot deadline time-min reboot extra mcs-label tres-per-task gres-flags uenv view mpi resv-ports " +
			"slurmd-debug task-prolog task-epilog prolog epilog bcast multi-prog threads msg-timeout disable-status preserve-env": whySite,
	}
	letters := map[string]byte{"distribution": 'm', "core-spec": 'S', "extra-node-info": 'B', "clusters": 'M', "no-kill": 'k'}
	flags := strings.Fields("contiguous spread-job use-min-nodes ignore-pbs reboot multi-prog disable-status preserve-env")
	maybe := strings.Fields("propagate get-user-env no-kill resv-ports bcast")
	var out []option
	for names, why := range rows {
		for _, name := range strings.Fields(names) {
			o := option{name: name, letter: letters[name], takes: something, why: why}
			if slices.Contains(flags, name) {
				o.takes = nothing
			}
			if slices.Contains(maybe, name) {
				o.takes = perhaps
			}
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b option) int { return cmp.Compare(a.name, b.name) })
	return out
}

// byName finds an option by its long name, or by a beginning that only one has.
func byName(name string) (option, bool) {
	var found []option
	for _, o := range table() {
		if o.name == name {
			return o, true
		}
		if len(name) >= 3 && strings.HasPrefix(o.name, name) {
			found = append(found, o)
		}
	}
	if len(found) == 1 {
		return found[0], true
	}
	return option{}, false
}

func byLetter(c byte) (option, bool) {
	for _, o := range table() {
		if o.letter == c {
			return o, true
		}
	}
	return option{}, false
}

// near suggests an option that begins alike.
func near(name string) string {
	name = strings.TrimLeft(name, "-")
	for n := len(name) - 1; n >= 2; n-- {
		for _, o := range table() {
			if strings.HasPrefix(o.name, name[:n]) {
				return "did you mean --" + o.name + "?"
			}
		}
	}
	return ""
}
