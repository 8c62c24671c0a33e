package demand

import (
	"fmt"
	"testing"

	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

func class(cores int64) *request.Class {
	r := model.Resources{CPUMilli: cores * 1000, Devices: []model.DeviceRequest{{Kind: model.KindGPU}}}
	return request.New(&model.TaskGroup{}, &model.Variant{Resources: r})
}

func weight(list []Weighted, c *request.Class) int64 {
	for _, w := range list {
		if w.Class.Key == c.Key {
			return w.Weight
		}
	}
	return 0
}

// The values of states are taken anew only when the mix has moved, the prices
// more often.
func TestTheMixIsTakenWhenItHasMoved(t *testing.T) {
	var l Learner
	var taken []int64
	arrive := func(n int, c *request.Class) {
		for range n {
			before := l.Mix().Values
			if l.Arrived(c, 1); !Same(before, l.Mix().Values) {
				taken = append(taken, l.seen)
			}
		}
	}
	arrive(learnFirst-1, class(1))
	if m := l.Mix(); !m.Empty() {
		t.Fatal("a mix was taken before enough was seen")
	}
	arrive(3500, class(1))
	if len(taken) != 1 || taken[0] != learnFirst {
		t.Fatalf("an unchanging mix was taken at %v, want once at %d", taken, learnFirst)
	}
	revision := l.Revision()
	arrive(300, class(2))
	if l.Revision() == revision || weight(l.Mix().Prices, class(2)) == 0 {
		t.Fatal("prices know nothing of 300 arrivals of another class")
	}
	arrive(8000, class(2))
	if len(taken) < 2 {
		t.Fatal("the mix turned to another class and was not taken anew")
	}
	if m := l.Mix().Values; weight(m, class(2)) <= weight(m, class(1)) {
		t.Fatalf("after 8300 of class 2 and 4000 of class 1 the weights are %d and %d", weight(m, class(2)), weight(m, class(1)))
	}
}

func TestOldWorkFades(t *testing.T) {
	var l Learner
	l.Arrived(class(1), 1000)
	for range 12 {
		l.Arrived(class(2), learnFade)
	}
	m := l.Mix().Prices
	if old, recent := weight(m, class(1)), weight(m, class(2)); old > recent/1000 {
		t.Fatalf("what came long ago weighs %d, beside %d", old, recent)
	}
}

// A job counts once, by its tasks up to a bound, shared among its variants.
func TestJobsCountOnceByTheirTasks(t *testing.T) {
	job := func(number uint64, tasks int64, cores ...int64) *model.Job {
		g := model.TaskGroup{Indices: model.Count(tasks)}
		for _, n := range cores {
			g.Variants = append(g.Variants, model.Variant{Name: fmt.Sprint(n), Resources: model.Resources{CPUMilli: n * 1000, Devices: []model.DeviceRequest{{Kind: model.KindGPU}}}})
		}
		return &model.Job{ID: fmt.Sprint(number), Number: number, Spec: &model.JobSpec{Groups: []model.TaskGroup{g}}}
	}
	var l Learner
	jobs := []*model.Job{job(3, 1_000_000, 1), job(7, 200, 2, 3)}
	l.Observe(jobs)
	l.Observe(append(jobs, job(8, 50, 4)))
	want := map[int64]int64{1: learnGroup, 2: 100, 3: 100, 4: 50}
	for cores, n := range want {
		if got := weight(l.list(), class(cores)); got != n*learnUnit {
			t.Errorf("class %d counts %d, want %d", cores, got/learnUnit, n)
		}
	}
}

func TestTheClassesRememberedAreBounded(t *testing.T) {
	var l Learner
	for i := range int64(2 * learnClasses) {
		l.Arrived(class(i), 1)
	}
	if len(l.classes) > learnClasses || len(l.at) != len(l.classes) {
		t.Fatalf("%d classes are remembered, and %d found again", len(l.classes), len(l.at))
	}
}
