package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"caravan/agent/driver"
	"caravan/agent/driver/sim"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
)

// counting is the sim driver whose starts take a second, and knows how many starts were under way at once.
type counting struct {
	*sim.Driver
	pass func(time.Duration)

	mu        sync.Mutex // guards what follows
	now, most int
	order     []string
}

func (c *counting) Start(ctx context.Context, spec driver.AllocSpec) (driver.Task, error) {
	c.mu.Lock()
	c.now++
	c.most = max(c.most, c.now)
	c.order = append(c.order, spec.ID)
	c.mu.Unlock()
	c.pass(time.Second)
	c.mu.Lock()
	c.now--
	c.mu.Unlock()
	return c.Driver.Start(ctx, spec)
}

// starts returns the order of starts and how many were under way at once.
func (c *counting) starts() (order []string, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order), c.most
}

// bench runs a runner in fake time.
type bench struct {
	*Runner
	pass   func(time.Duration) // lets the bubble's time pass
	driver *counting

	mu      sync.Mutex // guards reports
	reports map[string]pb.AllocationState
}

func inFakeTime(t *testing.T, cfg Config, test func(t *testing.T, b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		pass := func(d time.Duration) { time.Sleep(d) }
		b := &bench{pass: pass, driver: &counting{Driver: sim.New(), pass: pass}, reports: make(map[string]pb.AllocationState)}
		cfg.Dir, cfg.Logger = filepath.Join(t.TempDir(), "allocs"), hclog.NewNullLogger()
		cfg.Drivers = map[string]driver.Driver{"sim": b.driver}
		cfg.Report = func(r *pb.AllocationReport) {
			b.mu.Lock()
			b.reports[r.AllocationId] = r.State
			b.mu.Unlock()
			if r.State >= pb.AllocationState_ALLOCATION_STATE_SUCCEEDED {
				b.Acknowledged([]*pb.AllocationReport{r})
			}
		}
		var err error
		if b.Runner, err = New(cfg); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		test(t, b)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func pretend(n int, d time.Duration) *pb.Assignment {
	return &pb.Assignment{
		Allocation: &pb.Allocation{Id: fmt.Sprintf("job-1.g.%03d.1", n), State: pb.AllocationState_ALLOCATION_STATE_PLACED},
		Group:      &pb.TaskGroup{Name: "g"},
		Variant:    &pb.Variant{Driver: model.DriverSim, SimDurationMs: d.Milliseconds()},
	}
}

func list(n int, d time.Duration) *pb.AllocationUpdate {
	u := &pb.AllocationUpdate{Full: true}
	for i := range n {
		u.Assignments = append(u.Assignments, pretend(i, d))
	}
	return u
}

func TestStartsAreBoundedAndInOrder(t *testing.T) {
	inFakeTime(t, Config{Launches: 3}, func(t *testing.T, b *bench) {
		b.Lease(true)
		b.Update(t.Context(), list(12, 0))
		b.pass(time.Minute)
		order, most := b.driver.starts()
		if most != 3 || len(order) != 12 {
			t.Errorf("%d starts, %d at once", len(order), most)
		}
		// Three at a time, so the order is kept to within three.
		for i, id := range order {
			var n int
			if _, err := fmt.Sscanf(id, "job-1.g.%d.1", &n); err != nil || n/3 != i/3 {
				t.Errorf("start %d was of %s", i, id)
			}
		}
	})
}

func TestNothingStartsWithoutTheLease(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, b *bench) {
		b.Update(t.Context(), list(1, 0))
		b.pass(time.Minute)
		if order, _ := b.driver.starts(); len(order) != 0 {
			t.Fatal("it started")
		}
		b.Lease(true)
		b.pass(time.Minute)
		if order, _ := b.driver.starts(); len(order) != 1 {
			t.Error("it did not start with the lease")
		}
	})
}

func TestEndedAllocationsStayForTheirLogsUntilTheyAreTooMany(t *testing.T) {
	dir := t.TempDir()
	for i := range 5 {
		a := pretend(i, 0)
		d := filepath.Join(dir, a.Allocation.Id)
		if err := errors.Join(prepareDir(d, a), writeResult(d, Result{State: model.AllocationSucceeded}), markAcknowledged(d)); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Duration(10-i) * time.Hour)
		if err := os.Chtimes(filepath.Join(d, acknowledgedName), old, old); err != nil {
			t.Fatal(err)
		}
	}
	r, err := New(Config{
		Dir: dir, Drivers: map[string]driver.Driver{"sim": sim.New()}, Logger: hclog.NewNullLogger(),
		Report:    func(r *pb.AllocationReport) { t.Errorf("an acknowledged end was reported: %v", r) },
		Retention: Retention{Count: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	names := func() (out []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return out
	}
	for len(names()) > 2 && ctx.Err() == nil {
		runtime.Gosched()
	}
	if got := fmt.Sprint(names()); got != "[job-1.g.003.1 job-1.g.004.1]" {
		t.Errorf("left are %s", got)
	}
	for id, want := range map[string]bool{"job-1.g.000.1": false, "job-1.g.004.1": true} {
		if _, ok := r.Find(id); ok != want {
			t.Errorf("%s found: %v", id, ok)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWhatTheFullListDoesNotHoldIsStoppedAndAShortListStopsNothing(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, b *bench) {
		b.Lease(true)
		b.Update(t.Context(), list(2, time.Hour))
		b.pass(10 * time.Second)
		b.Update(t.Context(), &pb.AllocationUpdate{Assignments: []*pb.Assignment{pretend(7, time.Hour)}})
		b.pass(10 * time.Second)
		b.mu.Lock()
		for id, s := range b.reports {
			if s != pb.AllocationState_ALLOCATION_STATE_RUNNING {
				t.Errorf("%s is %v after a change that does not name it", id, s)
			}
		}
		b.mu.Unlock()
		b.Update(t.Context(), list(1, time.Hour))
		b.pass(10 * time.Second)
		b.mu.Lock()
		defer b.mu.Unlock()
		for id, want := range map[string]pb.AllocationState{
			"job-1.g.000.1": pb.AllocationState_ALLOCATION_STATE_RUNNING,
			"job-1.g.001.1": pb.AllocationState_ALLOCATION_STATE_STOPPED,
			"job-1.g.007.1": pb.AllocationState_ALLOCATION_STATE_STOPPED,
		} {
			if b.reports[id] != want {
				t.Errorf("%s is %v, want %v", id, b.reports[id], want)
			}
		}
	})
}
