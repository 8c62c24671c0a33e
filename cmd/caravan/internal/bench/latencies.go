package bench

import (
	"math"
	"slices"
	"time"
)

// latencies are times with how many tasks had each.
type latencies struct {
	of    []weighted
	count int64
}

type weighted struct {
	time  time.Duration
	tasks int64
}

func (l *latencies) add(d time.Duration, tasks int64) {
	l.of = append(l.of, weighted{d, tasks})
	l.count += tasks
}

// quantile returns the least time that at least the share q of the tasks kept
// to (the nearest rank); 0 when there are none.
func (l *latencies) quantile(q float64) time.Duration {
	sorted := slices.Clone(l.of)
	slices.SortFunc(sorted, func(a, b weighted) int { return int(a.time - b.time) })
	rank := int64(math.Ceil(q * float64(l.count)))
	for _, w := range sorted {
		if rank -= w.tasks; rank <= 0 {
			return w.time
		}
	}
	return 0
}
