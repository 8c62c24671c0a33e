package slurmcli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"caravan/api/client"
	"caravan/api/hostlist"
	"caravan/api/slurm"

	pb "caravan/api/caravanv1"
)

// scontrol shows and changes jobs and nodes.
func (a *App) scontrol(ctx context.Context, args []string) error {
	f, words, err := parse([]flagSpec{{"oneliner", 'o', false}, {"details", 'd', false}, {"quiet", 'Q', false}, {"verbose", 'v', false}, {"all", 'a', false}, {"future", 'F', false}}, args)
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return errors.New("say what to do: show, hold, release, requeue, update or ping")
	}
	rest := words[1:]
	switch verb := strings.ToLower(words[0]); verb {
	case "show":
		return a.show(ctx, rest, f.has("oneliner"))
	case "hold", "uhold":
		return a.act(ctx, rest, pb.TaskAction_TASK_ACTION_PAUSE, nil)
	case "release":
		return a.act(ctx, rest, pb.TaskAction_TASK_ACTION_RESUME, nil)
	case "requeue":
		return a.act(ctx, rest, pb.TaskAction_TASK_ACTION_RETRY, []pb.TaskState{
			pb.TaskState_TASK_STATE_RUNNING, pb.TaskState_TASK_STATE_SUCCEEDED, pb.TaskState_TASK_STATE_FAILED, pb.TaskState_TASK_STATE_STOPPED,
		})
	case "requeuehold":
		if err := a.act(ctx, rest, pb.TaskAction_TASK_ACTION_PAUSE, nil); err != nil {
			return err
		}
		return a.scontrol(ctx, append([]string{"requeue"}, rest...))
	case "top":
		return a.act(ctx, rest, pb.TaskAction_TASK_ACTION_PRIORITY, nil, 1000)
	case "update":
		return a.update(ctx, rest)
	case "wait_job":
		if len(rest) != 1 {
			return errors.New("wait_job takes one job id")
		}
		return a.waitStarted(ctx, rest[0])
	case "ping":
		return a.ask(ctx, func(ctx context.Context, c *client.Client) error {
			v, err := c.Operator.GetCluster(ctx, &pb.GetClusterRequest{})
			if err != nil {
				return err
			}
			for _, s := range v.Servers {
				fmt.Fprintf(a.Out, "Slurmctld(%s) at %s is UP\n", map[bool]string{true: "primary", false: "backup"}[s.Leader], s.ApiAddress)
			}
			return nil
		})
	case "suspend", "resume":
		return errors.New("a running job cannot be suspended; hold keeps one from starting, requeue stops it and starts it again later")
	default:
		return fmt.Errorf("invalid keyword: %s", words[0])
	}
}

// act does something to each of the jobs that are named.
func (a *App) act(ctx context.Context, ids []string, action pb.TaskAction, states []pb.TaskState, priority ...int32) error {
	if len(ids) == 0 {
		return errors.New("which job?")
	}
	list, err := readIDs(ids)
	if err != nil {
		return err
	}
	return a.ask(ctx, func(ctx context.Context, c *client.Client) error {
		for _, w := range list {
			j, err := c.Jobs.GetJob(ctx, &pb.GetJobRequest{JobId: w.job})
			if err != nil {
				return err
			}
			req := &pb.ActOnTasksRequest{RequestId: client.NewRequestID(), JobId: j.Id, Action: action, States: states, Indices: element(j, w).indices}
			if len(priority) > 0 {
				req.Priority, req.Indices = priority[0], nil
			}
			if _, err := c.Jobs.ActOnTasks(ctx, req); err != nil {
				return err
			}
		}
		return nil
	})
}

// waitStarted waits until a job has begun to run.
func (a *App) waitStarted(ctx context.Context, id string) error {
	c, err := a.Connect()
	if err != nil {
		return err
	}
	defer c.Close()
	for j, err := range c.WatchJob(ctx, id) {
		if err != nil || j.StartedMs != 0 {
			return err
		}
	}
	return nil
}

// show writes what there is of one kind.
func (a *App) show(ctx context.Context, words []string, oneLine bool) error {
	if len(words) == 0 {
		return errors.New("show what? job, node, partition, hostnames or hostlist")
	}
	kind, name := strings.ToLower(words[0]), strings.Join(words[1:], ",")
	if k, v, ok := strings.Cut(words[0], "="); ok {
		kind, name = strings.ToLower(k), v
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "JobId="), "jobid=")
	switch kind {
	case "hostnames", "hostname", "hostlist", "hostlistsorted":
		return a.hostnames(kind, name)
	case "job", "jobs", "jobid":
		return a.showJobs(ctx, name, oneLine)
	case "node", "nodes", "nodename":
		return a.showNodes(ctx, name, oneLine)
	case "partition", "partitions", "partitionname":
		return a.showPartitions(ctx, name, oneLine)
	}
	return fmt.Errorf("invalid entity: %s", words[0])
}

func (a *App) hostnames(kind, list string) error {
	if list == "" {
		list = a.Getenv("SLURM_JOB_NODELIST")
	}
	names, err := hostlist.Expand(list)
	switch {
	case err != nil:
		return err
	case len(names) == 0:
		return errors.New("no list of hosts is given, and SLURM_JOB_NODELIST is empty")
	case kind == "hostnames" || kind == "hostname":
		fmt.Fprintln(a.Out, strings.Join(names, "\n"))
	default:
		fmt.Fprintln(a.Out, hostlist.Compress(names))
	}
	return nil
}

// pairs are KEY=VALUE by lines; each line is a list of pairs.
type pairs [][]string

func (p pairs) write(a *App, oneLine bool) {
	var lines []string
	for _, l := range p {
		lines = append(lines, strings.Join(l, " "))
	}
	if oneLine {
		fmt.Fprintln(a.Out, strings.Join(lines, " "))
		return
	}
	fmt.Fprintln(a.Out, strings.Join(lines, "\n   ")+"\n")
}

func (a *App) showJobs(ctx context.Context, name string, oneLine bool) error {
	var sel selection
	var err error
	if name != "" {
		if sel.ids, err = readIDs([]string{name}); err != nil {
			return err
		}
	}
	sel.ended = len(sel.ids) > 0
	return a.ask(ctx, func(ctx context.Context, c *client.Client) error {
		list, err := rows(ctx, c, sel, a.Now())
		if e, ok := errors.AsType[*client.Error](err); ok && e.Kind == client.KindNotFound {
			return errors.New("slurm_load_jobs error: Invalid job id specified")
		}
		if err != nil {
			return err
		}
		if len(list) == 0 {
			fmt.Fprintln(a.Out, "No jobs in the system")
		}
		for _, r := range list {
			r.pairs().write(a, oneLine)
		}
		return nil
	})
}

func (r *row) pairs() pairs {
	long, _ := r.state()
	code, sig := r.exit()
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	known := func(ms int64) string { return unknown(stamp(ms)) }
	head := []string{"JobId=" + n(r.numeric())}
	if r.arrayed() {
		index := r.waiting
		if r.task != nil {
			index = r.index()
		}
		head = append(head, "ArrayJobId="+n(number(r.job.Id)), "ArrayTaskId="+index)
	}
	p := pairs{
		append(head, "JobName="+r.name()),
		{"UserId=" + r.job.Owner, "Account=" + r.label("account"), "QOS=" + r.label("qos")},
		{"Priority=" + n(int64(r.job.GetSpec().GetPriority()+r.job.PriorityChange)), "Partition=" + r.job.GetSpec().GetQueue(), "Comment=" + r.label("comment")},
		{"JobState=" + long, "Reason=" + r.reason(), "Dependency=" + r.dependency()},
		{"Requeue=" + map[bool]string{true: "1", false: "0"}[r.group().Retries > 0], "Restarts=" + n(int64(max(0, r.task.GetAttempts()-1))), "BatchFlag=" + map[bool]string{true: "1", false: "0"}[r.group().Batch != nil], fmt.Sprintf("ExitCode=%d:%d", code, sig)},
		{"RunTime=" + clock(r.elapsed(), true), "TimeLimit=" + limit(r.group().TimeLimitMs)},
		{"SubmitTime=" + known(r.job.SubmittedMs), "EligibleTime=" + known(max(r.job.SubmittedMs, r.job.GetSpec().GetBeginMs()))},
		{"StartTime=" + known(r.start()), "EndTime=" + known(r.end())},
		{"NodeList=" + hostlist.Compress(r.nodes), "NumNodes=" + n(r.nodeCount()), "NumCPUs=" + n(r.cpus()), "NumTasks=" + n(int64(max(1, r.group().GetBatch().GetTasks())))},
		{fmt.Sprintf("TRES=cpu=%d,mem=%dM,node=%d", r.cpus(), r.memoryMiB()*r.nodeCount(), r.nodeCount())},
		{"MinMemoryNode=" + n(r.memoryMiB()) + "M"},
		{"Command=" + command(r.group())},
		{"WorkDir=" + r.group().Workdir},
	}
	if r.gpus() > 0 {
		p = append(p, []string{"TresPerNode=gres/gpu:" + n(r.gpus())})
	}
	if b := r.group().Batch; b != nil {
		out := b.Output
		if out == "" {
			out = "slurm-%j.out"
			if r.arrayed() {
				out = "slurm-%A_%a.out"
			}
		}
		errOut := b.Error
		if errOut == "" {
			errOut = out
		}
		names := slurm.Names{Job: r.numeric(), ArrayJob: number(r.job.Id), Index: -1, Name: r.name(), User: r.job.Owner, Node: strings.Join(r.nodes[:min(1, len(r.nodes))], ""), Step: "batch"}
		if r.task != nil && r.arrayed() && len(r.task.Indices) > 0 {
			names.Index = r.task.Indices[0]
		}
		p = append(p, []string{"StdErr=" + under(r.group().Workdir, names.Expand(errOut))}, []string{"StdOut=" + under(r.group().Workdir, names.Expand(out))})
	}
	return p
}

func under(dir, name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return strings.TrimSuffix(dir, "/") + "/" + name
}

func command(g *pb.TaskGroup) string {
	for _, v := range g.Variants {
		return strings.Join(v.Command, " ")
	}
	return ""
}

func (a *App) showNodes(ctx context.Context, name string, oneLine bool) error {
	only, err := hostlist.Expand(name)
	if err != nil {
		return err
	}
	return a.ask(ctx, func(ctx context.Context, c *client.Client) error {
		list, err := c.Nodes.ListNodes(ctx, &pb.ListNodesRequest{})
		if err != nil {
			return err
		}
		found := 0
		for _, node := range list.Nodes {
			i := node.Info
			if len(only) > 0 && !contains(only, i.Name) {
				continue
			}
			found++
			state, _ := nodeState(node)
			pairs{
				{"NodeName=" + i.Name, "Arch=x86_64", fmt.Sprintf("CoresPerSocket=%d", i.CpuMilli/1000)},
				{fmt.Sprintf("CPUAlloc=%d CPUTot=%d", (node.UsedCpuMilli+999)/1000, i.CpuMilli/1000)},
				{"AvailableFeatures=" + i.InstanceType, "Gres=" + gresOf(node)},
				{"NodeAddr=" + i.Address, "NodeHostName=" + i.Name, "Version=" + i.Version},
				{fmt.Sprintf("RealMemory=%d AllocMem=%d", i.MemoryMib, node.UsedMemoryMib)},
				{"State=" + strings.ToUpper(state), fmt.Sprintf("TmpDisk=%d", i.DiskMib)},
				{"RegisteredTime=" + time.UnixMilli(node.RegisteredMs).Format("2006-01-02T15:04:05")},
			}.write(a, oneLine)
		}
		if found == 0 {
			return fmt.Errorf("Node %s not found", name) //nolint:staticcheck // as scontrol says it
		}
		return nil
	})
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (a *App) showPartitions(ctx context.Context, name string, oneLine bool) error {
	return a.ask(ctx, func(ctx context.Context, c *client.Client) error {
		queues, err := c.Queues.ListQueues(ctx, &pb.ListQueuesRequest{})
		if err != nil {
			return err
		}
		nodes, err := c.Nodes.ListNodes(ctx, &pb.ListNodesRequest{})
		if err != nil {
			return err
		}
		var names []string
		var cpus int64
		for _, n := range nodes.Nodes {
			names, cpus = append(names, n.Info.Name), cpus+n.Info.CpuMilli/1000
		}
		found := false
		for _, q := range queues.Queues {
			if name != "" && q.Queue.Name != name {
				continue
			}
			found = true
			pairs{
				{"PartitionName=" + q.Queue.Name},
				{"AllowGroups=ALL", "Default=" + map[bool]string{true: "YES", false: "NO"}[q.Queue.Name == "default"], "MaxTime=UNLIMITED", "State=UP"},
				{"Nodes=" + hostlist.Compress(names)},
				{fmt.Sprintf("TotalCPUs=%d TotalNodes=%d", cpus, len(names))},
				{fmt.Sprintf("JobsPending=%d JobsRunning=%d", q.JobsPending, q.JobsRunning)},
			}.write(a, oneLine)
		}
		if !found {
			return fmt.Errorf("Partition %s not found", name) //nolint:staticcheck // as scontrol says it
		}
		return nil
	})
}
