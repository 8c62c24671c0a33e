package leader

import (
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/core"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
	"caravan/scheduler/truth"
)

// store is a state that a test fills.
type store struct {
	t   testing.TB
	txn *state.Txn
}

func newStore(t testing.TB) *store {
	t.Helper()
	txn := state.NewStore().Begin()
	txn.Enter(1, 1000)
	return &store{t: t, txn: txn}
}

func (s *store) node(n *model.Node) {
	s.t.Helper()
	n.Address, n.BootID, n.MemoryMiB = "x:1", "b", 32<<10
	if _, err := s.txn.RegisterNode(n); err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) job(name string, labels map[string]string, g model.TaskGroup) {
	s.t.Helper()
	g.Name = "t"
	g.Variants = []model.Variant{{
		Name: "cpu", Driver: model.DriverExec, Command: []string{"true"}, SpeedPermille: 1000, Resources: model.Resources{CPUMilli: 1000},
	}}
	spec := &model.JobSpec{Name: name, Queue: model.DefaultQueue, Labels: labels, Groups: []model.TaskGroup{g}}
	if faults := model.Validate(spec); faults != nil {
		s.t.Fatal(faults)
	}
	if _, err := s.txn.SubmitJob(spec, "ann"); err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) place(job string, nodes ...string) {
	s.t.Helper()
	set := state.PlacementSet{Job: job}
	for i, n := range nodes {
		set.Placements = append(set.Placements, state.Placement{Ordinal: int64(i), Node: n})
	}
	if a, err := s.txn.ApplyPlan(state.Plan{Sets: []state.PlacementSet{set}}); err != nil || len(a.Dropped) > 0 {
		s.t.Fatal(err, a.Dropped)
	}
}

// TestRulesKnowWhoRunsWhere: of the groups that rules are about, and no others;
// a dry run asks with the rules of its own job.
func TestRulesKnowWhoRunsWhere(t *testing.T) {
	s := newStore(t)
	for _, name := range []string{"a", "b", "c"} {
		s.node(&model.Node{Name: name, CPUMilli: 8000})
	}
	s.job("db", map[string]string{"tier": "db"}, model.TaskGroup{Indices: model.Count(2)})
	s.job("other", nil, model.TaskGroup{Indices: model.Count(1)})
	s.place("db-1", "a", "b")
	s.place("other-2", "c")
	snap := s.txn.Commit().Snapshot
	l := New(Config{})
	if got := l.input(snap).Occupants; got != nil {
		t.Errorf("nobody has a rule, but %v are listed", got)
	}
	web := &model.JobSpec{Name: "web", Groups: []model.TaskGroup{{
		Name: "t", Indices: model.Count(2), Apart: []model.Apart{{Label: "tier", Over: model.DomainNode}},
		Variants: []model.Variant{{Name: "cpu", Driver: model.DriverExec, Command: []string{"true"}, Resources: model.Resources{CPUMilli: 1000}}},
	}}}
	got := l.input(snap, &model.Job{ID: core.DryRunJob, Spec: web}).Occupants
	var on []string
	for _, o := range got {
		on = append(on, o.Job.ID+" on "+o.Node)
	}
	if want := []string{"db-1 on a", "db-1 on b"}; !slices.Equal(on, want) {
		t.Errorf("listed are %v, want %v", on, want)
	}
	offers := l.DryRun(snap, web, "ann").Offers
	if len(offers) != 1 || offers[0].Node != "c" || offers[0].Tasks != 2 {
		t.Errorf("the dry run offers %v, want both tasks on c", offers)
	}
}

// TestADryRunEvaluatesExpressions, and the warnings do.
func TestADryRunEvaluatesExpressions(t *testing.T) {
	s := newStore(t)
	s.node(&model.Node{Name: "large", CPUMilli: 64_000})
	s.node(&model.Node{Name: "small", CPUMilli: 4000})
	snap := s.txn.Commit().Snapshot
	truths, err := truth.New()
	if err != nil {
		t.Fatal(err)
	}
	l := New(Config{Evaluate: truths.Fill, State: func() *state.Snapshot { return snap }})
	spec := func(text string) *model.JobSpec {
		return &model.JobSpec{Name: "x", Groups: []model.TaskGroup{{
			Name: "t", Indices: model.Count(1), Constraints: []model.Constraint{{Attribute: text, Operator: model.Where}},
			Variants: []model.Variant{{Name: "cpu", Driver: model.DriverExec, Command: []string{"true"}, Resources: model.Resources{CPUMilli: 1000}}},
		}}}
	}
	if offers := l.DryRun(snap, spec("node.cpu >= 32"), "ann").Offers; len(offers) != 1 || offers[0].Node != "large" {
		t.Errorf("offered are %v, want large", offers)
	}
	if offers := l.DryRun(snap, spec("node.cpu < 32"), "ann").Offers; len(offers) != 1 || offers[0].Node != "small" {
		t.Errorf("offered are %v, want small", offers)
	}
	if w := l.Warnings(spec("node.cpu >= 128")); len(w) != 1 {
		t.Errorf("warnings %v, want that it never fits", w)
	}
	if w := l.Warnings(spec("node.cpu < 128")); len(w) != 0 {
		t.Errorf("warnings %v", w)
	}
}

// TestTheOrderOfRegistrationMeansNothing for what is decided.
func TestTheOrderOfRegistrationMeansNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(rt, "nodes")
		var nodes []model.Node
		for i := range n {
			nodes = append(nodes, model.Node{
				Name: fmt.Sprintf("n%d", i), CPUMilli: rapid.SampledFrom([]int64{2000, 4000}).Draw(rt, "cores"),
				Zone: rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "zone"),
			})
		}
		group := model.TaskGroup{Indices: model.Count(rapid.Int64Range(1, 9).Draw(rt, "tasks")), Exclusive: rapid.Bool().Draw(rt, "exclusive")}
		if rapid.Bool().Draw(rt, "spread") {
			group.Spread = []model.Spread{{Over: model.DomainZone, MaxSkew: 1}}
		}
		if rapid.Bool().Draw(rt, "apart") {
			group.Apart = []model.Apart{{Over: model.DomainNode}}
		}
		decide := func(order []int) core.Plan {
			s := newStore(t)
			for _, i := range order {
				node := nodes[i]
				s.node(&node)
			}
			s.job("x", nil, group)
			plan, _ := core.Solve(New(Config{}).input(s.txn.Commit().Snapshot))
			return plan
		}
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		first := decide(order)
		rand.New(rand.NewSource(rapid.Int64().Draw(rt, "seed"))).Shuffle(n, func(i, k int) { order[i], order[k] = order[k], order[i] })
		if again := decide(order); !reflect.DeepEqual(first, again) {
			rt.Fatalf("registered in the order %v: %+v instead of %+v", order, again, first)
		}
	})
}
