package jobspec

import (
	"fmt"

	"caravan/api/caravanv1"
)

// driverFor is the driver of a way to run a task that names none.
func driverFor(f fields) string {
	if f.get("image") != nil {
		return containerDriver
	}
	return defaultDriver
}

// driver checks that the driver has what it needs.
func (b *builder) driver(variant *caravanv1.Variant, v *value, f fields, path string) {
	sim, driver := f.get("sim"), f.get("driver")
	isSim, isContainer := variant.GetDriver() == "sim", variant.GetDriver() == containerDriver
	switch {
	case driver != nil && driver.bad:
	case isSim && sim == nil:
		b.report(driver.at, driver.path, "the sim driver wants to know how long a task takes", "add sim: {duration: 30s}")
	case !isSim && sim != nil:
		b.report(sim.key, sim.path, "stands without the sim driver", "add driver: sim, or remove it")
	case isContainer && f.get("image") == nil:
		b.report(driver.at, driver.path, "the container driver wants an image", "add image: docker.io/library/debian:12")
	case !isSim && !isContainer && f.get("run") == nil && f.get("command") == nil:
		b.report(v.start(), v.path, "there is nothing to run", "add run: with shell text, or command: [program, argument]")
	}
	if simulated, ok := as[fields](sim); ok {
		b.put(path+".sim_duration_ms", sim)
		variant.SimDurationMs = take[int64](b, simulated, "duration", path+".sim_duration_ms", 0)
		variant.SimExitCode = int32(take[int64](b, simulated, "exit_code", path+".sim_exit_code", 0))
	}
	if driver == nil || !driver.bad {
		b.container(variant, f, path)
	}
}

// container builds what a variant says of its container.
func (b *builder) container(variant *caravanv1.Variant, f fields, path string) {
	if variant.GetDriver() != containerDriver {
		for _, name := range []string{"image", "entrypoint", "pull", "mounts"} {
			if v := f.get(name); v != nil {
				b.report(v.key, v.path, "stands without the container driver", "add image: and leave out driver:, or remove it")
			}
		}
		return
	}
	path += ".container"
	b.putKey(path, f.get("image"))
	c := &caravanv1.Container{
		Image:      take(b, f, "image", path+".image", ""),
		Entrypoint: take[[]string](b, f, "entrypoint", path+".entrypoint", nil),
		Pull:       take(b, f, "pull", path+".pull", ""),
	}
	if c.GetPull() == defaultPull {
		c.Pull = ""
	}
	mounts := f.get("mounts")
	b.putKey(path+".mounts", mounts)
	list, _ := as[[]*value](mounts)
	for i, m := range list {
		at := fmt.Sprintf("%s.mounts[%d]", path, i)
		b.put(at, m)
		own, _ := as[fields](m)
		from := take(b, own, "from", at+".from", "")
		c.Mounts = append(c.Mounts, &caravanv1.ContainerMount{
			From: from, To: take(b, own, "to", at+".to", from), Write: take(b, own, "write", at+".write", false),
		})
	}
	variant.Container = c
}
