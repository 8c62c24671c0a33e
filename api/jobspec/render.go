package jobspec

import (
	"slices"
	"strconv"
	"strings"

	"caravan/api/caravanv1"
)

// Render writes a job as a job file in one canonical form: fields in the order
// of the reference, defaults left out, a single group named main at the top.
// For a spec that Parse could have made, Parse(Render(spec)) gives it back; in
// any other valid spec it fills in the defaults and sorts the conditions.
//
// Two conditions with the same operator on the same attribute have no form in a
// file; Parse refuses what Render writes for them.
func Render(spec *caravanv1.JobSpec) []byte {
	top := &writer{}
	top.text("name", spec.GetName())
	if queue := spec.GetQueue(); queue != defaultQueue {
		top.text("queue", queue)
	}
	top.number("priority", int64(spec.GetPriority()), 0)
	top.texts("labels", spec.GetLabels())
	top.waits(spec)
	top.text("sync", spec.GetWorkspace().GetPath())
	if groups := spec.GetGroups(); len(groups) == 1 && groups[0].GetName() == defaultGroup {
		top.group(groups[0])
		return top.bytes()
	}
	top.nest("groups", func(w *writer) {
		for _, g := range spec.GetGroups() {
			w.nest(g.GetName(), func(w *writer) { w.group(g) })
		}
	})
	return top.bytes()
}

func (w *writer) group(g *caravanv1.TaskGroup) {
	variants := g.GetVariants()
	if short := len(variants) == 1 && isShort(variants[0]); short {
		w.way(variants[0])
	} else {
		w.nest("variants", func(w *writer) {
			for _, v := range variants {
				w.nest(v.GetName(), func(w *writer) { w.variant(v) })
			}
		})
	}
	if len(g.GetMatrix()) > 0 {
		w.matrix(g.GetMatrix())
	} else {
		w.indices(g.GetIndices())
	}
	if g.GetAutoChunk() {
		w.plain("chunk", "auto")
	} else {
		w.number("chunk", int64(g.GetChunk()), defaultArrayChunk)
	}
	w.number("max_running", int64(g.GetMaxRunning()), 0)
	w.gang(g)
	w.dependencies(g.GetDependsOn())
	w.constraints("constraints", g.GetConstraints())
	w.where(g.GetConstraints())
	w.flag("exclusive", g.GetExclusive())
	w.spread(g.GetSpread())
	w.apart(g.GetApartFrom())
	w.texts("env", g.GetEnv())
	w.outputs(g.GetOutputs())
	w.command("verify", "verify", g.GetVerify())
	w.duration("time_limit", g.GetTimeLimitMs(), 0)
	w.number("retries", int64(g.GetRetries()), 0)
	if grace := g.GetKillGraceMs(); grace != 0 {
		w.duration("kill_grace", grace, defaultKillGrace)
	}
	w.text("workdir", g.GetWorkdir())
	if once := g.GetOnce(); once != "" && (once == "at_most") != g.GetGang() {
		w.text("once", once)
	}
	w.text("isolation", g.GetIsolation())
	w.flag("same_variant", g.GetSameVariant())
	w.attempts(g)
}

// isShort says whether a group's only variant can be written as the group's own
// fields.
func isShort(v *caravanv1.Variant) bool {
	return v.GetName() == defaultVariant && len(v.GetEnv()) == 0 && len(v.GetConstraints()) == 0 &&
		(v.GetSpeedPermille() == 0 || v.GetSpeedPermille() == defaultSpeed)
}

func (w *writer) variant(v *caravanv1.Variant) {
	w.way(v)
	if speed := v.GetSpeedPermille(); speed != 0 && speed != defaultSpeed {
		w.plain("speed", formatMilli(int64(speed)))
	}
	w.constraints("constraints", v.GetConstraints())
	w.where(v.GetConstraints())
	w.texts("env", v.GetEnv())
}

func (w *writer) way(v *caravanv1.Variant) {
	w.command("run", "command", v.GetCommand())
	if driver := v.GetDriver(); driver != defaultDriver && driver != containerDriver {
		w.text("driver", driver)
	}
	w.container(v.GetContainer())
	if v.GetDriver() == "sim" {
		w.nest("sim", func(w *writer) {
			w.plain("duration", formatDuration(v.GetSimDurationMs()))
			w.number("exit_code", int64(v.GetSimExitCode()), 0)
		})
	}
	w.resources(v.GetResources())
	w.duration("setup", v.GetSetupMs(), 0)
}

// container writes an image, which implies the driver, and what belongs to it.
func (w *writer) container(c *caravanv1.Container) {
	w.text("image", c.GetImage())
	if len(c.GetEntrypoint()) > 0 {
		w.flow("entrypoint", c.GetEntrypoint())
	}
	if pull := c.GetPull(); pull != defaultPull {
		w.text("pull", pull)
	}
	w.list("mounts", len(c.GetMounts()), func(w *writer, i int) {
		m := c.GetMounts()[i]
		w.text("from", m.GetFrom())
		if m.GetTo() != m.GetFrom() {
			w.text("to", m.GetTo())
		}
		w.flag("write", m.GetWrite())
	})
}

func (w *writer) resources(r *caravanv1.Resources) {
	w.nest("resources", func(w *writer) {
		if cpu := r.GetCpuMilli(); cpu != 0 && cpu != defaultCPUMilli {
			w.plain("cpu", formatMilli(cpu))
		}
		if memory := r.GetMemoryMib(); memory != 0 && memory != defaultMemoryMiB {
			w.plain("memory", formatSize(memory))
		}
		if disk := r.GetDiskMib(); disk != 0 {
			w.plain("disk", formatSize(disk))
		}
		w.list("devices", len(r.GetDevices()), func(w *writer, i int) { w.device(r.GetDevices()[i]) })
	})
}

func (w *writer) device(d *caravanv1.DeviceRequest) {
	switch thousandths := d.GetThousandths(); {
	case thousandths == 0 || thousandths == wholeDevice:
		w.plain(d.GetKind(), strconv.Itoa(max(1, int(d.GetCount()))))
	default:
		w.plain(d.GetKind(), formatMilli(int64(thousandths)))
	}
	if memory := d.GetMemoryMib(); memory != 0 {
		w.plain("memory", formatSize(memory))
	}
	short := deviceConditions()
	if d.GetMemoryMib() != 0 || slices.ContainsFunc(d.GetConstraints(), func(c *caravanv1.Constraint) bool {
		return c.GetAttribute() == "memory" && !isComparison(c)
	}) {
		short = short[1:] // memory: is taken, or would be read as a size that is held
	}
	isShort := func(c *caravanv1.Constraint) bool {
		return slices.Contains(short, c.GetAttribute()) || isWay(c) && d.GetThousandths() < wholeDevice
	}
	var rest []*caravanv1.Constraint
	for _, attribute := range conditionsByAttribute(plainConditions(d.GetConstraints())) {
		if isShort(attribute[0]) {
			w.condition(attribute)
		} else {
			rest = append(rest, attribute...)
		}
	}
	w.constraints("constraints", rest)
	w.where(d.GetConstraints())
	w.text("image", d.GetImage())
	w.number("encoder_sessions", int64(d.GetEncoderSessions()), 0)
	if encode := d.GetEncodeMilli(); encode != 0 {
		w.plain("encode", formatMilli(int64(encode)))
	}
	if decode := d.GetDecodeMilli(); decode != 0 {
		w.plain("decode", formatMilli(int64(decode)))
	}
}

// isWay says whether a condition is what the field sharing is short for.
func isWay(c *caravanv1.Constraint) bool {
	return c.GetAttribute() == sharing && c.GetOperator() == caravanv1.Operator_OPERATOR_IN && len(c.GetValues()) == 1 &&
		c.GetValues()[0].GetText() != exclusively && slices.Contains(ways(), c.GetValues()[0].GetText())
}

// isComparison says whether a condition is written with a sign.
func isComparison(c *caravanv1.Constraint) bool {
	return signOf(c.GetOperator()) != ""
}

func (w *writer) indices(ranges []*caravanv1.IndexRange) {
	switch {
	case len(ranges) == 0:
	case len(ranges) == 1 && ranges[0].GetFirst() == 0 && ranges[0].GetStep() == 1:
		w.number("count", ranges[0].GetLast()+1, 1)
	default:
		w.plain("array", formatArray(ranges))
	}
}

func (w *writer) dependencies(deps []*caravanv1.Dependency) {
	w.list("depends_on", len(deps), func(w *writer, i int) {
		if !deps[i].GetEach() && deps[i].GetCondition() <= caravanv1.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED {
			w.scalar(deps[i].GetGroup())
			return
		}
		w.text("group", deps[i].GetGroup())
		w.flag("each", deps[i].GetEach())
		w.met(deps[i].GetCondition())
	})
}

func (w *writer) outputs(outputs []*caravanv1.Output) {
	w.list("outputs", len(outputs), func(w *writer, i int) {
		w.text("path", outputs[i].GetPath())
		w.text("to", outputs[i].GetTo())
	})
}

// command writes a command as shell text when it is one, and as a list if not.
func (w *writer) command(shellName, listName string, command []string) {
	if len(command) == 3 && slices.Equal(command[:2], shellArgv("")[:2]) && strings.TrimSpace(command[2]) != "" {
		w.text(shellName, command[2])
		return
	}
	if len(command) > 0 {
		w.flow(listName, command)
	}
}
