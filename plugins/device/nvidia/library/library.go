//go:build cgo

package library

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"caravan/plugins/device/nvidia"
)

// Config describes a library. The zero value of a field means its default.
type Config struct {
	// NVML is the library; default libnvidia-ml.so.1 as the dynamic linker finds it.
	NVML nvml.Interface
	// CallTimeout bounds the calls about one GPU in one look; default 1.5 s: an agent takes a plugin
	// that is silent for 2.5 s for hung as a whole.
	CallTimeout time.Duration
}

// Library reads NVML.
type Library struct {
	nvml    nvml.Interface
	timeout time.Duration

	gate  sync.RWMutex // read by whoever uses the driver; see Apart
	apart atomic.Bool  // the driver is let go of, or about to be

	mu       sync.Mutex // guards what follows
	ready    bool
	host     nvidia.Host     // of the last look
	symbols  map[string]bool // functions that were looked up
	lanes    map[string]*lane
	levels   map[[2]string]int  // of pairs of GPUs: they cannot change while the host runs
	sampled  map[string]uint64  // time stamp of the newest utilization sample, by GPU
	last     map[int]nvidia.GPU // what was last read at each number
	changing map[int]int        // changes under way at each number
}

var _ nvidia.Library = (*Library)(nil)

// New returns a library. The driver is first asked by a look.
func New(cfg Config) *Library {
	if cfg.NVML == nil {
		cfg.NVML = nvml.New()
	}
	if cfg.CallTimeout <= 0 {
		cfg.CallTimeout = 1500 * time.Millisecond
	}
	return &Library{
		nvml: cfg.NVML, timeout: cfg.CallTimeout, symbols: make(map[string]bool), lanes: make(map[string]*lane),
		levels: make(map[[2]string]int), sampled: make(map[string]uint64), last: make(map[int]nvidia.GPU), changing: make(map[int]int),
	}
}

// lane lets one call at a time through.
type lane struct {
	free chan struct{} // has room while none is under way
	// since is when the one under way began, zero for none; the library's mu guards it.
	since time.Time
}

// in runs f in a lane and waits for it. When f does not return in time the lane stays taken, and f
// is not waited for: what it writes may be read only after nil.
func (l *Library) in(ctx context.Context, name string, f func()) error {
	return l.within(ctx, l.timeout, name, f)
}

func (l *Library) within(ctx context.Context, timeout time.Duration, name string, f func()) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	way, hangs := l.lane(name)
	if hangs {
		return nvidia.ErrNotAnswering // who hangs costs each look no more than this
	}
	select {
	case way.free <- struct{}{}:
	case <-ctx.Done():
		return nvidia.ErrNotAnswering
	}
	l.stamp(way, time.Now())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			l.stamp(way, time.Time{})
			<-way.free
		}()
		f()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return nvidia.ErrNotAnswering
	}
}

// lane returns a lane, and whether the call in it has outstayed its time.
func (l *Library) lane(name string) (way *lane, hangs bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	way = l.lanes[name]
	if way == nil {
		way = &lane{free: make(chan struct{}, 1)}
		l.lanes[name] = way
	}
	return way, !way.since.IsZero() && time.Since(way.since) >= l.timeout
}

func (l *Library) stamp(way *lane, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	way.since = since
}

// changeTimeout bounds a change of a GPU: making an instance takes seconds.
const changeTimeout = 20 * time.Second

// altering runs a change in a GPU's lane. While it runs, a look takes the GPU as it was: it is busy,
// not ill.
func (l *Library) altering(ctx context.Context, i int, f func()) error {
	l.mu.Lock()
	l.changing[i]++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.changing[i]--
		l.mu.Unlock()
	}()
	return l.within(ctx, changeTimeout, gpuLane(i), f)
}

// beforeChange returns a GPU as it was, if it is being changed.
func (l *Library) beforeChange(i int) (nvidia.GPU, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g, known := l.last[i]
	return g, known && l.changing[i] > 0
}

func gpuLane(i int) string { return "gpu" + strconv.Itoa(i) }

// systemLane is for calls that are about no GPU.
const systemLane = "system"

// can reports whether the driver's library has a function. The library has been loaded.
func (l *Library) can(symbol string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	has, known := l.symbols[symbol]
	if !known {
		has = l.nvml.Extensions().LookupSymbol(symbol) == nil
		l.symbols[symbol] = has
	}
	return has
}

// missing are the functions that were wanted and are not there.
func (l *Library) missing() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for symbol, has := range l.symbols {
		if !has {
			all = append(all, symbol)
		}
	}
	slices.Sort(all)
	return all
}

// required are the functions without which there is no inventory. All drivers since R319 have them.
var required = [...]string{"nvmlInit_v2", "nvmlShutdown", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetUUID", "nvmlDeviceGetName", "nvmlDeviceGetPciInfo_v2"}

// start loads and initializes the library unless that is done. It runs in the system's lane.
func (l *Library) start() error {
	l.mu.Lock()
	ready := l.ready
	l.mu.Unlock()
	if ready {
		return nil
	}
	ret := l.nvml.Init()
	if ret != nvml.SUCCESS {
		return absent(ret)
	}
	for _, symbol := range required {
		if !l.can(symbol) {
			return &nvidia.AbsentError{Reason: "the NVIDIA driver is too old: its library has no " + symbol + " (install R319 or newer)"}
		}
	}
	l.mu.Lock()
	l.ready = true
	l.mu.Unlock()
	return nil
}

// reset has the library initialized again at the next look, as after the driver was loaded anew.
func (l *Library) reset() {
	l.mu.Lock()
	l.ready = false
	l.mu.Unlock()
	_ = l.nvml.Shutdown() // it does not work: that is why
}

// absent says for people why the library cannot be used.
func absent(ret nvml.Return) error {
	reason := fmt.Sprintf("the NVIDIA library cannot be used: error %d", int(ret))
	switch ret { //nolint:exhaustive // the others have no advice of their own
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		reason = "no NVIDIA driver: libnvidia-ml.so.1 is not installed"
	case nvml.ERROR_DRIVER_NOT_LOADED:
		reason = "the NVIDIA driver is installed and not loaded (modprobe nvidia; see the kernel's log)"
	case nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		reason = "the NVIDIA library and the loaded kernel module are of different versions: the driver was changed under the running host (reboot, or reload the module and restart the agent)"
	case nvml.ERROR_NO_PERMISSION:
		reason = "the NVIDIA driver denies access (run the agent as root)"
	case nvml.ERROR_IRQ_ISSUE:
		reason = "the NVIDIA driver gets no interrupts from a GPU (see the kernel's log)"
	}
	return &nvidia.AbsentError{Reason: reason}
}

// count returns how many GPUs there are. It runs in the system's lane.
func (l *Library) count() (int, error) {
	if err := l.start(); err != nil {
		return 0, err
	}
	n, ret := l.nvml.DeviceGetCount()
	if ret != nvml.SUCCESS {
		l.reset()
		return 0, absent(ret)
	}
	return n, nil
}

// silent stands for the result of a call that has not come back.
const silent = nvml.ERROR_TIMEOUT

// listing are the GPUs' handles, and an error for each that cannot be had.
type listing struct {
	devices []nvml.Device
	faults  []nvml.Return
}

// list asks for each handle in the GPU's own lane: that of a GPU that hangs does not come, and the
// others do.
func (l *Library) list(ctx context.Context) (listing, error) {
	counted := new(struct {
		n   int
		err error
	})
	if err := l.in(ctx, systemLane, func() { counted.n, counted.err = l.count() }); err != nil {
		return listing{}, err
	}
	if counted.err != nil {
		return listing{}, counted.err
	}
	got := listing{devices: make([]nvml.Device, counted.n), faults: make([]nvml.Return, counted.n)}
	var all sync.WaitGroup
	for i := range counted.n {
		all.Go(func() {
			handle := new(both[nvml.Device, nvml.Return])
			if l.in(ctx, gpuLane(i), func() { handle.first, handle.second = l.nvml.DeviceGetHandleByIndex(i) }) != nil {
				got.faults[i] = silent
				return
			}
			got.devices[i], got.faults[i] = handle.first, handle.second
		})
	}
	all.Wait()
	return got, nil
}

// same reports whether a later listing has the same GPUs. One that has fallen silent is still there.
func (g listing) same(later listing) bool {
	return slices.EqualFunc(g.faults, later.faults, func(before, now nvml.Return) bool { return before == now || now == silent })
}
