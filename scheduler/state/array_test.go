package state

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/datadriven"

	"caravan/scheduler/model"
)

// The vocabulary of scenarios on arrays, actions, limits and exit codes.

// parseSet reads ordinals as in 3, 0-4 or 0-1+3.
func parseSet(s string) model.Set {
	var out model.Set
	for part := range strings.SplitSeq(s, "+") {
		lo, hi, isRange := strings.Cut(part, "-")
		if !isRange {
			hi = lo
		}
		out.AddRange(parse(lo), parse(hi)+1)
	}
	return out
}

func condition(word string) model.Condition {
	for c := model.OnSucceeded; c <= model.OnFailed; c++ {
		if c.String() == word {
			return c
		}
	}
	return 0
}

// parseArrayWord reads one word of a group; it reports false for one that it
// does not know.
func parseArrayWord(g *model.TaskGroup, key, value string) bool {
	switch key {
	case "array":
		first, last, _ := strings.Cut(value, "-")
		g.Indices.Ranges = []model.Range{{First: parse(first), Last: parse(last), Step: 1}}
	case "chunk":
		if g.Indices.Auto = value == "auto"; !g.Indices.Auto {
			g.Indices.Chunk = parse(value)
		}
	case "requeue", "fatal":
		for code := range strings.SplitSeq(value, "+") {
			if key == "requeue" {
				g.ExitCodes.Requeue = append(g.ExitCodes.Requeue, int32(parse(code)))
			} else {
				g.ExitCodes.Fatal = append(g.ExitCodes.Fatal, int32(parse(code)))
			}
		}
	case "backoff":
		g.RetryBackoff = model.Duration(parse(value)) * model.Second
	case "avoid":
		after, seconds, _ := strings.Cut(value, ":")
		g.AvoidAfter, g.AvoidFor = int32(parse(after)), model.Duration(parse(seconds))*model.Second
	case "max-memory":
		g.MaxMemoryMiB = parse(value)
	case "limit":
		name, count, _ := strings.Cut(value, ":")
		g.Limits = append(g.Limits, model.LimitUse{Name: name, Count: parse(count)})
	default:
		return false
	}
	return true
}

var actionWords = []string{
	ActRetry: "retry", ActEat: "eat", ActStop: "stop", ActPause: "pause", ActResume: "resume", ActFirst: "first", ActLast: "last",
	ActForward: "forward", ActReverse: "reverse", ActInterleave: "interleave", ActFirstMiddleLast: "first-middle-last",
	ActStagger: "stagger", ActPriority: "priority",
}

// act reads KIND job=J [group=G] [state=S]... [frames=10-40] [stride=N] [priority=N].
func (s *scenario) act(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	act := Action{Job: text(d, "job", ""), Group: text(d, "group", ""), Stride: int32(number(d, "stride", 0)), Priority: int32(number(d, "priority", 0))}
	for kind, word := range actionWords {
		if word == first(d) {
			act.Kind = ActionKind(kind)
		}
	}
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "state":
			for state := model.TaskBlocked; state <= model.TaskStopped; state++ {
				if state.String() == a.Vals[0] {
					act.States = append(act.States, state)
				}
			}
		case "frames":
			lo, hi, isRange := strings.Cut(a.Vals[0], "-")
			if !isRange {
				hi = lo
			}
			act.Indices = append(act.Indices, model.Range{First: parse(lo), Last: parse(hi), Step: 1})
		}
	}
	return t.Act(act)
}

// limit reads NAME COUNT [per=node|device], or NAME remove.
func (s *scenario) limit(t *Txn, d *datadriven.TestData) (Answer, *model.Error) {
	if d.HasArg("remove") {
		return t.RemoveLimit(first(d))
	}
	scope := model.PerCluster
	for _, l := range []model.LimitScope{model.PerNode, model.PerDevice} {
		if l.String() == text(d, "per", "") {
			scope = l
		}
	}
	return t.PutLimit(model.Limit{Name: first(d), Count: parse(d.CmdArgs[1].Key), Scope: scope})
}

// showMarks writes what there is beside the sets that add up.
func showMarks(s *model.GroupStatus) string {
	var b strings.Builder
	for _, m := range []struct {
		word string
		set  model.Set
	}{{"eaten", s.Eaten}, {"cancelled", s.Cancelled}, {"paused", s.Paused}, {"front", s.Front}, {"back", s.Back}} {
		if !m.set.Empty() {
			fmt.Fprintf(&b, " %s [%s]", m.word, m.set)
		}
	}
	if s.Joined != 0 {
		fmt.Fprintf(&b, " in %d allocations", s.Running())
	}
	if s.Order != 0 {
		fmt.Fprintf(&b, " %s %d", s.Order, s.Stride)
	}
	for _, d := range s.Delays {
		fmt.Fprintf(&b, " %s until %d ms", d.Tasks, d.Until)
	}
	if s.Pace != (model.Pace{}) {
		fmt.Fprintf(&b, " pace %+v", s.Pace)
	}
	for i, m := range s.Memory {
		fmt.Fprintf(&b, " memory of variant %d: %+v", i, m)
	}
	return b.String()
}
