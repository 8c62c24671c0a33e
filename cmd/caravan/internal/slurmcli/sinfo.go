package slurmcli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	pb "caravan/api/caravanv1"
	"caravan/api/client"
	"caravan/api/hostlist"
	"caravan/api/slurm"
)

func infoFlags() []flagSpec {
	return []flagSpec{
		{"Node", 'N', false}, {"long", 'l', false}, {"noheader", 'h', false}, {"format", 'o', true}, {"Format", 'O', true}, {"partition", 'p', true},
		{"nodes", 'n', true}, {"states", 't', true}, {"summarize", 's', false}, {"list-reasons", 'R', false}, {"exact", 'e', false},
		{"all", 'a', false}, {"responding", 'r', false}, {"dead", 'd', false}, {"verbose", 'v', false}, {"sort", 'S', true},
	}
}

// place is a row of sinfo: nodes of a partition that are alike in what is shown.
type place struct {
	queue string
	nodes []*pb.Node
}

func (p *place) first() *pb.Node { return p.nodes[0] }

// sinfo lists nodes by partition. Every queue is a partition, and every node is in each.
func (a *App) sinfo(ctx context.Context, args []string) error {
	f, words, err := parse(infoFlags(), args)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return errors.New("unrecognized argument " + words[0])
	}
	cols, err := infoColumns(f)
	if err != nil {
		return err
	}
	var all []*place
	err = a.ask(ctx, func(ctx context.Context, c *client.Client) error {
		all, err = places(ctx, c, f)
		return err
	})
	if err != nil {
		return err
	}
	return table(a.Out, cols, infoFields(), group(all, cols, f.has("Node")), f.has("noheader"))
}

func infoColumns(f flags) ([]column, error) {
	switch {
	case f.has("Format"):
		return named(f.last("Format"), ':', 20, infoFields())
	case f.has("format"):
		return percent(f.last("format"), infoFields())
	case f.has("list-reasons"):
		return percent("%20E %9u %19H %N", infoFields())
	case f.has("summarize"):
		return percent("%9P %.5a %.10l %.16F %N", infoFields())
	case f.has("Node") && f.has("long"):
		return percent("%N %.6D %.9P %.11T %.4c %.8z %.6m %.8d %.6w %.8f %20E", infoFields())
	case f.has("Node"):
		return percent("%N %.6D %.9P %6t", infoFields())
	case f.has("long"):
		return percent("%9P %.5a %.10l %.10s %.4r %.8h %.10g %.6D %.11T %N", infoFields())
	}
	return percent("%9P %.5a %.10l %.6D %.6t %N", infoFields())
}

// places makes a row for each node in each partition that is wanted.
func places(ctx context.Context, c *client.Client, f flags) ([]*place, error) {
	nodes, err := c.Nodes.ListNodes(ctx, &pb.ListNodesRequest{})
	if err != nil {
		return nil, err
	}
	queues, err := c.Queues.ListQueues(ctx, &pb.ListQueuesRequest{})
	if err != nil {
		return nil, err
	}
	only, err := hostlist.Expand(f.last("nodes"))
	if err != nil {
		return nil, err
	}
	var partitions []string
	for _, p := range f.list("partition") {
		partitions = append(partitions, slurm.QueueName(p))
	}
	slices.SortFunc(nodes.Nodes, func(x, y *pb.Node) int { return cmp.Compare(x.Info.Name, y.Info.Name) })
	var out []*place
	for _, q := range queues.Queues {
		if len(partitions) > 0 && !slices.Contains(partitions, q.Queue.Name) {
			continue
		}
		for _, n := range nodes.Nodes {
			long, short := nodeState(n)
			states := f.list("states")
			stateFits := len(states) == 0 || slices.ContainsFunc(states, func(s string) bool { return strings.EqualFold(s, long) || strings.EqualFold(s, short) })
			if !stateFits || len(only) > 0 && !slices.Contains(only, n.Info.Name) || f.has("dead") && short != "down" || f.has("responding") && short == "down" {
				continue
			}
			out = append(out, &place{queue: q.Queue.Name, nodes: []*pb.Node{n}})
		}
	}
	return out, nil
}

// gathered are the fields that speak of several nodes together.
const gathered = "DNFCA"

// group joins rows that are alike in all fields that do not gather.
func group(all []*place, cols []column, byNode bool) []*place {
	known := infoFields()
	var out []*place
	at := make(map[string]*place)
	for _, p := range all {
		key := p.queue
		if byNode {
			key += "\x00" + p.first().Info.Name
		}
		for _, c := range cols {
			if c.key != "" && (len(c.key) > 1 || !strings.Contains(gathered, c.key)) && c.key != "nodelist" && c.key != "nodes" && c.key != "cpusstate" {
				key += "\x00" + known[c.key].value(p)
			}
		}
		if !slices.ContainsFunc(cols, func(c column) bool { k := strings.ToLower(c.key); return k == "p" || k == "r" || k == "partition" }) {
			key = strings.TrimPrefix(key, p.queue)
		}
		if q := at[key]; q == nil {
			at[key] = p
			out = append(out, p)
		} else if !slices.Contains(q.nodes, p.first()) {
			q.nodes = append(q.nodes, p.first())
		}
	}
	return out
}

// nodeState is Slurm's word for a node's state, long and short.
func nodeState(n *pb.Node) (long, short string) {
	switch {
	case n.State != pb.NodeState_NODE_STATE_READY:
		return "down", "down"
	case n.Draining && n.Allocations > 0:
		return "draining", "drng"
	case n.Draining:
		return "drained", "drain"
	case n.Allocations == 0:
		return "idle", "idle"
	case n.UsedCpuMilli+1000 > n.Info.CpuMilli:
		return "allocated", "alloc"
	}
	return "mixed", "mix"
}

func gresOf(n *pb.Node) string {
	counts := make(map[string]int)
	for _, d := range n.Info.Devices {
		name := d.Kind
		if d.Model != "" {
			name += ":" + strings.ToLower(strings.ReplaceAll(d.Model, " ", "-"))
		}
		counts[name]++
	}
	var out []string
	for name, count := range counts {
		out = append(out, name+":"+strconv.Itoa(count))
	}
	slices.Sort(out)
	if len(out) == 0 {
		return "(null)"
	}
	return strings.Join(out, ",")
}

// infoFields are the fields of sinfo by letter and by name.
func infoFields() fields[*place] {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	names := func(p *place) string {
		var list []string
		for _, node := range p.nodes {
			list = append(list, node.Info.Name)
		}
		return hostlist.Compress(list)
	}
	fixed := func(text string) func(*place) string { return func(*place) string { return text } }
	cpus := func(p *place) string {
		var used, idle, other, total int64
		for _, node := range p.nodes {
			all, busy := node.Info.CpuMilli/1000, (node.UsedCpuMilli+999)/1000
			total += all
			if _, s := nodeState(node); s == "down" || s == "drain" {
				other += all
				continue
			}
			used, idle = used+busy, idle+all-busy
		}
		return fmt.Sprintf("%d/%d/%d/%d", used, idle, other, total)
	}
	nodes := func(p *place) string {
		var used, idle, other int
		for _, node := range p.nodes {
			switch _, s := nodeState(node); s {
			case "idle":
				idle++
			case "alloc", "mix":
				used++
			default:
				other++
			}
		}
		return fmt.Sprintf("%d/%d/%d/%d", used, idle, other, len(p.nodes))
	}
	partition := func(p *place) string {
		if p.queue == "default" {
			return p.queue + "*"
		}
		return p.queue
	}
	out := fields[*place]{}
	for _, e := range []struct {
		keys, head string
		value      func(*place) string
	}{
		{"P partition", "PARTITION", partition},
		{"R partitionname", "PARTITION", func(p *place) string { return p.queue }},
		{"a available", "AVAIL", fixed("up")},
		{"l time", "TIMELIMIT", fixed("infinite")},
		{"L defaulttime", "DEFAULTTIME", fixed("n/a")},
		{"D nodes", "NODES", func(p *place) string { return strconv.Itoa(len(p.nodes)) }},
		{"N nodelist", "NODELIST", names},
		{"n nodehost", "HOSTNAMES", func(p *place) string { return p.first().Info.Name }},
		{"o nodeaddr", "NODE_ADDR", func(p *place) string { return p.first().Info.Address }},
		{"t statecompact", "STATE", func(p *place) string { _, s := nodeState(p.first()); return s }},
		{"T statelong", "STATE", func(p *place) string { s, _ := nodeState(p.first()); return s }},
		{"c cpus", "CPUS", func(p *place) string { return n(p.first().Info.CpuMilli / 1000) }},
		{"C cpusstate", "CPUS(A/I/O/T)", cpus},
		{"m memory", "MEMORY", func(p *place) string { return n(p.first().Info.MemoryMib) }},
		{"e freemem", "FREE_MEM", func(p *place) string { return n(p.first().Info.MemoryMib - p.first().UsedMemoryMib) }},
		{"d disk", "TMP_DISK", func(p *place) string { return n(p.first().Info.DiskMib) }},
		{"G gres", "GRES", func(p *place) string { return gresOf(p.first()) }},
		{"f features", "AVAIL_FEATURES", func(p *place) string {
			if t := p.first().Info.InstanceType; t != "" {
				return t
			}
			return "(null)"
		}},
		{"F nodeaiot", "NODES(A/I/O/T)", nodes},
		{"z socketcorethread", "S:C:T", func(p *place) string { return "1:" + n(p.first().Info.CpuMilli/1000) + ":1" }},
		{"X sockets", "SOCKETS", fixed("1")},
		{"Y cores", "CORES", func(p *place) string { return n(p.first().Info.CpuMilli / 1000) }},
		{"Z threads", "THREADS", fixed("1")},
		{"O cpuload", "CPU_LOAD", fixed("N/A")},
		{"w weight", "WEIGHT", fixed("1")},
		{"E reason", "REASON", func(p *place) string {
			if p.first().Draining {
				return "drained by an operator"
			}
			return "none"
		}},
		{"u user", "USER", fixed("Unknown")},
		{"H timestamp", "TIMESTAMP", func(p *place) string { return stamp(p.first().ChangedMs) }},
		{"s size", "JOB_SIZE", fixed("1-infinite")},
		{"r root", "ROOT", fixed("no")},
		{"h oversubscribe", "OVERSUBS", fixed("NO")},
		{"g groups", "GROUPS", fixed("all")},
		{"v version", "VERSION", func(p *place) string { return p.first().Info.Version }},
	} {
		for _, key := range strings.Fields(e.keys) {
			out[key] = field[*place]{e.head, e.value}
		}
	}
	return out
}
