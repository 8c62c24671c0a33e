package generate

import (
	"fmt"
	"strings"

	"caravan/scheduler/family"
	"caravan/scheduler/sim/trace"
)

// FamilyFleet returns the machines of a fleet line such as "gn4=100,ga1=50,c4=20", as
// family.Catalogue.ParseFleet reads it. Local disks and network are not part of the packing model.
func FamilyFleet(c *family.Catalogue, line string) ([]trace.Node, error) {
	counts, err := c.ParseFleet(line)
	if err != nil {
		return nil, err
	}
	var nodes []trace.Node
	for _, count := range counts {
		t := count.Type
		n := trace.Node{CPUMilli: t.VCPU * 1000, MemoryMiB: t.MemMiB, Milli: trace.Whole, Family: t.Family}
		if len(t.Devices) > 1 {
			return nil, fmt.Errorf("%s has more than one kind of device, which the packing model does not know", t.Name)
		}
		if len(t.Devices) == 1 {
			n.Model = t.Devices[0].Part.Name
			n.Devices, n.Milli = int(t.Devices[0].Thousandths/trace.Whole), trace.Whole
			if n.Devices == 0 {
				n.Devices, n.Milli = 1, t.Devices[0].Thousandths
			}
		}
		for i := range count.Nodes {
			n.Name = fmt.Sprintf("%s-%06d", strings.TrimPrefix(t.Name, "ecs."), i)
			nodes = append(nodes, n)
		}
	}
	return nodes, nil
}

// use is one sort of work in a family mix.
type use struct {
	weight  func(f stock) int64
	request func(d *dice, f stock) trace.Pod
}

// stock is what a fleet has, so that a mix asks for what is there.
type stock struct {
	parts   map[string]family.Part // parts on nodes of the fleet
	milli   map[string]int64       // thousandths of each in all
	anyGPU  []string               // GPU models of the fleet, in the order of first appearance
	cpuOnly int64                  // cores on nodes without devices
}

// FamilyPods returns n requests for a fleet of catalogue machines: training on whole GPUs,
// rendering on slices of a card, transcoding and inference by device memory, prediction on regions or
// whole boards of an FPGA, genomics on FPGAs and on CPUs. Sorts of work whose devices the fleet lacks
// are left out.
//
// An FPGA region stands for a slot whose image is already loaded: loading images takes time, not
// room, and is no part of packing.
func FamilyPods(c *family.Catalogue, nodes []trace.Node, n int, seed uint64) ([]trace.Pod, error) {
	if n < 1 || n > 1_000_000 {
		return nil, fmt.Errorf("a mix of %d pods: it must have from 1 to 1,000,000", n)
	}
	f, err := take(c, nodes)
	if err != nil {
		return nil, err
	}
	uses := []use{
		{weight: func(f stock) int64 { return f.gpus() / 4 }, request: training},
		{weight: func(f stock) int64 { return f.milli["S7150"] }, request: rendering},
		{weight: func(f stock) int64 { return f.milli["M40"] + f.milli["P4"] + f.milli["T4"] }, request: transcoding},
		{weight: stock.fpgas, request: prediction},
		{weight: func(f stock) int64 { return f.cpuOnly*50 + f.fpgas()/2 }, request: genomics},
	}
	weights := make([]choice, 0, len(uses))
	var sum int64
	for i, u := range uses {
		w := u.weight(f)
		weights = append(weights, choice{int64(i), w})
		sum += w
	}
	if sum == 0 {
		return nil, fmt.Errorf("the fleet has neither devices nor CPU hosts that this mix could use")
	}
	d := newDice(seed, 2)
	pods := make([]trace.Pod, n)
	for i := range pods {
		pods[i] = uses[d.pick(weights)].request(d, f)
		pods[i].Name = fmt.Sprintf("pod-%06d", i)
	}
	return pods, nil
}

func take(c *family.Catalogue, nodes []trace.Node) (stock, error) {
	f := stock{parts: map[string]family.Part{}, milli: map[string]int64{}}
	for _, n := range nodes {
		if n.Devices == 0 {
			f.cpuOnly += n.CPUMilli / 1000
			continue
		}
		if _, known := f.parts[n.Model]; !known {
			part, err := c.Part(n.Model)
			if err != nil {
				return f, err
			}
			f.parts[n.Model] = part
			if part.Kind == family.GPU {
				f.anyGPU = append(f.anyGPU, n.Model)
			}
		}
		f.milli[n.Model] += int64(n.Devices) * n.Milli
	}
	return f, nil
}

func (f stock) gpus() int64 {
	var sum int64
	for _, m := range f.anyGPU {
		sum += f.milli[m]
	}
	return sum
}

func (f stock) fpgas() int64 { return f.milli["A10GX1150"] + f.milli["VU9P"] }

// some returns those of the models that the fleet has, drawn one in proportion to its amount.
func (f stock) some(d *dice, models ...string) string {
	weights := make([]choice, 0, len(models))
	for i, m := range models {
		weights = append(weights, choice{int64(i), f.milli[m]})
	}
	return models[d.pick(weights)]
}

// training takes whole GPUs; half of it runs on any model.
func training(d *dice, f stock) trace.Pod {
	p := trace.Pod{Devices: int(d.pick([]choice{{1, 60}, {2, 28}, {4, 10}, {8, 2}})), Milli: trace.Whole, Models: f.anyGPU}
	if p.Devices == 1 && d.chance(500) {
		p.Models = []string{f.some(d, f.anyGPU...)}
	}
	p.CPUMilli = int64(p.Devices) * d.pick([]choice{{4000, 40}, {8000, 40}, {12000, 20}})
	p.MemoryMiB = p.CPUMilli * 2048 / 1000
	return p
}

// rendering takes slices of an S7150, or whole ones for long frames.
func rendering(d *dice, _ stock) trace.Pod {
	p := trace.Pod{Devices: 1, Milli: d.pick([]choice{{250, 45}, {500, 30}, {1000, 25}}), Models: []string{"S7150"}}
	p.CPUMilli = max(1000, p.Milli*d.pick([]choice{{8, 50}, {12, 30}, {16, 20}}))
	p.MemoryMiB = p.CPUMilli * 2560 / 1000
	return p
}

// transcoding and inference hold device memory; the share of the device is that of its memory.
func transcoding(d *dice, f stock) trace.Pod {
	model := f.some(d, "M40", "P4", "T4")
	gib := d.pick([]choice{{1, 20}, {2, 30}, {3, 20}, {4, 20}, {6, 10}})
	p := trace.Pod{Devices: 1, Milli: trace.Whole, Models: []string{model}}
	if mem := f.parts[model].MemMiB; mem > gib*1024 {
		p.Milli = (gib*1024*trace.Whole + mem - 1) / mem
	}
	p.CPUMilli = d.pick([]choice{{1000, 20}, {2000, 40}, {4000, 30}, {8000, 10}})
	p.MemoryMiB = p.CPUMilli * 2048 / 1000
	return p
}

// prediction takes a region of an FPGA whose image is loaded, or a whole board.
func prediction(d *dice, f stock) trace.Pod {
	p := trace.Pod{
		Devices: 1, Milli: d.pick([]choice{{250, 40}, {500, 25}, {1000, 35}}),
		Models: []string{f.some(d, "A10GX1150", "VU9P")},
	}
	p.CPUMilli = d.pick([]choice{{2000, 40}, {4000, 40}, {8000, 20}})
	p.MemoryMiB = p.CPUMilli * 4096 / 1000
	return p
}

// genomics aligns on a whole FPGA board or on many cores.
func genomics(d *dice, f stock) trace.Pod {
	if f.fpgas() > 0 && d.chance(250) {
		p := trace.Pod{Devices: 1, Milli: trace.Whole, Models: []string{f.some(d, "A10GX1150", "VU9P")}}
		p.CPUMilli = d.pick([]choice{{8000, 60}, {16000, 40}})
		p.MemoryMiB = p.CPUMilli * 4096 / 1000
		return p
	}
	p := trace.Pod{CPUMilli: d.pick([]choice{{1000, 20}, {2000, 30}, {4000, 30}, {8000, 20}})}
	p.MemoryMiB = p.CPUMilli * 2048 / 1000
	return p
}
