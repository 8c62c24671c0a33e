package slurm

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"caravan/api/caravanv1"
)

// Submission is what surrounds a script when it is submitted.
type Submission struct {
	// Script is its text, File its name; "" for the standard input or --wrap.
	Script, File string
	Arguments    []string
	// Dir is the directory it is submitted from, Host the host.
	Dir, Host string
	// Environ is the environment as KEY=VALUE.
	Environ []string
	Now     time.Time
	// Fleet are the nodes there are; nil when nothing is known of them.
	Fleet Fleet
	// Queues are the names of the queues there are; nil when they are not known.
	Queues []string
}

// KillWait is the time between SIGTERM and SIGKILL, as Slurm's default has it.
const KillWait = 30 * time.Second

// Labels that a job keeps of what it was asked for.
const (
	LabelAccount   = "account"
	LabelQOS       = "qos"
	LabelComment   = "comment"
	LabelPartition = "partition"
)

// Job makes the job. Warnings have no place: they concern the whole.
func (r *Request) Job(s Submission) (*caravanv1.JobSpec, []string, error) {
	shape, err := r.shape(s.Fleet)
	if err != nil {
		return nil, nil, err
	}
	b := &builder{r: r, s: s, shape: shape}
	begin, err := b.begin()
	if err != nil {
		return nil, nil, err
	}
	name := r.jobName(s.File)
	spec := &caravanv1.JobSpec{
		Name: plainName(name), Queue: b.queue(), Priority: r.Priority, Labels: b.labels(),
		After: r.After, Singleton: r.Singleton, BeginMs: begin, Held: r.Hold,
	}
	if spec.Name == "" {
		spec.Name = "sbatch"
	}
	dir := r.Chdir
	if dir == "" {
		dir = s.Dir
	} else if !path.IsAbs(dir) {
		dir = path.Join(s.Dir, dir)
	}
	group := &caravanv1.TaskGroup{
		Name: "main", Chunk: 1, MaxRunning: r.MaxRunning, Indices: r.Array, Workdir: dir, Env: b.environment(name),
		TimeLimitMs: r.TimeMs, KillGraceMs: KillWait.Milliseconds(), Exclusive: r.Exclusive, Limits: r.Licenses,
		Constraints: r.constraints(), Once: "at_most",
		Variants: []*caravanv1.Variant{{
			Name: "main", Driver: "exec", SpeedPermille: 1000, Resources: shape.resources(r.Disk),
			Command: append([]string{path.Base(name)}, s.Arguments...),
		}},
		Batch: &caravanv1.Batch{
			Script: s.Script, Arguments: s.Arguments, Name: name,
			Tasks: int32(shape.tasks), TasksPerNode: int32(r.TasksPerNode), //nolint:gosec // number reads 31 bits
			Input: r.Input, Output: r.Output, Error: r.Error, Append: r.Append,
			Signal: r.Signal, SignalBeforeMs: r.SignalBeforeMs, SignalSteps: r.Signal != 0 && !r.SignalBatch,
		},
	}
	if r.Requeue {
		group.Retries = 1
	}
	if shape.nodes > 1 {
		if len(r.Array) > 0 {
			return nil, nil, fmt.Errorf("an array whose tasks need %d nodes each cannot be run; submit one job for each index, or let one script start steps for them", shape.nodes)
		}
		group.Gang, group.PerNode = true, true
	}
	if len(group.Indices) == 0 {
		group.Indices = []*caravanv1.IndexRange{{First: 0, Last: int64(shape.nodes) - 1, Step: 1}}
	}
	spec.Groups = []*caravanv1.TaskGroup{group}
	return spec, b.warnings, nil
}

func (r *Request) jobName(file string) string {
	switch {
	case r.Name != "":
		return r.Name
	case r.Wrap != "":
		return "wrap"
	case file == "":
		return "sbatch"
	}
	return path.Base(file)
}

// builder makes the parts of a job.
type builder struct {
	r        *Request
	s        Submission
	shape    shape
	warnings []string
}

func (b *builder) begin() (int64, error) {
	if b.r.Begin == "" {
		return 0, nil
	}
	at, err := StartTime(b.r.Begin, b.s.Now)
	if err != nil || at.IsZero() {
		return 0, err
	}
	return at.UnixMilli(), nil
}

// queue is the first partition that is a queue's name, else the account if that is one.
func (b *builder) queue() string {
	const fallback = "default"
	wishes := strings.Split(b.r.Partition, ",")
	if b.r.Account != "" {
		wishes = append(wishes, b.r.Account)
	}
	for _, w := range wishes {
		if name := plainName(w); name != "" && (b.s.Queues == nil || slices.Contains(b.s.Queues, name)) {
			return name
		}
	}
	if b.r.Partition != "" {
		b.warnings = append(b.warnings, fmt.Sprintf("there is no queue for partition %s; the job goes to queue %s (an operator makes one with `caravan queue set %s`)", b.r.Partition, fallback, plainName(b.r.Partition)))
	}
	return fallback
}

func (b *builder) labels() map[string]string {
	labels := make(map[string]string)
	for k, v := range map[string]string{LabelAccount: b.r.Account, LabelQOS: b.r.QOS, LabelComment: b.r.Comment, LabelPartition: b.r.Partition} {
		if v != "" {
			labels[k] = v
		}
	}
	return labels
}

// own are variables of the submitting shell, or of a job that submits, that say nothing about
// the new one.
func own(name string) bool {
	switch name {
	case "_", "SHLVL", "PWD", "OLDPWD", "TMPDIR", "HOSTNAME", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
		"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "NODE_RANK", "NNODES", "MASTER_ADDR", "MASTER_PORT", "HOSTFILE", "NODE_IPS", "GPUS_PER_NODE":
		return true
	}
	return strings.HasPrefix(name, "SLURM_") || strings.HasPrefix(name, "SLURMD_") || strings.HasPrefix(name, "SBATCH_") || strings.HasPrefix(name, "CARAVAN_")
}

// environment is what --export says of the submitting shell's, and what is known of the job
// before it runs.
func (b *builder) environment(name string) map[string]string {
	env := make(map[string]string)
	all := b.r.Export == ""
	var extra []string
	for _, word := range strings.Split(b.r.Export, ",") {
		switch strings.ToUpper(word) {
		case "ALL":
			all = true
		case "NONE", "NIL", "":
		default:
			extra = append(extra, word)
		}
	}
	for _, kv := range b.s.Environ {
		k, v, _ := strings.Cut(kv, "=")
		if k != "" && !own(k) && (all || slices.Contains(extra, k)) {
			env[k] = v
		}
	}
	for _, word := range extra {
		if k, v, given := strings.Cut(word, "="); given && k != "" {
			env[k] = v
		}
	}
	b.describe(env, name)
	return env
}

// describe adds the variables that do not depend on where the job runs.
func (b *builder) describe(env map[string]string, name string) {
	r := b.r
	set := func(k, v string, if_ bool) {
		if if_ {
			env[k] = v
		}
	}
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	env["SLURM_JOB_NAME"], env["SLURM_SUBMIT_DIR"], env["SLURM_SUBMIT_HOST"] = name, b.s.Dir, b.s.Host
	env["SLURM_CLUSTER_NAME"], env["SLURM_PRIO_PROCESS"], env["SLURM_JOB_PARTITION"] = "caravan", "0", b.queue()
	set("SLURM_JOB_ACCOUNT", r.Account, r.Account != "")
	set("SLURM_JOB_QOS", r.QOS, r.QOS != "")
	set("SLURM_JOB_COMMENT", r.Comment, r.Comment != "")
	set("SLURM_EXPORT_ENV", r.Export, r.Export != "")
	set("SLURM_CPUS_PER_TASK", n(r.CPUsPerTask), r.CPUsPerTask > 0)
	set("SLURM_NTASKS_PER_NODE", n(r.TasksPerNode), r.TasksPerNode > 0)
	set("SLURM_CPUS_PER_GPU", n(r.CPUsPerGPU), r.CPUsPerGPU > 0)
	switch {
	case r.MemPerCPU > 0:
		env["SLURM_MEM_PER_CPU"] = n(r.MemPerCPU)
	case r.MemPerGPU > 0:
		env["SLURM_MEM_PER_GPU"] = n(r.MemPerGPU)
	case r.Mem >= 0:
		env["SLURM_MEM_PER_NODE"] = n(b.shape.memory)
	}
	for k, g := range map[string]GPUs{"SLURM_GPUS": r.GPUs, "SLURM_GPUS_PER_NODE": r.GPUsPerNode, "SLURM_GPUS_PER_TASK": r.GPUsPerTask} {
		set(k, n(g.Count), g.Count > 0)
	}
	set("SLURM_JOB_LICENSES", licenses(r.Licenses), len(r.Licenses) > 0)
	if count, lo, hi, step := span(r.Array); count > 0 {
		env["SLURM_ARRAY_TASK_COUNT"], env["SLURM_ARRAY_TASK_MIN"] = n(count), n(lo)
		env["SLURM_ARRAY_TASK_MAX"], env["SLURM_ARRAY_TASK_STEP"] = n(hi), n(step)
	}
}

func licenses(m map[string]int64) string {
	var out []string
	for name, n := range m {
		out = append(out, name+":"+strconv.FormatInt(n, 10))
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

// span returns the number of indices, the least, the greatest and the step between them.
func span(ranges []*caravanv1.IndexRange) (count, lo, hi, step int64) {
	for i, r := range ranges {
		count += (r.Last-r.First)/r.Step + 1
		first, last := min(r.First, r.Last), max(r.First, r.Last)
		if i == 0 {
			lo, hi, step = first, last, max(r.Step, -r.Step)
			continue
		}
		lo, hi, step = min(lo, first), max(hi, last), 1
	}
	return count, lo, hi, step
}

// constraints are the conditions on nodes.
func (r *Request) constraints() []*caravanv1.Constraint {
	var cs []*caravanv1.Constraint
	among := func(names []string, op caravanv1.Operator) {
		if len(names) > 0 {
			cs = append(cs, textConstraint("node", op, names))
		}
	}
	among(r.NodeList, caravanv1.Operator_OPERATOR_IN)
	among(r.Exclude, caravanv1.Operator_OPERATOR_NOT_IN)
	if r.Constraint != "" {
		cs = append(cs, &caravanv1.Constraint{Attribute: features(r.Constraint), Operator: caravanv1.Operator_OPERATOR_WHERE})
	}
	return cs
}

func textConstraint(attribute string, op caravanv1.Operator, values []string) *caravanv1.Constraint {
	c := &caravanv1.Constraint{Attribute: attribute, Operator: op}
	for _, v := range values {
		c.Values = append(c.Values, &caravanv1.AttributeValue{Value: &caravanv1.AttributeValue_Text{Text: v}})
	}
	return c
}

// features turns a list of features, joined by '&' and '|', into an expression: a node has a
// feature that is its family, type, zone, rack or an attribute, or the model of a device.
func features(list string) string {
	var b strings.Builder
	name := ""
	flush := func() {
		if name != "" {
			q := strconv.Quote(name)
			fmt.Fprintf(&b, "(%s in [node.family, node.instance_type, node.zone, node.rack] || %[1]s in node.attributes || node.devices.exists(d, d.model in [%[1]s, %s]))", q, strconv.Quote(strings.ToUpper(name)))
		}
		name = ""
	}
	for _, c := range list {
		switch c {
		case '&', ',':
			flush()
			b.WriteString(" && ")
		case '|':
			flush()
			b.WriteString(" || ")
		case '[', '(':
			flush()
			b.WriteByte('(')
		case ']', ')':
			flush()
			b.WriteByte(')')
		case ' ', '"':
		default:
			name += string(c)
		}
	}
	flush()
	return b.String()
}

// QueueName is the name of the queue that a partition stands for.
func QueueName(partition string) string { return plainName(partition) }
