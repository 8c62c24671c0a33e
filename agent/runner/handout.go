package runner

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"caravan/agent/cpus"
	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
)

// handoutName is the file in an allocation's directory that says what it was given.
const handoutName = "handout.json"

// handout is what an allocation was given: the file outlives the task, for those who ask later.
type handout struct {
	Limits []driver.Limit `json:"limits,omitempty"`
	Pin    cpus.Pin       `json:"pin,omitzero"`
	Notes  []string       `json:"notes,omitempty"`
	// Devices is what it was charged, set at its end.
	Devices []driver.DeviceUsage `json:"devices,omitempty"`
}

func readHandout(dir string) (h handout) {
	raw, err := os.ReadFile(filepath.Join(dir, handoutName))
	if err == nil {
		err = json.Unmarshal(raw, &h)
	}
	if err != nil {
		return handout{} // it was given nothing, or before there was such a file
	}
	return h
}

// keep writes the handout in one step.
func (r *Runner) keep(a *allocation, h handout) {
	raw, err := json.Marshal(h)
	name := filepath.Join(a.dir, handoutName)
	if err == nil {
		err = os.WriteFile(name+".new", raw, 0o600)
	}
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		r.cfg.Logger.Error("cannot keep what an allocation was given", "allocation", a.id, "error", err)
	}
}

// hostLimits are the bounds of what the host gives.
func (r *Runner) hostLimits(a *allocation, d driver.Driver, p cpus.Pin) []driver.Limit {
	can := d.Capabilities()
	cgroup := func(enforced bool) string {
		if enforced {
			return "cgroup"
		}
		return ""
	}
	limits := []driver.Limit{
		// A share, not a cap: the cores are the task's when it wants them, and others' when it does not.
		{Name: "cpu_milli", Value: strconv.FormatInt(a.assignment.Allocation.CpuMilli, 10), Enforced: can.Limits, By: cgroup(can.Limits)},
		{Name: "memory_mib", Value: strconv.FormatInt(a.assignment.Allocation.MemoryMib, 10), Enforced: can.Limits, By: cgroup(can.Limits)},
	}
	if len(a.assignment.Allocation.Devices) > 0 {
		limits = append(limits, driver.Limit{Name: "device_nodes", Value: "own", Enforced: can.Devices, By: cgroup(can.Devices)})
	}
	if p.CPUs != "" {
		limits = append(limits, driver.Limit{Name: "cpus", Value: p.Describe(), Enforced: true, By: cgroup(true)})
	}
	if p.MemoryNodes != "" {
		limits = append(limits, driver.Limit{Name: "memory_nodes", Value: p.MemoryNodes, Enforced: true, By: cgroup(true)})
	}
	slices.SortFunc(limits, driver.CompareLimits)
	return limits
}

// demandOf is what an allocation asks of processors and memory nodes.
func (r *Runner) demandOf(a *allocation) cpus.Demand {
	given := a.assignment.Allocation
	d := cpus.Demand{CPUMilli: given.CpuMilli, MemoryMiB: given.MemoryMib}
	if r.cfg.Devices != nil {
		d.Near = r.cfg.Devices.MemoryNodes(given.Devices)
	}
	return d
}

// Pinner is a task whose processors can be changed while it runs.
type Pinner interface {
	Pin(ctx context.Context, cpus, memoryNodes string) error
}

// Move binds a running allocation anew; unknown ones are left alone. It is what a book of processors
// calls.
func (r *Runner) Move(id string, p cpus.Pin) {
	r.mu.Lock()
	a, ok := r.allocs[id]
	var task driver.Task
	if ok {
		task = a.task
	}
	r.mu.Unlock()
	pinner, can := task.(Pinner)
	if !ok || !can {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), launchTimeout)
	defer cancel()
	if err := pinner.Pin(ctx, p.CPUs, p.MemoryNodes); err != nil {
		r.cfg.Logger.Warn("cannot move a task to other processors", "allocation", id, "processors", p.CPUs, "error", err)
		return
	}
	h := readHandout(a.dir)
	h.Pin = p
	for i := range h.Limits {
		if h.Limits[i].Name == "cpus" {
			h.Limits[i].Value = p.Describe()
		}
	}
	r.keep(a, h)
}

// imagesOf returns the images that an allocation's devices have to run, by device. Shares come in the
// order of the requests.
func imagesOf(as *pb.Assignment) map[string]string {
	var wanted map[string]string
	at := 0
	for _, req := range as.Variant.GetResources().GetDevices() {
		for range max(req.Count, 1) {
			if at < len(as.Allocation.Devices) && req.Image != "" {
				if wanted == nil {
					wanted = make(map[string]string)
				}
				wanted[as.Allocation.Devices[at].DeviceId] = req.Image
			}
			at++
		}
	}
	return wanted
}

// Usage tells what an allocation was given and uses, also after its end while its directory is kept.
func (r *Runner) Usage(id string) (*pb.TaskUsage, bool) {
	if !ValidID(id) {
		return nil, false
	}
	t, ok := r.Find(id)
	if !ok {
		return nil, false
	}
	h := readHandout(t.Dir)
	select {
	case <-t.Ended:
	default:
		if r.cfg.Devices != nil {
			h.Devices = r.cfg.Devices.Usage(id)
		}
	}
	out := &pb.TaskUsage{AllocationId: id, Notes: h.Notes}
	for _, l := range h.Limits {
		e := pb.Enforcement_ENFORCEMENT_ACCOUNTED
		if l.Enforced {
			e = pb.Enforcement_ENFORCEMENT_ENFORCED
		}
		out.Limits = append(out.Limits, &pb.UsageLimit{Name: l.Name, Value: l.Value, Enforcement: e, DeviceId: l.Device, By: l.By})
	}
	for _, d := range h.Devices {
		out.Devices = append(out.Devices, &pb.DeviceUsage{
			DeviceId: d.Device, Thousandths: d.Thousandths, Values: d.Values, SampledMs: d.SampledMs,
			EnergyMj: d.EnergyMJ, PeakMemoryBytes: d.PeakMemoryBytes,
		})
	}
	return out, true
}

// charge closes an allocation's accounts, before its devices are given back.
func (r *Runner) charge(a *allocation) []driver.DeviceUsage {
	if r.cfg.Devices == nil || len(a.assignment.Allocation.Devices) == 0 {
		return nil
	}
	used := r.cfg.Devices.Usage(a.id)
	h := readHandout(a.dir)
	h.Devices = used
	r.keep(a, h)
	return used
}
