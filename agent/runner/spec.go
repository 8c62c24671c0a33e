package runner

import (
	"path/filepath"
	"time"

	"caravan/agent/driver"
	"caravan/agent/outputs"
	"caravan/agent/shim"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// specOf translates an assignment for the drivers. dir is the allocation's directory.
// ${CARAVAN_...} is expanded in the command, verify command, outputs and work directory.
func specOf(a *pb.Assignment, dir string) driver.AllocSpec {
	described := description(a)
	workDir := expand(a.Group.GetWorkdir(), described)
	home := workDir
	if home == "" {
		home = filepath.Join(dir, shim.WorkDir)
	}
	spec := driver.AllocSpec{
		ID:      a.Allocation.Id,
		Dir:     dir,
		Argv:    expandAll(a.Variant.GetCommand(), described),
		Env:     environment(a, home, dir),
		WorkDir: workDir,
		Owner:   a.Owner,
		Resources: driver.Resources{
			CPUMilli:     a.Allocation.CpuMilli,
			MemoryBytes:  a.Allocation.MemoryMib << 20,
			ScratchBytes: a.Allocation.DiskMib << 20,
		},
		Isolation:    driver.Isolation(a.Group.GetIsolation()),
		AtMostOnce:   a.Group.GetGang() || a.Group.GetOnce() == "at_most",
		TimeLimitMs:  a.Group.GetTimeLimitMs(),
		NoOutputMs:   a.Group.GetNoOutputTimeoutMs(),
		MinRuntimeMs: a.Group.GetMinRuntimeMs(),
		GraceMs:      graceMs(a),
	}
	if v := a.Group.GetVerify(); len(v) > 0 {
		spec.Verify = &driver.Verify{Argv: expandAll(v, described)}
	}
	for _, o := range a.Group.GetOutputs() {
		spec.Outputs = append(spec.Outputs, driver.Output{Path: expand(o.Path, described), To: expand(o.To, described)})
	}
	if a.Variant.GetDriver() == model.DriverSim {
		spec.Sim = &driver.Sim{DurationMs: a.Variant.SimDurationMs, ExitCode: int(a.Variant.SimExitCode)}
	}
	if c := a.Variant.GetContainer(); c != nil {
		spec.Container = containerOf(a, c, described)
	}
	batch(a, &spec)
	return spec
}

// containerOf translates what a container asks for.
func containerOf(a *pb.Assignment, c *pb.Container, described map[string]string) *driver.Container {
	out := &driver.Container{Image: expand(c.Image, described), Pull: c.Pull, Entrypoint: expandAll(c.Entrypoint, described)}
	for _, name := range []string{"PATH", "LANG"} {
		_, inGroup := a.Group.GetEnv()[name]
		_, inVariant := a.Variant.GetEnv()[name]
		if !inGroup && !inVariant {
			out.Yield = append(out.Yield, name)
		}
	}
	for _, m := range c.Mounts {
		mount := driver.Mount{HostPath: expand(m.From, described), TaskPath: expand(m.To, described)}
		if !m.Write {
			mount.Options = []string{"ro"}
		}
		out.Mounts = append(out.Mounts, mount)
	}
	return out
}

// graceMs is the time between SIGTERM and SIGKILL.
func graceMs(a *pb.Assignment) int64 {
	if g := a.Group.GetKillGraceMs(); g > 0 {
		return g
	}
	return int64(model.DefaultKillGrace)
}

// grace is how long the task may take to end once it is asked to. After the lease it is no
// longer than the servers wait before they start the task elsewhere.
func (a *allocation) grace() time.Duration {
	grace := graceMs(a.assignment)
	if most := a.assignment.LeaseGraceMs; a.state.Fenced && most > 0 {
		grace = min(grace, most)
	}
	return time.Duration(grace) * time.Millisecond
}

// publishes reports whether any output has a destination.
func publishes(spec driver.AllocSpec) bool {
	for _, o := range spec.Outputs {
		if o.To != "" {
			return true
		}
	}
	return false
}

// publication is what to publish of a spec. Files leave a private work directory; one that
// the job named is the user's and keeps them.
func publication(spec driver.AllocSpec, roots []string) outputs.Request {
	workDir, private := spec.WorkDir, false
	if workDir == "" {
		workDir, private = filepath.Join(spec.Dir, shim.WorkDir), true
	}
	return outputs.Request{
		ID: spec.ID, WorkDir: workDir, Staging: filepath.Join(spec.Dir, shim.OutDir),
		Roots: roots, Move: private, Outputs: spec.Outputs,
	}
}

// resultOf translates a driver's exit. limits names what enforced the task's limits, used is what it is
// charged for its devices.
func resultOf(e driver.Exit, limits string, used []driver.DeviceUsage) Result {
	r := Result{
		State:     model.AllocationFailed,
		StartedAt: model.Time(e.StartedMs),
		EndedAt:   model.Time(e.EndedMs),
		Exit:      model.Exit{Code: int32(e.ExitCode), Signal: int32(e.Signal), Reason: string(e.Reason), Message: e.Detail},
		Usage:     model.Usage{CPUTime: model.Duration(e.UserMs + e.SystemMs), PeakMemoryBytes: e.PeakBytes, Limits: limits},
	}
	for _, u := range used {
		r.Usage.DeviceEnergyMJ += u.EnergyMJ
		r.Usage.PeakDeviceMemoryBytes += u.PeakMemoryBytes
	}
	if e.Success() {
		r.State = model.AllocationSucceeded
	}
	return r
}
