package generate

import (
	"fmt"

	"caravan/scheduler/sim/trace"
)

// Shares is a make-up that a given list is to have, in thousandths like those of a Mix; -1 stands for what
// the list has. What CPU-only, fractional and multi-GPU pods leave takes one whole GPU.
type Shares struct {
	CPUOnlyPermille, FractionPermille, MultiPermille, ConstrainedPermille int64
}

// The sorts of pod that shares speak of.
const (
	sortCPU = iota
	sortFraction
	sortMulti
	sortOne
	sorts
)

func sortOf(p *trace.Pod) int {
	switch {
	case p.Devices == 0:
		return sortCPU
	case p.Fraction():
		return sortFraction
	case p.Devices > 1:
		return sortMulti
	}
	return sortOne
}

// Mutate returns a list as long as the given one with other shares. When the sorts of pods change, pods are
// drawn anew from those of each sort in the list, with replacement; else it is the list itself. Pods that
// come to name a model name one of the nodes', in proportion to its devices, that has a node on which they
// fit; which pods do is drawn, and what the list says of models is forgotten.
func Mutate(nodes []trace.Node, pods []trace.Pod, s Shares, seed uint64) ([]trace.Pod, error) {
	d := newDice(seed, 6)
	out := append([]trace.Pod(nil), pods...)
	if s.CPUOnlyPermille >= 0 || s.FractionPermille >= 0 || s.MultiPermille >= 0 {
		if err := redraw(d, out, pods, s); err != nil {
			return nil, err
		}
	}
	if s.ConstrainedPermille < 0 {
		return out, nil
	}
	if s.ConstrainedPermille > 1000 {
		return nil, fmt.Errorf("a share of %d thousandths that name models: it must be from 0 to 1000", s.ConstrainedPermille)
	}
	for i := range out {
		p := &out[i]
		p.Models = nil
		if p.Devices == 0 || !d.chance(s.ConstrainedPermille) {
			continue
		}
		if name := modelFor(d, nodes, p); name != "" {
			p.Models = []string{name}
		}
	}
	return out, nil
}

// redraw fills a list with pods of the sorts that shares say.
func redraw(d *dice, out, pods []trace.Pod, s Shares) error {
	var of [sorts][]int
	for i := range pods {
		sort := sortOf(&pods[i])
		of[sort] = append(of[sort], i)
	}
	rest, weights := int64(1000), make([]choice, 0, sorts)
	for sort, share := range []int64{s.CPUOnlyPermille, s.FractionPermille, s.MultiPermille} {
		if share < 0 {
			share = int64(len(of[sort])) * 1000 / int64(len(pods))
		}
		rest -= share
		weights = append(weights, choice{int64(sort), share})
	}
	if rest < 0 {
		return fmt.Errorf("the shares add up to %d thousandths, more than 1000: lower one", 1000-rest)
	}
	weights = append(weights, choice{sortOne, rest})
	for _, w := range weights {
		if w.weight > 0 && len(of[w.value]) == 0 {
			return fmt.Errorf("the list has no %s pod to draw from", [...]string{"CPU-only", "fractional", "multi-GPU", "one-GPU"}[w.value])
		}
	}
	for i := range out {
		from := of[d.pick(weights)]
		out[i] = pods[from[d.below(int64(len(from)))]]
		out[i].Name = fmt.Sprintf("pod-%06d", i)
	}
	return nil
}

// modelFor draws a model in proportion to the devices of the nodes that could take the pod, "" if none could.
func modelFor(d *dice, nodes []trace.Node, p *trace.Pod) string {
	var weights []choice
	for i := range nodes {
		n := &nodes[i]
		if n.Devices >= p.Devices && n.Milli >= p.Milli && n.CPUMilli >= p.CPUMilli && n.MemoryMiB >= p.MemoryMiB {
			weights = append(weights, choice{int64(i), int64(n.Devices)})
		}
	}
	if len(weights) == 0 {
		return ""
	}
	return nodes[d.pick(weights)].Model
}
