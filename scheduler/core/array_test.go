package core_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/core"
	"caravan/scheduler/model"
)

// The vocabulary of scenarios on arrays and limits, and their properties.

// parseArrayWord reads one word of a group; it reports false for one that it
// does not know.
func parseArrayWord(g *model.TaskGroup, key, value string) bool {
	switch key {
	case "order":
		g.Order = orderOf(value)
	case "limit":
		for part := range strings.SplitSeq(value, ",") {
			name, count, _ := strings.Cut(part, ":")
			g.Limits = append(g.Limits, model.LimitUse{Name: name, Count: number(count)})
		}
	case "max-memory":
		g.MaxMemoryMiB = mib(value)
	default:
		return false
	}
	return true
}

func orderOf(word string) model.Order {
	for o := model.OrderForward; o <= model.OrderFirstMiddleLast; o++ {
		if o.String() == word {
			return o
		}
	}
	panic("no such order: " + word)
}

// addLimit reads NAME COUNT [per=node|device].
func (w *world) addLimit(words []string) string {
	_, value := fields(words[2:])
	l := &model.Limit{Name: words[0], Count: number(words[1]), Scope: model.PerCluster}
	switch value["per"] {
	case "node":
		l.Scope = model.PerNode
	case "device":
		l.Scope = model.PerDevice
	}
	w.limits = slices.DeleteFunc(w.limits, func(o *model.Limit) bool { return o.Name == l.Name })
	w.limits = append(w.limits, l)
	return ""
}

// counted says what running allocations hold of each limit.
func (w *world) counted() []core.LimitView {
	var views []core.LimitView
	for _, l := range w.limits {
		v := core.LimitView{Limit: l}
		for _, a := range w.running {
			for _, u := range w.job(a.Job).Spec.Groups[a.Group].Limits {
				if u.Name == l.Name {
					v = hold(v, a.Node, a.Devices, u.Count)
				}
			}
		}
		views = append(views, v)
	}
	return views
}

// hold adds an allocation to what is held of a limit.
func hold(v core.LimitView, node string, devices []model.DeviceShare, n int64) core.LimitView {
	v.Used += n
	switch v.Limit.Scope {
	case model.PerNode:
		v.On = append(v.On, core.LimitHeld{Node: node, Count: n})
	case model.PerDevice:
		for _, d := range devices {
			v.On = append(v.On, core.LimitHeld{Node: node, Device: d.Device, Count: n})
		}
	}
	return v
}

// mark changes what a group's status holds beside its sets: JOB GROUP with
// paused=, front=, back= (tasks), order=, stride=, delay=TASKS@SECONDS, pace=,
// memory=, or avoid=NODE@SECONDS.
func (w *world) mark(words []string) string {
	j := w.job(words[0])
	s := &j.Groups[j.Spec.GroupIndex(words[1])]
	keys, value := fields(words[2:])
	for _, k := range keys {
		what, until, _ := strings.Cut(value[k], "@")
		var tasks model.Set
		if k == "paused" || k == "front" || k == "back" || k == "delay" {
			for _, r := range indices(what) {
				tasks.AddRange(r.First, r.Last+1)
			}
		}
		switch k {
		case "paused":
			s.Paused = tasks
		case "front":
			s.Front = tasks
		case "back":
			s.Back = tasks
		case "delay":
			s.Delays = append(s.Delays, model.Delay{Until: model.Time(number(until) * 1000), Tasks: tasks})
		case "order":
			s.Order = orderOf(what)
		case "stride":
			s.Stride = int32(number(what))
		case "pace":
			s.Pace.Size = number(what)
		case "memory":
			s.Memory = []model.LearnedMemory{{MiB: mib(what)}}
		case "avoid":
			j.NodeFailures = append(j.NodeFailures, model.NodeFailures{Node: what, AvoidUntil: model.Time(number(until) * 1000)})
		case "waits":
			j.Waits = append(j.Waits, model.JobDependency{Job: what})
		default:
			return "unknown mark " + k
		}
	}
	return ""
}

// drawLimits draws the operator's limits, partly held.
func drawLimits(t *rapid.T, in *core.Input) {
	for _, name := range []string{"io", "maya", "nvenc"} {
		l := &model.Limit{Name: name, Count: rapid.Int64Range(0, 5).Draw(t, "limit"), Scope: rapid.SampledFrom([]model.LimitScope{model.PerCluster, model.PerNode, model.PerDevice}).Draw(t, "scope")}
		v := core.LimitView{Limit: l}
		for _, n := range in.Nodes {
			if rapid.Bool().Draw(t, "held") {
				var on []model.DeviceShare
				for _, d := range n.Node.Devices {
					on = append(on, model.DeviceShare{Device: d.ID})
				}
				v = hold(v, n.Node.Name, on, rapid.Int64Range(1, 2).Draw(t, "count"))
			}
		}
		in.Counted = append(in.Counted, v)
	}
}

// TestLimitsAreNeverExceeded: with what was held before, and whatever a cycle
// decides, no limit is exceeded anywhere that the cycle placed something.
func TestLimitsAreNeverExceeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		plan, _ := core.Solve(in)
		for _, v := range in.Counted {
			type place struct{ node, device string }
			held := map[place]int64{}
			for _, h := range v.On {
				held[place{h.Node, h.Device}] += h.Count
			}
			all := v.Used
			for _, s := range plan.Sets {
				for _, u := range jobOf(in, s.Job).Spec.Groups[s.Group].Limits {
					if u.Name != v.Limit.Name {
						continue
					}
					for _, p := range s.Placements {
						all += u.Count
						where := []place{{node: p.Node}}
						if v.Limit.Scope == model.PerDevice {
							where = where[:0]
							for _, d := range p.Devices {
								where = append(where, place{p.Node, d.Device})
							}
						}
						for _, at := range where {
							if held[at] += u.Count; v.Limit.Scope != model.PerCluster && held[at] > v.Limit.Count {
								t.Fatalf("limit %s: %d are held on %v, of %d", u.Name, held[at], at, v.Limit.Count)
							}
						}
						if v.Limit.Scope == model.PerCluster && all > v.Limit.Count {
							t.Fatalf("limit %s: %d are held, of %d", u.Name, all, v.Limit.Count)
						}
					}
				}
			}
		}
	})
}
