package runner

import (
	"slices"
	"strings"
	"testing"

	pb "caravan/api/caravanv1"
)

// member is rank 3 of four ranks on two nodes.
func member(change func(*pb.Assignment)) *pb.Assignment {
	a := &pb.Assignment{
		Allocation: &pb.Allocation{Id: "ddp-1.main.3.2", JobId: "ddp-1", Group: "main", Ordinal: 3, Attempt: 2, Epoch: 5, Node: "b", CpuMilli: 4000, Indices: []int64{3}},
		Group:      &pb.TaskGroup{Name: "main", Gang: true},
		Variant:    &pb.Variant{Resources: &pb.Resources{}},
		Gang: &pb.Gang{
			Nodes: []*pb.GangNode{{Name: "a", Host: "10.0.0.1", Members: 2}, {Name: "b", Host: "10.0.0.2", Members: 2}},
			Rank:  3, WorldSize: 4, LocalRank: 1, NodeRank: 1, Port: 23456,
		},
	}
	change(a)
	return a
}

// Each case names what must be in the environment; -NAME must not.
func TestRanksFindEachOtherByTheirEnvironment(t *testing.T) {
	gpu := func(n int32) *pb.Resources {
		return &pb.Resources{Devices: []*pb.DeviceRequest{{Kind: "gpu", Count: n, Thousandths: 1000}, {Kind: "fpga", Count: 1}}}
	}
	for _, c := range []struct {
		name   string
		change func(*pb.Assignment)
		want   string
		hosts  string
	}{
		{
			"a task a rank", func(*pb.Assignment) {},
			`RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 NODE_RANK=1 GROUP_RANK=1 NNODES=2 MASTER_ADDR=10.0.0.1 MASTER_PORT=23456
			CARAVAN_EPOCH=5 CARAVAN_RANK=3 CARAVAN_WORLD_SIZE=4 OMP_NUM_THREADS=4 HOSTFILE=/d/tmp/hostfile -GPUS_PER_NODE -CUDA_DEVICE_ORDER`,
			"10.0.0.1 slots=2\n10.0.0.2 slots=2\n",
		},
		{
			"a task a rank with a GPU", func(a *pb.Assignment) { a.Variant.Resources = gpu(1) },
			`LOCAL_RANK=1 OMP_NUM_THREADS=4 CUDA_DEVICE_ORDER=PCI_BUS_ID`,
			"10.0.0.1 slots=2\n10.0.0.2 slots=2\n",
		},
		{
			"a task a node", func(a *pb.Assignment) {
				a.Group.PerNode, a.Variant.Resources = true, gpu(2)
				a.Gang.Rank, a.Gang.WorldSize, a.Gang.LocalRank, a.Gang.Nodes[0].Members, a.Gang.Nodes[1].Members = 1, 2, 0, 1, 1
			},
			`NODE_RANK=1 NNODES=2 GPUS_PER_NODE=2 MASTER_ADDR=10.0.0.1 MASTER_PORT=23456 HOSTFILE=/d/tmp/hostfile OMP_NUM_THREADS=2
			CARAVAN_RANK=1 -RANK -WORLD_SIZE -LOCAL_RANK -LOCAL_WORLD_SIZE`,
			"10.0.0.1 slots=2\n10.0.0.2 slots=2\n",
		},
		{
			"a task a node without GPUs", func(a *pb.Assignment) { a.Group.PerNode = true },
			`GPUS_PER_NODE=0 OMP_NUM_THREADS=1`,
			"10.0.0.1 slots=4\n10.0.0.2 slots=4\n",
		},
		{
			"a job may say how many threads, and not where ranks meet", func(a *pb.Assignment) {
				a.Group.Env = map[string]string{"OMP_NUM_THREADS": "7", "MASTER_PORT": "29500", "RANK": "0"}
			},
			`OMP_NUM_THREADS=7 MASTER_PORT=23456 RANK=3`,
			"10.0.0.1 slots=2\n10.0.0.2 slots=2\n",
		},
		{
			"no gang", func(a *pb.Assignment) { a.Gang = nil },
			`OMP_NUM_THREADS=4 -RANK -MASTER_ADDR -HOSTFILE -CARAVAN_RANK -NODE_IPS`, "",
		},
		{
			"a gang too large for a variable", func(a *pb.Assignment) {
				a.Gang.Nodes = append(a.Gang.Nodes, slices.Repeat([]*pb.GangNode{{Name: "n", Host: "10.0.0.3", Members: 1}}, 8000)...)
			},
			`NNODES=8002 -NODE_IPS CARAVAN_GANG_NODES=a`, "10.0.0.1 slots=2\n10.0.0.2 slots=2\n" + strings.Repeat("10.0.0.3 slots=1\n", 8000),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := member(c.change)
			env := map[string]string{}
			for _, kv := range environment(a, "/h", "/d") {
				k, v, _ := strings.Cut(kv, "=")
				env[k], _, _ = strings.Cut(v, " ")
			}
			for w := range strings.FieldsSeq(c.want) {
				k, v, set := strings.Cut(w, "=")
				if got, ok := env[strings.TrimPrefix(k, "-")]; ok != set || got != v {
					t.Errorf("%s: got %q (set: %v)", w, got, ok)
				}
			}
			if got := string(hostfile(a)); got != c.hosts {
				t.Errorf("host file %q", got)
			}
		})
	}
}

func TestTheInterfaceIsThatOfTheRouteAndAJobMayNameAnother(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes []string
		rank  int32
		env   []string
		want  string
	}{
		{"one node", []string{"127.0.0.1"}, 0, nil, "GLOO_SOCKET_IFNAME=lo NCCL_SOCKET_IFNAME==lo"},
		{"towards the first node", []string{"127.0.0.1", "127.0.0.2"}, 1, nil, "GLOO_SOCKET_IFNAME=lo NCCL_SOCKET_IFNAME==lo"},
		{"from the first node to the next", []string{"nowhere.invalid", "127.0.0.2"}, 0, nil, "GLOO_SOCKET_IFNAME=lo NCCL_SOCKET_IFNAME==lo"},
		{"a host without a route", []string{"nowhere.invalid"}, 0, []string{"A=1"}, "A=1"},
		{"the job's own", []string{"127.0.0.1"}, 0, []string{"NCCL_SOCKET_IFNAME=ib0"}, "GLOO_SOCKET_IFNAME=lo NCCL_SOCKET_IFNAME=ib0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &pb.Gang{NodeRank: c.rank}
			for _, h := range c.nodes {
				g.Nodes = append(g.Nodes, &pb.GangNode{Host: h})
			}
			if got := strings.Join(underlay(c.env, sockets(interfaceTowards(g))), " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestASweepsTaskFindsItsPointInEnvironmentAndCommand(t *testing.T) {
	a := member(func(a *pb.Assignment) {
		a.Gang, a.Group.Gang = nil, false
		a.Group.Matrix = []*pb.Axis{{Name: "lr", Values: []string{"0.1", "0.01"}}, {Name: "seed", Range: &pb.IndexRange{First: 0, Last: 9, Step: 1}}}
		a.Allocation.Indices = []int64{13}
		a.Group.Env = map[string]string{"RUN": "lr${matrix.lr}"}
		a.Variant.Command = []string{"train", "--lr=${matrix.lr}", "--seed=${CARAVAN_MATRIX_SEED}", "${matrix.none} ${HOME}"}
	})
	spec := specOf(a, "/d")
	if got := strings.Join(spec.Argv, "|"); got != "train|--lr=0.01|--seed=3|${matrix.none} ${HOME}" {
		t.Errorf("command %s", got)
	}
	for _, want := range []string{"CARAVAN_MATRIX_LR=0.01", "CARAVAN_MATRIX_SEED=3", "RUN=lr0.01"} {
		if !slices.Contains(spec.Env, want) {
			t.Errorf("no %s in %v", want, spec.Env)
		}
	}
}
