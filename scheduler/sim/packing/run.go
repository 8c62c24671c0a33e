package packing

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"caravan/scheduler/sim/fleet"
	"caravan/scheduler/sim/policy"
	"caravan/scheduler/sim/trace"
)

// Config is one run.
type Config struct {
	Nodes []trace.Node
	Pods  []trace.Pod
	// Policy is one of policy.Names.
	Policy string
	Seed   uint64
	// LoadPermille ends the run: devices requested per 1000 of the fleet's, 1 to MaxLoadPermille.
	LoadPermille int64
	// MixKnown tells the caravan policy the true mix, as FGD is told.
	MixKnown bool
	// Potential tunes the caravan policy.
	Potential policy.Tuning
	// Bound goes into the report: what Bound says of the same lists, seed and load.
	Bound Percent
	// CPUTime returns the CPU time that the calling thread has used. Nil leaves decision time 0.
	CPUTime func() time.Duration
}

// MaxLoadPermille bounds the load of a run.
const MaxLoadPermille = 10_000

// maxArrivals bounds a run whose pods ask for next to nothing.
const maxArrivals = 10_000_000

// samples are the loads that reports compare at, in thousandths; the load of the run is one more.
func samples(end int64) []int64 {
	var at []int64
	for _, s := range []int64{900, 1000, 1300} {
		if s < end {
			at = append(at, s)
		}
	}
	return append(at, end)
}

// run is the state of one run.
type run struct {
	cfg      Config
	fleet    *fleet.Fleet
	requests []fleet.Request
	policy   policy.Policy
	arrivals arrivals
	report   Report
	arrived  int64 // thousandths of devices requested
	tally    []Class
}

// Run offers requests until the load is reached.
func Run(cfg Config) (*Report, error) {
	f, requests, err := fleet.New(cfg.Nodes, cfg.Pods)
	if err != nil {
		return nil, err
	}
	if err := cfg.check(requests); err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, fleet: f, requests: requests}
	workload := Workload(requests)
	r.policy, err = policy.New(cfg.Policy, policy.Config{
		Fleet: f, Workload: workload, Seed: cfg.Seed, MixKnown: cfg.MixKnown, Potential: cfg.Potential,
	})
	if err != nil {
		return nil, err
	}
	r.arrivals = newArrivals(len(requests), cfg.Seed)
	r.tally = make([]Class, len(classNames))
	if err := r.offer(); err != nil {
		return nil, err
	}
	r.finish(workload)
	return &r.report, nil
}

// check says what is wrong with a configuration.
func (c *Config) check(requests []fleet.Request) error {
	if c.LoadPermille < 1 || c.LoadPermille > MaxLoadPermille {
		return fmt.Errorf("load %d: it must be from 1 to %d thousandths of the fleet", c.LoadPermille, MaxLoadPermille)
	}
	for i := range requests {
		if requests[i].Demand() > 0 {
			return nil
		}
	}
	return errors.New("no pod asks for a device: load is measured in devices")
}

// offer lets requests arrive, sample by sample.
func (r *run) offer() error {
	for _, load := range samples(r.cfg.LoadPermille) {
		target := r.fleet.LoadTarget(load)
		began := r.clock()
		for r.arrived < target {
			if r.report.Arrived == maxArrivals {
				return fmt.Errorf("%d requests arrived and load is still below %d thousandths: pods ask for too little of this fleet", maxArrivals, load)
			}
			if err := r.one(&r.requests[r.arrivals.next()]); err != nil {
				return err
			}
		}
		r.report.decided += r.clock() - began
		r.sample(load)
	}
	return nil
}

// one offers one request.
func (r *run) one(q *fleet.Request) error {
	r.report.Arrived++
	r.arrived += q.Demand()
	t := &r.tally[classOf(q)]
	t.Arrived++
	at, ok := r.policy.Choose(q)
	if !ok {
		t.Refused++
		r.report.Refused++
		return nil
	}
	if err := r.fleet.Take(q, at); err != nil {
		return fmt.Errorf("policy %s chose wrongly: %w", r.cfg.Policy, err)
	}
	r.policy.Placed(q, at)
	r.report.Placed++
	return nil
}

func (r *run) clock() time.Duration {
	if r.cfg.CPUTime == nil {
		return 0
	}
	return r.cfg.CPUTime()
}

// Workload counts the requests of each class.
func Workload(requests []fleet.Request) []policy.Weighted {
	var out []policy.Weighted
	for _, q := range requests {
		if q.Class == len(out) {
			out = append(out, policy.Weighted{Request: q})
		}
		out[q.Class].Weight++
	}
	return out
}

// arrivals is the order of arrival: a shuffle of the list, then draws with replacement.
type arrivals struct {
	source *rand.PCG
	order  []int32
	taken  int
}

func newArrivals(n int, seed uint64) arrivals {
	a := arrivals{source: rand.NewPCG(seed, 4), order: make([]int32, n)}
	for i := range a.order {
		a.order[i] = int32(i)
	}
	for i := n - 1; i > 0; i-- {
		j := a.source.Uint64() % uint64(i+1)
		a.order[i], a.order[j] = a.order[j], a.order[i]
	}
	return a
}

func (a *arrivals) next() int {
	if a.taken < len(a.order) {
		a.taken++
		return int(a.order[a.taken-1])
	}
	return int(a.source.Uint64() % uint64(len(a.order)))
}
