package jobspec

import (
	"fmt"
	"slices"

	"caravan/api/caravanv1"
)

// defaultAvoidFor is how long a node is avoided when a job file does not say.
const defaultAvoidFor = 3600 * 1000

// attempts sets what a group says of the order and the ends of its attempts.
func (b *builder) attempts(g *caravanv1.TaskGroup, f fields, path string) {
	g.Order = orderOf(take(b, f, "order", path+".order", ""))
	if order := f.get("order"); g.GetGang() && g.GetOrder() != 0 {
		b.report(order.key, order.path, "a gang starts all its tasks at once, in no order", "remove order, or gang")
	}
	g.ExitCodes = b.exitCodes(f.get("exit_codes"), path+".exit_codes")
	g.RetryBackoffMs = take[int64](b, f, "retry_backoff", path+".retry_backoff_ms", 0)
	if avoid := f.get("avoid"); avoid != nil {
		at, _ := as[fields](avoid)
		b.put(path+".avoid_after", avoid)
		g.AvoidAfter = int32(take[int64](b, at, "after", path+".avoid_after", 0))
		g.AvoidForMs = take[int64](b, at, "for", path+".avoid_for_ms", defaultAvoidFor)
	}
	g.NoOutputTimeoutMs = take[int64](b, f, "no_output_timeout", path+".no_output_timeout_ms", 0)
	g.MinRuntimeMs = take[int64](b, f, "min_runtime", path+".min_runtime_ms", 0)
	if least := f.get("min_runtime"); g.GetTimeLimitMs() > 0 && g.GetMinRuntimeMs() >= g.GetTimeLimitMs() {
		b.report(least.at, least.path, "every task would be too fast or run into its time limit", "write less than time_limit")
	}
	g.MaxMemoryMib = take[int64](b, f, "max_memory", path+".max_memory_mib", 0)
	if limits := take[map[string]int64](b, f, "limits", path+".limits", nil); len(limits) > 0 {
		g.Limits = limits
	}
}

// learnable reports memory that is more than what may be learned.
func (b *builder) learnable(g *caravanv1.TaskGroup, f fields) {
	most := f.get("max_memory")
	for _, v := range g.GetVariants() {
		if m := v.GetResources().GetMemoryMib(); g.GetMaxMemoryMib() > 0 && m > g.GetMaxMemoryMib() {
			b.report(most.at, most.path, fmt.Sprintf("is less than the %s that a task asks for to begin with", formatSize(m)), "write more, or lower memory")
			return
		}
	}
}

func orderOf(word string) caravanv1.TaskOrder {
	switch word {
	case "reverse":
		return caravanv1.TaskOrder_TASK_ORDER_REVERSE
	case "interleave":
		return caravanv1.TaskOrder_TASK_ORDER_INTERLEAVE
	case "first-middle-last":
		return caravanv1.TaskOrder_TASK_ORDER_FIRST_MIDDLE_LAST
	}
	return caravanv1.TaskOrder_TASK_ORDER_UNSPECIFIED
}

func conditionOf(word string) caravanv1.DependencyCondition {
	switch word {
	case "ended":
		return caravanv1.DependencyCondition_DEPENDENCY_CONDITION_ENDED
	case "failed":
		return caravanv1.DependencyCondition_DEPENDENCY_CONDITION_FAILED
	}
	return caravanv1.DependencyCondition_DEPENDENCY_CONDITION_UNSPECIFIED
}

func (b *builder) exitCodes(v *value, path string) *caravanv1.ExitCodes {
	f, ok := as[fields](v)
	if !ok {
		return nil
	}
	b.put(path, v)
	codes := func(name string) []int32 {
		var out []int32
		list, _ := as[[]*value](f.get(name))
		for _, c := range list {
			if code, ok := as[int64](c); ok {
				out = append(out, int32(code))
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	e := &caravanv1.ExitCodes{Requeue: codes("requeue"), Fatal: codes("fatal")}
	for _, code := range e.GetFatal() {
		if slices.Contains(e.GetRequeue(), code) {
			fatal := f.get("fatal")
			b.report(fatal.at, fatal.path, fmt.Sprintf("code %d requeues too", code), "keep one of the two")
		}
	}
	if len(e.GetRequeue())+len(e.GetFatal()) == 0 {
		return nil
	}
	return e
}

// after reads the jobs that a job waits for.
func (b *builder) after(v *value) []*caravanv1.JobDependency {
	b.putKey("after", v)
	list, _ := as[[]*value](v)
	var deps []*caravanv1.JobDependency
	for _, c := range list {
		at := fmt.Sprintf("after[%d]", len(deps))
		dep, place := &caravanv1.JobDependency{}, c
		if f, ok := as[fields](c); ok {
			dep.Job = take(b, f, "job", at+".job", "")
			dep.Condition = conditionOf(take(b, f, "condition", at+".condition", ""))
			place = f.get("job")
		} else {
			dep.Job, _ = as[string](c)
		}
		if dep.GetJob() == "" {
			continue // reported already
		}
		b.put(at, place)
		if slices.ContainsFunc(deps, func(other *caravanv1.JobDependency) bool { return other.GetJob() == dep.GetJob() }) {
			b.report(place.at, place.path, fmt.Sprintf("waits for %s twice", quote(dep.GetJob())), "keep one")
		}
		deps = append(deps, dep)
	}
	return deps
}
