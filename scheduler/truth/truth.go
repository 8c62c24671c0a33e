// Package truth evaluates the expressions of jobs on nodes and their devices, and
// checks them at submission. It stands at the edge of the scheduler: the core
// gets nodes with a table of what is true of them, and neither it nor the state
// machine knows the language.
//
// Nodes that are alike but for their names are evaluated once, and what was
// found is kept until a node registers anew; a node whose truths are unchanged
// is the same value from call to call, which the caches of the core rely on.
// The leader and the server call it.
package truth

import (
	"errors"
	"fmt"
	"sync"

	"caravan/api/where"
	"caravan/scheduler/model"
)

// MaxKept is how many expressions are remembered; beyond it those that no job
// asks about any more are forgotten.
const MaxKept = 256

// Evaluator is safe for concurrent use.
type Evaluator struct {
	checker *where.Checker

	mu sync.Mutex
	// texts are the expressions that are remembered; nil for one that is faulty,
	// which holds nowhere.
	texts [2]map[string]*where.Expression
	// round counts the changes of texts; nodes and shapes belong to one.
	round  uint64
	named  bool
	nodes  map[string]seen
	shapes [2]map[string]map[string]bool
	key    []byte
}

// seen is a node as it came and as it was given out in a round.
type seen struct {
	from, to *model.Node
	round    uint64
}

// New returns an evaluator; the error means that this program is broken.
func New() (*Evaluator, error) {
	checker, err := where.New()
	if err != nil {
		return nil, err
	}
	e := &Evaluator{checker: checker, nodes: map[string]seen{}}
	for s := range e.texts {
		e.texts[s] = map[string]*where.Expression{}
	}
	e.forget()
	return e, nil
}

// Fill returns the nodes with what the jobs' expressions say of them in their
// Truths. A node is a copy where anything is to be said, and else the node
// itself; the argument is left as it is.
func (e *Evaluator) Fill(nodes []*model.Node, jobs []*model.Job) []*model.Node {
	wanted := asked(jobs)
	if len(wanted[where.OnNode])+len(wanted[where.OnDevice]) == 0 {
		return nodes
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.learn(wanted)
	if len(e.nodes) > 2*len(nodes)+64 {
		clear(e.nodes)
	}
	out := make([]*model.Node, len(nodes))
	for i, n := range nodes {
		s := e.nodes[n.Name]
		if s.from != n || s.round != e.round {
			s = seen{from: n, to: e.fill(n), round: e.round}
			e.nodes[n.Name] = s
		}
		out[i] = s.to
	}
	return out
}

// asked collects the expressions of jobs.
func asked(jobs []*model.Job) (wanted [2]map[string]bool) {
	add := func(s where.Subject, list []model.Constraint) {
		for i := range list {
			if list[i].Operator != model.Where {
				continue
			}
			if wanted[s] == nil {
				wanted[s] = map[string]bool{}
			}
			wanted[s][list[i].Attribute] = true
		}
	}
	for _, j := range jobs {
		for g := range j.Spec.Groups {
			group := &j.Spec.Groups[g]
			add(where.OnNode, group.Constraints)
			for v := range group.Variants {
				add(where.OnNode, group.Variants[v].Constraints)
				for d := range group.Variants[v].Resources.Devices {
					add(where.OnDevice, group.Variants[v].Resources.Devices[d].Constraints)
				}
			}
		}
	}
	return wanted
}

// learn compiles what is new, and forgets what nobody wants when there is too much.
func (e *Evaluator) learn(wanted [2]map[string]bool) {
	changed := false
	for s := range wanted {
		have := e.texts[s]
		if len(have) > MaxKept {
			for text := range have {
				if !wanted[s][text] {
					delete(have, text)
					changed = true
				}
			}
		}
		for text := range wanted[s] {
			if _, ok := have[text]; ok {
				continue
			}
			x, err := e.checker.Compile(where.Subject(s), text) //nolint:gosec // one of two
			if err != nil {
				x = nil
			}
			have[text], changed = x, true
		}
	}
	if !changed {
		return
	}
	e.round++
	e.forget()
	e.named = false
	for _, x := range e.texts[where.OnNode] {
		e.named = e.named || x != nil && x.Named
	}
}

func (e *Evaluator) forget() {
	for s := range e.shapes {
		e.shapes[s] = map[string]map[string]bool{}
	}
}

// Check returns the faults of a spec's expressions, at their paths.
func (e *Evaluator) Check(spec *model.JobSpec) []model.FieldError {
	var faults []model.FieldError
	check := func(s where.Subject, path string, list []model.Constraint) {
		for i := range list {
			if list[i].Operator != model.Where {
				continue
			}
			_, err := e.checker.Compile(s, list[i].Attribute)
			if f, ok := errors.AsType[*where.Fault](err); ok {
				faults = append(faults, model.FieldError{Path: fmt.Sprintf("%s[%d]", path, i), Message: f.Message, Hint: f.Hint})
			}
		}
	}
	for g := range spec.Groups {
		path := fmt.Sprintf("groups[%d]", g)
		check(where.OnNode, path+".constraints", spec.Groups[g].Constraints)
		for v := range spec.Groups[g].Variants {
			at, variant := fmt.Sprintf("%s.variants[%d]", path, v), &spec.Groups[g].Variants[v]
			check(where.OnNode, at+".constraints", variant.Constraints)
			for d := range variant.Resources.Devices {
				check(where.OnDevice, fmt.Sprintf("%s.resources.devices[%d].constraints", at, d), variant.Resources.Devices[d].Constraints)
			}
		}
	}
	return faults
}
