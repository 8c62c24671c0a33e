package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"caravan/agent/cpus"
	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/wire"
)

// Config describes a runner.
type Config struct {
	// Dir holds the allocations' directories; it is made if need be. Absolute.
	Dir string
	// Drivers are the ways to run a task, by their names in job files.
	Drivers map[string]driver.Driver
	// Report takes reports for the servers. It must not block, and may see the same
	// allocation many times.
	Report func(*pb.AllocationReport)
	// Workspaces puts the directories that are sent along with jobs in place; nil: allocations
	// that have one fail to start.
	Workspaces Workspaces
	// Devices hands devices out; nil: allocations with devices start without being given any.
	Devices Devices
	// Steps opens the doors for steps of batch scripts; nil: such scripts fail to start.
	Steps Steps
	// Program is this program, which batch scripts call under Slurm's names. ServerList is what
	// it then finds as CARAVAN_SERVER.
	Program    string
	ServerList string
	// CPUs binds tasks to processors and memory nodes; nil: they run anywhere.
	CPUs *cpus.Book
	// OpenDevices may be opened by every task, beside its own and the standard ones.
	OpenDevices []driver.DeviceNode
	// Limits names what enforces limits where a driver says that it does: "v1" or "v2".
	Limits string
	// OutputRoots are the directories below which outputs may be published; empty allows
	// any that the agent may write to.
	OutputRoots []string
	// OutputsToDirOwner gives published files to the owner of their directory rather than to
	// the task's user.
	OutputsToDirOwner bool
	// Launches and Publications bound how many are under way at once, so that a burst of
	// starts does not take the host from what runs; 0 means 8 and 2.
	Launches, Publications int
	// Retention says how long the directories of ended allocations stay.
	Retention Retention
	// LeaseHeld reads the clock to tell whether the node may publish at this very moment; nil
	// means always.
	LeaseHeld func() bool
	// LeaseWait is how long what was adopted may run before the first lease, as if an earlier
	// agent had just renewed it; 0 means 15 s, the servers' usual lease.
	LeaseWait time.Duration
	// Ready, if set, is called once everything on disk is adopted.
	Ready  func()
	Logger hclog.Logger
}

// Devices hands devices to allocations.
type Devices interface {
	// Prepare has devices run the images that are wanted, by device. It fails with a *driver.Fault where
	// the task is not to blame.
	Prepare(ctx context.Context, shares []*pb.DeviceShare, images map[string]string) error
	// MemoryNodes returns the memory nodes that devices are attached to.
	MemoryNodes(shares []*pb.DeviceShare) []int
	// Usage returns what an allocation is charged for the devices that it holds.
	Usage(allocation string) []driver.DeviceUsage
	// Reserve gives an allocation of a tenant its devices, if it has any, and returns what comes with them;
	// repeated it gives the same answer. It fails with a *driver.Fault where the job is not to blame.
	Reserve(ctx context.Context, allocation, tenant string, shares []*pb.DeviceShare) (driver.Grant, error)
	// Adopt notes what an allocation holds that an earlier agent started. It must not block.
	Adopt(allocation, tenant string, shares []*pb.DeviceShare)
	// Prolog is called before a task is started, with its variables. It fails with a *driver.Fault.
	Prolog(ctx context.Context, allocation string, env []string) error
	// Finish is called when no process of a task is left. For a task that has failed it returns what
	// explains that, nil for nothing but the task itself.
	Finish(ctx context.Context, allocation string, env []string, failed bool) *driver.Fault
	// Release takes back what an allocation holds, if it holds anything.
	Release(allocation string)
}

// Workspaces puts the directory that was sent along with a job in place.
type Workspaces interface {
	// Place makes dir anew with a copy in it.
	Place(ctx context.Context, digest, dir string) error
}

// Times of the executor.
const (
	// workspaceTimeout bounds how long it may take to fetch and unpack a working directory.
	workspaceTimeout = 10 * time.Minute
	// launchTimeout bounds one call of a driver's Start.
	launchTimeout = time.Minute
	// prepareTimeout bounds the loading of images before that: several regions, two tries each; or
	// tens of gigabytes from a registry.
	prepareTimeout = 30 * time.Minute
	// discardTimeout bounds the dropping of what was prepared.
	discardTimeout = time.Minute
	// retryMin and retryMax bound the pauses before a failed stop or wait is tried again.
	retryMin, retryMax = 200 * time.Millisecond, 10 * time.Second
	// sweepInterval is how often old directories are looked for.
	sweepInterval = time.Minute
)

// Runner runs the node's allocations. Run owns all of it; the exported methods may be called
// from any goroutine.
type Runner struct {
	cfg     Config
	inbox   *inbox
	workers sync.WaitGroup
	ctx     context.Context // of Run; used by effects
	slots   struct{ launching, publishing int }
	publish []*allocation // waiting for a publication slot, oldest first
	waiting []*allocation // not begun, oldest first
	lease   bool
	// sweeping is set while old directories are looked for.
	sweeping bool

	mu     sync.Mutex // guards allocs and the shared fields of each allocation
	allocs map[string]*allocation
}

// allocation is one in memory. All fields belong to Run's goroutine, except that mu guards
// task.
type allocation struct {
	id         string
	dir        string
	assignment *pb.Assignment
	state      State
	spec       driver.AllocSpec
	task       driver.Task
	ended      chan struct{} // closed at the end of the task
}

// New checks the configuration and makes the directory.
func New(cfg Config) (*Runner, error) {
	switch {
	case !filepath.IsAbs(cfg.Dir):
		return nil, fmt.Errorf("runner: directory %q must be absolute", cfg.Dir)
	case len(cfg.Drivers) == 0:
		return nil, errors.New("runner: no drivers: nothing could be run")
	case cfg.Report == nil || cfg.Logger == nil:
		return nil, errors.New("runner: Report and Logger must be set")
	}
	if cfg.Launches <= 0 {
		cfg.Launches = 8
	}
	if cfg.Publications <= 0 {
		cfg.Publications = 2
	}
	if cfg.LeaseWait <= 0 {
		cfg.LeaseWait = 15 * time.Second
	}
	cfg.Retention.setDefaults()
	if err := os.MkdirAll(cfg.Dir, 0o711); err != nil {
		return nil, fmt.Errorf("directory for allocations: %w", err)
	}
	return &Runner{cfg: cfg, inbox: newInbox(), allocs: make(map[string]*allocation)}, nil
}

// Run adopts what is on disk and serves until ctx ends. Tasks live on; Run returns when all
// of its goroutines have.
func (r *Runner) Run(ctx context.Context) error {
	r.ctx = ctx
	defer r.workers.Wait()
	if err := r.adopt(); err != nil {
		return err
	}
	if r.cfg.Ready != nil {
		r.cfg.Ready()
	}
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	r.sweep()
	patience := time.NewTimer(r.cfg.LeaseWait)
	defer patience.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-patience.C:
			if !r.lease {
				r.applyAll(LeaseChanged{Held: false})
			}
		case <-sweep.C:
			r.sweep()
		case <-r.inbox.wake:
			for _, f := range r.inbox.take() {
				f()
			}
			r.fillSlots()
		}
	}
}

// Update takes a list of allocations from the servers. It returns when the list has been
// taken in, or ctx has ended.
func (r *Runner) Update(ctx context.Context, u *pb.AllocationUpdate) {
	done := make(chan struct{})
	r.inbox.put(func() {
		defer close(done)
		r.update(u)
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Lease tells that the node's lease began or ended.
func (r *Runner) Lease(held bool) {
	r.inbox.put(func() {
		r.lease = held
		if !held {
			r.cfg.Logger.Warn("the lease ended: nothing is started or published, and what must not run twice is stopped, until the servers answer again")
		}
		r.applyAll(LeaseChanged{Held: held})
	})
}

// Registered tells that the node is registered anew: only the next full list counts.
func (r *Runner) Registered() { r.inbox.put(func() { r.applyAll(Registered{}) }) }

// Acknowledged tells that the servers know these reports.
func (r *Runner) Acknowledged(reports []*pb.AllocationReport) {
	r.inbox.put(func() {
		for _, rep := range reports {
			if a, ok := r.allocs[rep.AllocationId]; ok && rep.State >= pb.AllocationState_ALLOCATION_STATE_SUCCEEDED {
				r.apply(a, Acknowledged{})
			}
		}
	})
}

// Evict ends an allocation because of a fault of its host or a device: its task is tried again, at
// no charge.
func (r *Runner) Evict(allocation string, fault *driver.Fault) {
	r.inbox.put(func() {
		if a, ok := r.allocs[allocation]; ok {
			r.apply(a, Evicted{Fault: *fault})
		}
	})
}

// Task is an allocation as others see it.
type Task struct {
	// Dir is the allocation's directory; it may not exist yet.
	Dir string
	// Task is nil unless a driver has begun it.
	Task driver.Task
	// Ended is closed when no process of the task is left, and so nothing more is logged.
	Ended <-chan struct{}
}

// Find returns an allocation that has not ended or whose directory is still kept.
func (r *Runner) Find(id string) (Task, bool) {
	if !ValidID(id) {
		return Task{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, ok := r.allocs[id]; ok {
		return Task{Dir: a.dir, Task: a.task, Ended: a.ended}, true
	}
	dir := filepath.Join(r.cfg.Dir, id)
	if st, err := os.Lstat(dir); err != nil || !st.IsDir() {
		return Task{}, false
	}
	return Task{Dir: dir, Ended: closed()}, true
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// update applies a list from the servers.
func (r *Runner) update(u *pb.AllocationUpdate) {
	listed := make(map[string]bool, len(u.Assignments))
	for _, as := range u.Assignments {
		id := as.GetAllocation().GetId()
		if !ValidID(id) {
			r.cfg.Logger.Error("the servers sent an allocation with an unusable id, ignoring it", "id", id)
			continue
		}
		a, known := r.allocs[id]
		if as.Allocation.State >= pb.AllocationState_ALLOCATION_STATE_SUCCEEDED {
			// A change that tells of an end: mostly our own report come back, else a loss.
			if known {
				r.apply(a, Unassigned{})
			}
			continue
		}
		listed[id] = true
		if !known {
			a = r.meet(id, as)
		}
		r.apply(a, Assigned{StopRequested: as.Allocation.StopRequested})
	}
	if !u.Full {
		return
	}
	for id, a := range r.allocs {
		if !listed[id] {
			r.apply(a, Unassigned{})
		}
	}
}

// meet takes an allocation into memory: a new one, or one that ended earlier and that a
// server which lags behind still lists.
func (r *Runner) meet(id string, as *pb.Assignment) *allocation {
	a := r.add(id, as)
	rec, err := readRecord(a.dir)
	switch {
	case err != nil:
		r.cfg.Logger.Error("cannot read what is known of an allocation", "allocation", id, "error", err)
	case rec.result != nil:
		a.state.Phase, a.state.Result = Ended, *rec.result
		close(a.ended)
		return a
	}
	r.waiting = append(r.waiting, a)
	return a
}

// add makes an allocation's entry.
func (r *Runner) add(id string, as *pb.Assignment) *allocation {
	dir := filepath.Join(r.cfg.Dir, id)
	spec := specOf(as, dir)
	a := &allocation{
		id: id, dir: dir, assignment: as, spec: spec, ended: make(chan struct{}),
		state: State{Lease: r.lease, AtMostOnce: spec.AtMostOnce, Publishes: publishes(spec)},
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allocs[id] = a
	return a
}

func (r *Runner) applyAll(e Event) {
	for _, a := range r.allocs {
		r.apply(a, e)
	}
}

// apply moves an allocation on and carries out what follows.
func (r *Runner) apply(a *allocation, e Event) {
	before := a.state.Phase
	var effects []Effect
	a.state, effects = Apply(a.state, e)
	if a.state.Phase != before {
		r.cfg.Logger.Debug("allocation moves", "allocation", a.id, "from", before, "to", a.state.Phase)
	}
	for _, effect := range effects {
		r.perform(a, effect)
	}
}

// report makes the report of an allocation's present state.
func (a *allocation) report() *pb.AllocationReport {
	rep := &pb.AllocationReport{AllocationId: a.id, State: pb.AllocationState_ALLOCATION_STATE_RUNNING, StartedMs: int64(a.state.StartedAt)}
	if a.state.Phase >= Ended {
		res := a.state.Result
		rep.State = pb.AllocationState(res.State)
		rep.StartedMs, rep.EndedMs = int64(res.StartedAt), int64(res.EndedAt)
		rep.Exit, rep.Usage = wire.ExitToProto(res.Exit), wire.UsageToProto(res.Usage)
		rep.Done, rep.Failed = res.Done, res.Failed
	}
	return rep
}
