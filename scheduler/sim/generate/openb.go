package generate

import (
	"fmt"
	"strings"

	"caravan/scheduler/sim/trace"
)

// Mix is the make-up of an openb-like pod list. Shares are in thousandths of all pods, except for
// ConstrainedPermille. What CPU-only, fractional and multi-GPU pods leave takes one whole GPU.
type Mix struct {
	Pods                int   // length of the list, 1 to 1,000,000
	CPUOnlyPermille     int64 // pods without GPU
	FractionPermille    int64 // pods with a part of one GPU
	MultiPermille       int64 // pods with 2, 4 or 8 whole GPUs
	ConstrainedPermille int64 // of the pods with GPU: those that name models
}

// DefaultMix is the make-up of the published trace.
func DefaultMix() Mix {
	return Mix{Pods: 8152, CPUOnlyPermille: 133, FractionPermille: 378, MultiPermille: 9}
}

// NamedMix returns one of the mixes that figures are published for: default, cpu, fraction, multi,
// constrained.
func NamedMix(name string) (Mix, error) {
	m := DefaultMix()
	switch name {
	case "default":
	case "cpu":
		m.CPUOnlyPermille, m.FractionPermille, m.MultiPermille = 400, 262, 6
	case "fraction":
		m.FractionPermille = 700
	case "multi":
		m.FractionPermille, m.MultiPermille = 300, 80
	case "constrained":
		m.ConstrainedPermille = 333
	default:
		return Mix{}, fmt.Errorf("unknown mix %q: use one of %s", name, strings.Join(MixNames(), ", "))
	}
	return m, nil
}

// MixNames lists the names that NamedMix knows.
func MixNames() []string { return []string{"default", "cpu", "fraction", "multi", "constrained"} }

// Validate says what is wrong with a mix.
func (m Mix) Validate() error {
	switch {
	case m.Pods < 1 || m.Pods > 1_000_000:
		return fmt.Errorf("a mix of %d pods: it must have from 1 to 1,000,000", m.Pods)
	case min(m.CPUOnlyPermille, m.FractionPermille, m.MultiPermille, m.ConstrainedPermille) < 0:
		return fmt.Errorf("a share is negative: shares are from 0 to 1000 thousandths")
	case m.CPUOnlyPermille+m.FractionPermille+m.MultiPermille > 1000 || m.ConstrainedPermille > 1000:
		return fmt.Errorf("the shares add up to more than 1000 thousandths: lower one")
	}
	return nil
}

// shape is a number of equal nodes.
type shape struct {
	nodes, devices int
	cores, gib     int64
	model          string
}

// openbShapes adds up to 1,213 nodes and to the GPUs of each model in the published trace. How they
// spread over nodes is ours where the paper does not say.
func openbShapes() []shape {
	return []shape{
		{549, 8, 96, 384, "G2"},
		{39, 8, 128, 768, "G3"},
		{421, 2, 96, 384, "T4"},
		{132, 2, 64, 256, "P100"},
		{1, 1, 64, 256, "P100"},
		{10, 8, 64, 512, "V100M16"},
		{27, 4, 64, 256, "V100M16"},
		{7, 1, 64, 256, "V100M16"},
		{25, 8, 96, 384, "V100M32"},
		{1, 4, 96, 384, "V100M32"},
		{1, 2, 128, 512, "A10"},
	}
}

// OpenbNodes is the number of nodes in the published trace.
const OpenbNodes = 1213

// OpenbFleet returns a fleet of n nodes in the proportions of the published trace.
func OpenbFleet(n int) ([]trace.Node, error) {
	if n < 1 || n > 1_000_000 {
		return nil, fmt.Errorf("a fleet of %d nodes: it must have from 1 to 1,000,000", n)
	}
	var each []shape
	for _, s := range openbShapes() {
		for range s.nodes {
			each = append(each, s)
		}
	}
	// Models stand mixed, because policies break ties by the order of nodes.
	order := newDice(0, 5).shuffled(n)
	nodes := make([]trace.Node, n)
	for i := range nodes {
		s := each[order[i]*len(each)/n]
		nodes[i] = trace.Node{
			Name: fmt.Sprintf("openb-%06d", i), CPUMilli: s.cores * 1000, MemoryMiB: s.gib * 1024,
			Devices: s.devices, Milli: trace.Whole, Model: s.model, Family: s.model,
		}
	}
	return nodes, nil
}

// OpenbPods returns a pod list of a mix.
func OpenbPods(m Mix, seed uint64) ([]trace.Pod, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	d := newDice(seed, 1)
	pods := make([]trace.Pod, m.Pods)
	for i := range pods {
		pods[i] = openbPod(d, m)
		pods[i].Name = fmt.Sprintf("pod-%06d", i)
	}
	return pods, nil
}

func openbPod(d *dice, m Mix) trace.Pod {
	var p trace.Pod
	switch at := d.below(1000); {
	case at < m.CPUOnlyPermille:
		p.CPUMilli = d.pick([]choice{{1000, 10}, {2000, 15}, {4000, 25}, {8000, 25}, {16000, 15}, {32000, 10}})
		p.MemoryMiB = p.CPUMilli * d.pick([]choice{{2, 40}, {4, 60}}) * 1024 / 1000
		return p
	case at < m.CPUOnlyPermille+m.FractionPermille:
		p.Devices, p.Milli = 1, d.pick([]choice{
			{100, 4}, {150, 2}, {200, 7}, {250, 7}, {300, 5}, {400, 8}, {440, 4}, {460, 10}, {500, 12},
			{600, 7}, {700, 7}, {750, 5}, {800, 9}, {850, 4}, {900, 7}, {950, 2},
		})
		// A share of the GPU comes with a like share of cores: 8, 10 or 12 to a GPU, in whole cores.
		p.CPUMilli = max(1000, p.Milli*d.pick([]choice{{8, 35}, {10, 35}, {12, 30}})/1000*1000)
	case at < m.CPUOnlyPermille+m.FractionPermille+m.MultiPermille:
		p.Devices, p.Milli = int(d.pick([]choice{{2, 22}, {4, 22}, {8, 56}})), trace.Whole
		p.CPUMilli = int64(p.Devices) * d.pick([]choice{{6000, 20}, {8000, 30}, {10000, 25}, {11000, 15}, {12000, 10}})
	default:
		p.Devices, p.Milli = 1, trace.Whole
		p.CPUMilli = d.pick([]choice{{4000, 8}, {6000, 8}, {8000, 24}, {10000, 12}, {12000, 26}, {16000, 14}, {24000, 6}, {32000, 2}})
	}
	p.MemoryMiB = p.CPUMilli * 4 * 1024 / 1000
	if d.chance(m.ConstrainedPermille) {
		p.Models = openbModels(d, p.Devices)
	}
	return p
}

// openbModels draws the models that a pod names, near to but not in proportion with what there is.
// Pods of several GPUs name models that have nodes of that size.
func openbModels(d *dice, devices int) []string {
	lists := [...]string{"G2", "T4", "P100", "V100M16|V100M32", "G3", "V100M32"}
	weights := []choice{{0, 60}, {1, 16}, {2, 6}, {3, 9}, {4, 6}, {5, 3}}
	if devices > 2 {
		weights = []choice{{0, 70}, {3, 15}, {4, 10}, {5, 5}}
	}
	return strings.Split(lists[d.pick(weights)], "|")
}
