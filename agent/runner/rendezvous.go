package runner

import (
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"

	"caravan/agent/shim"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// hostfileName is the list of a gang's nodes within an allocation's directory for temporary files.
const hostfileName = "hostfile"

// maxListBytes bounds a variable that lists the nodes of a gang: the kernel takes at most
// 128 KiB for one (execve(2), MAX_ARG_STRLEN). Of a larger gang only the host file has all.
const maxListBytes = 64 << 10

// meeting is what the ranks of a gang need to find each other: variables that no job may
// change, and those that are only defaults. It is empty for other tasks. dir is the
// allocation's directory.
//
// The names are those of torch.distributed's env:// initialization; what they mean for one
// task a rank and one task a node is written down in docs/training.md.
func meeting(a *pb.Assignment, dir string) (fixed, defaults map[string]string) {
	g := a.Gang
	if g == nil || len(g.Nodes) == 0 {
		return nil, nil
	}
	n := func(i int32) string { return strconv.Itoa(int(i)) }
	fixed = map[string]string{
		"MASTER_ADDR": g.Nodes[0].Host, "MASTER_PORT": n(g.Port),
		"NODE_RANK": n(g.NodeRank), "NNODES": strconv.Itoa(len(g.Nodes)),
		"HOSTFILE": filepath.Join(dir, shim.TmpDir, hostfileName),
	}
	if list := listed(g.Nodes, (*pb.GangNode).GetHost); len(list) <= maxListBytes {
		fixed["NODE_IPS"] = list
	}
	defaults = make(map[string]string)
	if a.Group.GetPerNode() {
		fixed["GPUS_PER_NODE"] = strconv.FormatInt(gpus(a), 10)
		defaults["OMP_NUM_THREADS"] = strconv.FormatInt(max(1, wholeCores(a.Allocation.CpuMilli)/slots(a)), 10)
	} else {
		maps.Copy(fixed, map[string]string{
			"RANK": n(g.Rank), "WORLD_SIZE": n(g.WorldSize), "LOCAL_RANK": n(g.LocalRank),
			"LOCAL_WORLD_SIZE": n(g.Nodes[g.NodeRank].Members), "GROUP_RANK": n(g.NodeRank),
		})
	}
	return fixed, defaults
}

// sockets are the variables that make NCCL and Gloo use a network interface. NCCL takes a name
// for the beginning of one unless '=' stands before it.
func sockets(device string) map[string]string {
	if device == "" {
		return nil
	}
	return map[string]string{"NCCL_SOCKET_IFNAME": "=" + device, "GLOO_SOCKET_IFNAME": device}
}

// listed joins what f says of each node.
func listed(nodes []*pb.GangNode, f func(*pb.GangNode) string) string {
	words := make([]string, len(nodes))
	for i, node := range nodes {
		words[i] = f(node)
	}
	return strings.Join(words, " ")
}

// hostfile lists the nodes of a gang as Open MPI and DeepSpeed read it, "host slots=N"; nil
// for other tasks.
func hostfile(a *pb.Assignment) []byte {
	if a.Gang == nil {
		return nil
	}
	var b strings.Builder
	for _, node := range a.Gang.Nodes {
		ranks := int64(node.Members)
		if a.Group.GetPerNode() {
			ranks = slots(a)
		}
		fmt.Fprintf(&b, "%s slots=%d\n", node.Host, ranks)
	}
	return []byte(b.String())
}

// gpus is how many GPUs, or parts of one, a task holds.
func gpus(a *pb.Assignment) int64 {
	var n int64
	for _, d := range a.Variant.GetResources().GetDevices() {
		if d.Kind == model.KindGPU {
			n += int64(max(1, d.Count))
		}
	}
	return n
}

// slots is how many ranks the one task of a node starts: one for each GPU, or for each core
// where there are none.
func slots(a *pb.Assignment) int64 {
	if n := gpus(a); n > 0 {
		return n
	}
	return wholeCores(a.Allocation.CpuMilli)
}
