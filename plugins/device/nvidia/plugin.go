package nvidia

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"caravan/plugins/device/internal/sysfs"
	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// Sharing is how a GPU that is not divided by MIG is shared.
type Sharing string

// Ways of sharing.
const (
	// Whole GPUs only.
	Exclusive Sharing = "none"
	// TimeSlice lets tasks take turns, as the driver has them do anyway; nothing is enforced.
	TimeSlice Sharing = "time-slice"
	// MPS runs one control daemon for each shared GPU, for one tenant at a time.
	MPS Sharing = "mps"
)

// word is the attribute by which jobs ask for a way of sharing.
func (s Sharing) word() string {
	switch s {
	case TimeSlice:
		return "time_slice"
	case Exclusive:
		return "exclusive"
	default:
		return string(s)
	}
}

// ParseSharing reads entries MODE, for all GPUs, and GPU=MODE for one by UUID or PCI address.
func ParseSharing(entries []string) (all Sharing, of map[string]Sharing, err error) {
	of = make(map[string]Sharing)
	for _, entry := range entries {
		gpu, mode, one := strings.Cut(entry, "=")
		if !one {
			mode = gpu
		}
		if !slices.Contains([]Sharing{Exclusive, TimeSlice, MPS}, Sharing(mode)) || one && gpu == "" {
			return "", nil, fmt.Errorf("sharing %q: must be %s, %s or %s, or one of them for a GPU as in GPU-5f0c...=%s", entry, Exclusive, TimeSlice, MPS, MPS)
		}
		if one {
			of[gpu] = Sharing(mode)
		} else {
			all = Sharing(mode)
		}
	}
	return all, of, nil
}

// sharing is how a GPU is shared while it is not divided.
func (p *Plugin) sharing(g GPU) Sharing {
	for _, key := range []string{g.UUID, g.PCI} {
		if s, ok := p.cfg.SharingOf[key]; ok {
			return s
		}
	}
	return p.cfg.Sharing
}

// Config describes the plugin. The zero value of a field means its default.
type Config struct {
	// Library is the driver's. Required.
	Library Library
	// SysfsRoot, DevRoot and ProcRoot are where those file systems are; default /sys, /dev, /proc.
	SysfsRoot, DevRoot, ProcRoot string
	// Kernel is the kernel's log; default none.
	Kernel string
	// Sharing of GPUs; default TimeSlice.
	Sharing Sharing
	// SharingOf are GPUs, by UUID or PCI address, that are shared in another way; default none.
	SharingOf map[string]Sharing
	// MPSControl is the program of MPS control daemons, MPSDir where their pipes are; default
	// nvidia-cuda-mps-control of PATH, and /run/caravan/mps, which is gone after a boot as they are.
	MPSControl, MPSDir string
	// SMI is the vendor's program that resets GPUs; default nvidia-smi of PATH.
	SMI string
	// KeepLockedClocks leaves locked clocks alone after a task; default: they are unlocked.
	KeepLockedClocks bool
	// Layout is how GPUs are to be divided; default: as they are.
	Layout Layout
	// LookTimeout bounds a look at the driver; default 3 s, less than the agent waits.
	LookTimeout time.Duration
	// TendInterval is the time between two looks at processes, daemons and layout; default 5 s.
	TendInterval time.Duration
	// Settle is how long after its start the plugin takes nothing for unused, since it does not
	// know yet what running tasks hold; default 1 minute.
	Settle time.Duration
	// EventHold is how long an event is told after it was last seen; default 1 minute.
	EventHold time.Duration
	// Now is the time; default time.Now.
	Now func() time.Time
	// Log takes a line on what goes wrong beside the calls of the contract; default nothing.
	Log io.Writer
}

// Plugin is the device plugin. Run has to run beside it.
type Plugin struct {
	cfg     Config
	root    sysfs.Root
	ledger  *ledger
	daemons *daemons
	started time.Time
	changed chan struct{}

	// dividing is held while a GPU is looked at and divided anew, and while shares are taken.
	dividing sync.Mutex

	mu        sync.Mutex // guards what follows
	known     map[string]GPU
	holders   map[string][]string // devices by allocation
	unused    map[string]int64    // memory that devices use when nobody does, by UUID
	resetting map[string]bool     // GPUs that are being reset, by UUID
	before    map[string]GPU      // GPUs before their present tasks, by UUID
	trouble   []string            // reasons found by Run
	switches  string              // the last fatal error of a switch
}

var (
	_ sdk.Plugin   = (*Plugin)(nil)
	_ sdk.Holder   = (*Plugin)(nil)
	_ sdk.Meter    = (*Plugin)(nil)
	_ sdk.Waker    = (*Plugin)(nil)
	_ sdk.Resetter = (*Plugin)(nil)
	_ sdk.Reacher  = (*Plugin)(nil)
	_ sdk.Cleaner  = (*Plugin)(nil)
	_ sdk.Tenanted = (*Plugin)(nil)
)

// New checks the configuration. Nothing is asked of the driver yet.
func New(cfg Config) (*Plugin, error) {
	if cfg.Library == nil {
		return nil, errors.New("the plugin needs the driver's library")
	}
	for field, value := range map[*string]string{
		&cfg.SysfsRoot: "/sys", &cfg.DevRoot: "/dev", &cfg.ProcRoot: "/proc", &cfg.MPSControl: "nvidia-cuda-mps-control", &cfg.MPSDir: "/run/caravan/mps", &cfg.SMI: "nvidia-smi",
	} {
		if *field == "" {
			*field = value
		}
	}
	for field, value := range map[*time.Duration]time.Duration{
		&cfg.LookTimeout: 3 * time.Second, &cfg.TendInterval: 5 * time.Second, &cfg.Settle: time.Minute, &cfg.EventHold: time.Minute,
	} {
		if *field <= 0 {
			*field = value
		}
	}
	if cfg.Sharing == "" {
		cfg.Sharing = TimeSlice
	}
	if _, _, err := ParseSharing([]string{string(cfg.Sharing)}); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	return &Plugin{
		cfg: cfg, root: sysfs.Root(cfg.SysfsRoot), ledger: newLedger(cfg.EventHold, cfg.Now),
		daemons: newDaemons(cfg), started: cfg.Now(), changed: make(chan struct{}, 1),
		known: make(map[string]GPU), holders: make(map[string][]string),
		unused: make(map[string]int64), before: make(map[string]GPU), resetting: make(map[string]bool),
	}, nil
}

// Changed tells of events.
func (p *Plugin) Changed() <-chan struct{} { return p.changed }

func (p *Plugin) wake() {
	select {
	case p.changed <- struct{}{}:
	default: // it will be seen with what is waiting
	}
}

// Run follows events and tends what runs beside the tasks, until ctx ends.
func (p *Plugin) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.again(ctx, "events", p.watch) })
	if p.cfg.Kernel != "" {
		g.Go(func() error { return p.again(ctx, "kernel", p.follow) })
	}
	g.Go(func() error {
		tick := time.NewTicker(p.cfg.TendInterval)
		defer tick.Stop()
		for {
			p.tend(ctx)
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
	return g.Wait()
}

// shortPause keeps a task that ends again and again from becoming a flood.
const shortPause = 100 * time.Millisecond

// again calls f until ctx ends, with a pause after each failure.
func (p *Plugin) again(ctx context.Context, what string, f func(context.Context) error) error {
	said := ""
	for ctx.Err() == nil {
		err := f(ctx)
		if err != nil && err.Error() != said && ctx.Err() == nil {
			said = err.Error()
			fmt.Fprintf(p.cfg.Log, "%s: %v\n", what, err)
		}
		after := p.cfg.TendInterval
		if err == nil {
			after = min(after, shortPause)
		}
		pause := time.NewTimer(after)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
	return nil
}

// watch notes NVML's events.
func (p *Plugin) watch(ctx context.Context) error {
	return p.cfg.Library.Watch(ctx, func(e Event) {
		if e.Code != "" {
			p.ledger.note(e.UUID, e.Code, e.Detail, fromNVML)
		}
		p.wake()
	})
}

// follow notes what the kernel's log says.
func (p *Plugin) follow(ctx context.Context) error {
	return followKernel(ctx, p.cfg.Kernel, func(record string) {
		if code, fatal := fatalSwitch(record); fatal {
			p.mu.Lock()
			p.switches = code
			p.mu.Unlock()
			p.wake()
			return
		}
		x, ok := parseXid(record)
		if !ok {
			return
		}
		if uuid := p.at(x.pci); uuid != "" {
			p.ledger.note(uuid, xidCode(x.code), x.detail, fromKernel)
			p.wake()
		}
	})
}

// at returns the GPU at an address, "" for none that was ever seen.
func (p *Plugin) at(pci string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for uuid, g := range p.known {
		if pciDevice(g.PCI) == pci {
			return uuid
		}
	}
	return ""
}

// settled says that what running tasks hold has been told by now.
func (p *Plugin) settled() bool { return p.cfg.Now().Sub(p.started) >= p.cfg.Settle }

// tend does what is done without being asked.
func (p *Plugin) tend(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*p.cfg.LookTimeout)
	defer cancel()
	var trouble []string
	for _, task := range []func(context.Context) error{p.seeIdle, p.divide, p.sweep} {
		if err := task(ctx); err != nil && ctx.Err() == nil {
			trouble = append(trouble, err.Error())
		}
	}
	p.mu.Lock()
	same := slices.Equal(trouble, p.trouble)
	p.trouble = trouble
	p.mu.Unlock()
	if !same {
		p.wake()
	}
}

// sweep ends daemons that a plugin before this one has left and nobody uses.
func (p *Plugin) sweep(ctx context.Context) error {
	if !p.settled() {
		return nil
	}
	return p.daemons.sweep(ctx, "")
}

// Hold notes who uses what, and starts the daemon of a GPU that is shared by MPS.
func (p *Plugin) Hold(ctx context.Context, allocation, tenant string, shares []*pluginv1.Share) error {
	p.dividing.Lock()
	defer p.dividing.Unlock()
	var devices []string
	var shared *client
	for _, s := range shares {
		if _, err := p.find(s.DeviceId); err != nil {
			return err // it was divided anew since the last look
		}
		devices = append(devices, s.DeviceId)
		if uuid, ok := p.viaMPS(s); ok {
			shared = &client{daemon: daemon{uuid, tenant}, percent: percent(s), memoryMiB: s.MemoryMib}
		}
	}
	if shared != nil {
		if err := p.daemons.hold(ctx, allocation, *shared); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noteModes(devices)
	p.holders[allocation] = devices
	return nil
}

// Drop takes note of an end. The last to leave a daemon ends it.
func (p *Plugin) Drop(ctx context.Context, allocation string) error {
	p.mu.Lock()
	delete(p.holders, allocation)
	p.mu.Unlock()
	return p.daemons.drop(ctx, allocation)
}

// held are the devices that somebody holds.
func (p *Plugin) held() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]bool)
	for _, devices := range p.holders {
		for _, d := range devices {
			all[d] = true
		}
	}
	return all
}

// gpus are the GPUs as they were last seen, in the order of their addresses.
func (p *Plugin) gpus() []GPU {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Collect(maps.Values(p.known))
	slices.SortFunc(all, func(a, b GPU) int { return strings.Compare(a.PCI, b.PCI) })
	return all
}
