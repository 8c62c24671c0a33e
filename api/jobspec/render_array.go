package jobspec

import (
	"fmt"
	"strconv"
	"strings"

	"caravan/api/caravanv1"
)

// attempts writes what a group says of the order and the ends of its attempts.
func (w *writer) attempts(g *caravanv1.TaskGroup) {
	if order := g.GetOrder(); order > caravanv1.TaskOrder_TASK_ORDER_FORWARD {
		w.text("order", [...]string{"", "", "reverse", "interleave", "first-middle-last"}[order])
	}
	if e := g.GetExitCodes(); len(e.GetRequeue())+len(e.GetFatal()) > 0 {
		w.nest("exit_codes", func(w *writer) {
			w.codes("requeue", e.GetRequeue())
			w.codes("fatal", e.GetFatal())
		})
	}
	w.duration("retry_backoff", g.GetRetryBackoffMs(), 0)
	if g.GetAvoidAfter() > 0 {
		w.nest("avoid", func(w *writer) {
			w.number("after", int64(g.GetAvoidAfter()), 0)
			w.duration("for", g.GetAvoidForMs(), defaultAvoidFor)
		})
	}
	w.duration("no_output_timeout", g.GetNoOutputTimeoutMs(), 0)
	w.duration("min_runtime", g.GetMinRuntimeMs(), 0)
	if most := g.GetMaxMemoryMib(); most > 0 {
		w.plain("max_memory", formatSize(most))
	}
	if len(g.GetLimits()) > 0 {
		w.nest("limits", func(w *writer) {
			for _, name := range sortedKeys(g.GetLimits()) {
				w.plain(name, strconv.FormatInt(g.GetLimits()[name], 10))
			}
		})
	}
}

func (w *writer) codes(name string, codes []int32) {
	if len(codes) > 0 {
		w.plain(name, strings.ReplaceAll(fmt.Sprint(codes), " ", ", "))
	}
}

// waits writes which other jobs a job waits for.
func (w *writer) waits(spec *caravanv1.JobSpec) {
	w.list("after", len(spec.GetAfter()), func(w *writer, i int) {
		dep := spec.GetAfter()[i]
		if dep.GetCondition() <= caravanv1.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED {
			w.scalar(dep.GetJob())
			return
		}
		w.text("job", dep.GetJob())
		w.met(dep.GetCondition())
	})
	w.flag("singleton", spec.GetSingleton())
}

// met writes the condition of a dependency, unless it is to have succeeded.
func (w *writer) met(c caravanv1.DependencyCondition) {
	switch c {
	case caravanv1.DependencyCondition_DEPENDENCY_CONDITION_ENDED:
		w.text("condition", "ended")
	case caravanv1.DependencyCondition_DEPENDENCY_CONDITION_FAILED:
		w.text("condition", "failed")
	}
}
