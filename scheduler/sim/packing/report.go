package packing

import (
	"time"

	"caravan/scheduler/sim/fleet"
	"caravan/scheduler/sim/policy"
)

// Percent is a percentage in thousandths of a point: 95,250 is 95.25 %.
type Percent int64

// MarshalJSON writes a percentage as a decimal number of two digits.
func (p Percent) MarshalJSON() ([]byte, error) { return []byte(p.String()), nil }

// String returns the percentage with two decimals, rounded.
func (p Percent) String() string {
	sign := ""
	if p < 0 {
		sign, p = "-", -p
	}
	p += 5
	return sign + decimal(int64(p)/10, 100)
}

// Report is what a run measured. The names of its keys are fixed: others read them.
type Report struct {
	Policy string `json:"policy"`
	Mix    string `json:"mix"` // "learned", "known" or "none": what the policy knew of the workload
	Seed   uint64 `json:"seed"`
	// GPUAlloc is the share of all device capacity that is allocated when the requests that have
	// arrived add up to the fleet's capacity, or to the run's load where that is less.
	GPUAlloc Percent `json:"gpu_alloc_pct"`
	// GPUAllocEnd is the same at the end of the run.
	GPUAllocEnd Percent `json:"gpu_alloc_end_pct"`
	// Bound is what no policy can exceed at the moment of GPUAlloc, as Config says.
	Bound Percent `json:"bound_gpu_alloc_pct"`
	// Frag is FGD's fragmentation at the end, as a share of the idle devices.
	Frag Percent `json:"frag_pct"`
	// UnallocatedGPUs are the devices idle at the end, in thousandths.
	UnallocatedGPUs Milli `json:"unallocated_gpus"`
	Arrived         int   `json:"arrived"`
	Placed          int   `json:"placed"`
	Refused         int   `json:"refused"`
	// PowerWatts is an estimate of the draw at the end; see power.
	PowerWatts int64 `json:"power_watts"`
	// Decision is the CPU time of choosing and booking, per request that arrived.
	Decision Milli    `json:"us_per_placement"`
	Samples  []Sample `json:"samples"`
	Classes  []Class  `json:"classes"`
	Families []Family `json:"families"`

	decided time.Duration
}

// Milli is a number in thousandths, written as a decimal.
type Milli int64

// MarshalJSON writes the number with three decimals.
func (m Milli) MarshalJSON() ([]byte, error) { return []byte(m.String()), nil }

// String returns the number with three decimals.
func (m Milli) String() string { return decimal(int64(m), 1000) }

// Sample is the allocation at one load.
type Sample struct {
	Load     Milli   `json:"load"`
	GPUAlloc Percent `json:"gpu_alloc_pct"`
}

// Class counts requests of one sort.
type Class struct {
	Name    string `json:"name"`
	Arrived int    `json:"arrived"`
	Refused int    `json:"refused"`
}

// Family is what is taken of the nodes of one label at the end.
type Family struct {
	Name    string  `json:"name"`
	Nodes   int     `json:"nodes"`
	Devices Percent `json:"device_alloc_pct"`
	CPU     Percent `json:"cpu_alloc_pct"`
	Memory  Percent `json:"memory_alloc_pct"`
}

// The sorts of request that refusals are counted by.
var classNames = [...]string{"cpu", "fraction", "one", "several"}

func classOf(q *fleet.Request) int {
	switch {
	case q.Devices == 0:
		return 0
	case q.Fraction():
		return 1
	case q.Devices == 1:
		return 2
	}
	return 3
}

// sample notes the allocation at a load that was just reached.
func (r *run) sample(load int64) {
	s := Sample{Load: Milli(load), GPUAlloc: share(r.fleet.Allocated, r.fleet.Capacity)}
	r.report.Samples = append(r.report.Samples, s)
	if load <= 1000 {
		r.report.GPUAlloc = s.GPUAlloc
	}
	r.report.GPUAllocEnd = s.GPUAlloc
}

// finish measures what is left at the end.
func (r *run) finish(workload []policy.Weighted) {
	p := &r.report
	p.Policy, p.Seed, p.Mix, p.Bound = r.cfg.Policy, r.cfg.Seed, "none", r.cfg.Bound
	switch {
	case p.Policy == "fgd", p.Policy == "caravan" && r.cfg.MixKnown:
		p.Mix = "known"
	case p.Policy == "caravan":
		p.Mix = "learned"
	}
	frag := policy.NewFragmentation(workload)
	var sum int64
	for i := range r.fleet.Nodes {
		sum += frag.Node(&r.fleet.Nodes[i])
	}
	idle := r.fleet.Capacity - r.fleet.Allocated
	p.UnallocatedGPUs = Milli(idle)
	p.Frag = share(sum/frag.Weight(), idle)
	p.PowerWatts = power(r.fleet)
	if p.Arrived > 0 {
		p.Decision = Milli(p.decided.Nanoseconds() / int64(p.Arrived))
	}
	for i := range r.tally {
		r.tally[i].Name = classNames[i]
	}
	p.Classes = r.tally
	p.Families = families(r.fleet)
}

// families adds up what is taken, by label, in the order of first appearance.
func families(f *fleet.Fleet) []Family {
	type sums struct{ nodes, devices, capDevices, cpu, capCPU, memory, capMemory int64 }
	var names []string
	by := map[string]*sums{}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		s := by[n.Family]
		if s == nil {
			s = &sums{}
			by[n.Family] = s
			names = append(names, n.Family)
		}
		capDevices := n.CapDevice * int64(len(n.Free))
		s.nodes++
		s.devices, s.capDevices = s.devices+capDevices-n.Idle(), s.capDevices+capDevices
		s.cpu, s.capCPU = s.cpu+n.CapCPUMilli-n.CPUMilli, s.capCPU+n.CapCPUMilli
		s.memory, s.capMemory = s.memory+n.CapMemoryMiB-n.MemoryMiB, s.capMemory+n.CapMemoryMiB
	}
	out := make([]Family, 0, len(names))
	for _, name := range names {
		s := by[name]
		out = append(out, Family{
			Name: name, Nodes: int(s.nodes), Devices: share(s.devices, s.capDevices),
			CPU: share(s.cpu, s.capCPU), Memory: share(s.memory, s.capMemory),
		})
	}
	return out
}

// share returns part of whole as a percentage, 0 of nothing.
func share(part, whole int64) Percent {
	if whole == 0 {
		return 0
	}
	return Percent(part * 100_000 / whole)
}
