package core

import (
	"fmt"
	"strings"

	"caravan/scheduler/model"
)

// heldBack says what holds back the tasks of a group that nothing blocks.
func (c *cycle) heldBack(s *model.GroupStatus) string {
	var parts []string
	if n := s.Waiting.Intersect(s.Paused).Len(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d paused", n))
	}
	if later := s.Waiting.Subtract(s.Paused).Intersect(s.Delayed(c.now)); !later.Empty() {
		parts = append(parts, fmt.Sprintf("%d to be tried again, the first in %d s", later.Len(), c.untilNext(s)))
	}
	return strings.Join(parts, ", ")
}

// untilNext returns the seconds until the first delay is over, rounded up.
func (c *cycle) untilNext(s *model.GroupStatus) int64 {
	for _, d := range s.Delays {
		if d.Until > c.now {
			return (int64(d.Until.Sub(c.now)) + int64(model.Second) - 1) / int64(model.Second)
		}
	}
	return 0
}

// notes tells what else a group's history makes of what it asks for.
func (c *cycle) notes(job *model.Job, g int) []string {
	var notes []string
	if avoided := job.Avoids(c.now); len(avoided) > 0 {
		notes = append(notes, "keeps away from "+strings.Join(avoided, ", ")+", where its tasks failed")
	}
	spec, s := &job.Spec.Groups[g], &job.Groups[g]
	for v := range spec.Variants {
		if asked, now := spec.Variants[v].Resources.MemoryMiB, s.MemoryMiB(spec, v); now != asked {
			notes = append(notes, fmt.Sprintf("variant %s gets %s of memory instead of %s, as learned", spec.Variants[v].Name, model.FormatMiB(now), model.FormatMiB(asked)))
		}
	}
	return notes
}
