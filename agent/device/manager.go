package device

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"caravan/agent/device/health"
	"caravan/agent/driver"
	"caravan/agent/images"
	pb "caravan/api/caravanv1"
	"caravan/plugins/sdk/pluginv1"
	"caravan/scheduler/model"
)

// Plugin is one plugin to run.
type Plugin struct {
	// Name for people, unique among the plugins.
	Name string
	// Command is the program, absolute, and its arguments.
	Command []string
	// Env is added to the plugin's bare environment, as KEY=VALUE.
	Env []string
}

// Config describes a manager. The zero value of a field means its default.
type Config struct {
	// Plugins are run side by side; default none.
	Plugins []Plugin
	// Policy judges what is seen of devices; default the embedded one.
	Policy *health.Policy
	// Changed is called when Devices has something new to say, from any goroutine; it must not
	// block. Default nothing.
	Changed func()
	// Evict is asked to end the allocations that hold a device which must not be used any more;
	// it must not block. Default: they run on, and the log says so.
	Evict func(allocation, reason string)
	// CallTimeout bounds each call of a plugin; default 5 s.
	CallTimeout time.Duration
	// HealthInterval is the time between two looks at a plugin's devices and, by that, at the
	// plugin; default 10 s.
	HealthInterval time.Duration
	// DownGrace is how long the devices of a plugin that does not run stay in service: long
	// enough for a restart; default 30 s.
	DownGrace time.Duration
	// RetryMin and RetryMax bound the pauses before a plugin is started again; default 500 ms and
	// 30 s.
	RetryMin, RetryMax time.Duration
	// Images are what can be loaded into programmable devices; nil for none.
	Images *images.Store
	// ProgramTimeout bounds the load of an image; default 5 minutes.
	ProgramTimeout time.Duration
	// TimesFile keeps how long images take to load over restarts; "" forgets it.
	TimesFile string
	// StatsInterval is the time between two samples of the devices; default 10 s.
	StatsInterval time.Duration
	// Logger takes the manager's and the plugins' messages; default none.
	Logger hclog.Logger
}

// judgeInterval is how often time is told to the records of health, and to plugins that are down.
const judgeInterval = time.Second

// Manager runs plugins and hands out their devices.
type Manager struct {
	cfg     Config
	plugins []*plugin

	mu      sync.Mutex // guards what follows and the plugins' inventories
	records map[string]*record
	held    map[string][]*pb.DeviceShare // by allocation
	told    []*pb.Device                 // what Devices said last

	programs programs
	samples  map[string]sample     // by device
	charges  map[[2]string]*charge // by allocation and device
}

// record is what is known of a device over all inventories.
type record struct {
	health health.Record
	counts map[string]int64 // of signals seen now
}

// New checks the configuration. Nothing is started before Run.
func New(cfg Config) (*Manager, error) {
	if cfg.Policy == nil {
		var err error
		if cfg.Policy, err = health.Default(); err != nil {
			return nil, err
		}
	}
	for d, value := range map[*time.Duration]time.Duration{
		&cfg.CallTimeout: 5 * time.Second, &cfg.HealthInterval: 10 * time.Second, &cfg.DownGrace: 30 * time.Second,
		&cfg.RetryMin: 500 * time.Millisecond, &cfg.RetryMax: 30 * time.Second,
		&cfg.ProgramTimeout: 5 * time.Minute, &cfg.StatsInterval: 10 * time.Second,
	} {
		if *d <= 0 {
			*d = value
		}
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	m := &Manager{cfg: cfg, records: make(map[string]*record), held: make(map[string][]*pb.DeviceShare)}
	m.programs = programs{busy: make(map[string]chan struct{}), failed: make(map[string]bool), times: make(map[string]int64)}
	m.samples, m.charges = make(map[string]sample), make(map[[2]string]*charge)
	m.readTimes()
	for _, p := range cfg.Plugins {
		if p.Name == "" || slices.ContainsFunc(m.plugins, func(q *plugin) bool { return q.Name == p.Name }) {
			return nil, fmt.Errorf("device plugin %q: each needs a name of its own", p.Name)
		}
		if len(p.Command) == 0 || !filepath.IsAbs(p.Command[0]) {
			return nil, fmt.Errorf("device plugin %s: its program must be an absolute path", p.Name)
		}
		m.plugins = append(m.plugins, newPlugin(m, p))
	}
	return m, nil
}

// Run keeps the plugins running until ctx ends; then they have ended too.
func (m *Manager) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range m.plugins {
		g.Go(func() error { return p.run(ctx) })
	}
	g.Go(func() error { return m.judge(ctx) })
	return g.Wait()
}

// Ready waits until each plugin has told its devices or failed to, or ctx has ended.
func (m *Manager) Ready(ctx context.Context) {
	for _, p := range m.plugins {
		select {
		case <-p.tried:
		case <-ctx.Done():
			return
		}
	}
}

// judge tells the records that time passes.
func (m *Manager) judge(ctx context.Context) error {
	tick := time.NewTicker(judgeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			m.mu.Lock()
			for id, r := range m.records {
				m.apply(id, r, health.Passed{At: now()})
			}
			m.mu.Unlock()
			m.tell()
		}
	}
}

func now() model.Time { return model.Time(time.Now().UnixMilli()) }

// apply moves a device's record on; m.mu is held.
func (m *Manager) apply(id string, r *record, e health.Event) {
	before := r.health.State
	var effects []health.Effect
	r.health, effects = health.Apply(m.cfg.Policy, r.health, e)
	for _, effect := range effects {
		switch effect {
		case health.Tell:
			m.cfg.Logger.Info("device changes its state", "device", id, "from", before, "to", r.health.Describe())
		case health.Evict:
			m.evict(id, r.health.Describe())
		}
	}
}

// evict asks for the end of what holds a device; m.mu is held.
func (m *Manager) evict(id, reason string) {
	for allocation, shares := range m.held {
		if !slices.ContainsFunc(shares, func(s *pb.DeviceShare) bool { return s.DeviceId == id }) {
			continue
		}
		if m.cfg.Evict == nil {
			m.cfg.Logger.Warn("a task holds a device that must not be used any more", "device", id, "allocation", allocation, "reason", reason)
			continue
		}
		m.cfg.Evict(allocation, "device "+id+" is "+reason)
	}
}

// seen takes in what a plugin's inventory says of its devices' health; m.mu is held.
func (m *Manager) seen(inv *pluginv1.Inventory, before *pluginv1.Inventory) {
	present := make(map[string]bool)
	for _, d := range inv.GetDevices() {
		present[d.Id] = true
		r := m.record(d.Id)
		m.signals(d, r)
		if slices.Contains(r.health.Present, gone) {
			m.apply(d.Id, r, health.Cleared{Code: gone, At: now()})
		}
	}
	for _, d := range before.GetDevices() {
		if r := m.record(d.Id); !present[d.Id] && !slices.Contains(r.health.Present, gone) {
			m.apply(d.Id, r, health.Raised{Code: gone, At: now()})
		}
	}
}

// gone is the code of a device that was there and is no more.
const gone = "device-gone"

// signals turns what is seen of a device into what has changed; m.mu is held.
func (m *Manager) signals(d *pluginv1.Device, r *record) {
	counts := make(map[string]int64)
	for _, s := range d.GetHealth().GetSignals() {
		counts[s.Code] = s.Count
		if last, was := r.counts[s.Code]; !was || s.Count > last {
			m.apply(d.Id, r, health.Raised{Code: s.Code, Detail: s.Detail, At: now()})
		}
	}
	for code := range r.counts {
		if _, still := counts[code]; !still {
			m.apply(d.Id, r, health.Cleared{Code: code, At: now()})
		}
	}
	r.counts = counts
}

func (m *Manager) record(id string) *record {
	r, ok := m.records[id]
	if !ok {
		r = &record{health: health.Record{Since: now(), Calm: now()}}
		m.records[id] = r
	}
	return r
}

// Errors of a reservation.
var (
	errNoDevice = errors.New("this host has no such device any more (see the node's devices)")
	errDown     = errors.New("its plugin does not run (see the agent's log)")
)

// Reserve gives an allocation its devices and returns what comes with them. Repeated, it gives
// the same answer. On an error nothing is held.
func (m *Manager) Reserve(ctx context.Context, allocation string, shares []*pb.DeviceShare) (driver.Grant, error) {
	var grant driver.Grant
	if len(shares) == 0 {
		return grant, nil
	}
	parts, err := m.byPlugin(shares)
	if err != nil {
		return grant, err
	}
	m.Adopt(allocation, shares)
	var told []*pluginv1.Limit
	for _, p := range m.plugins {
		if len(parts[p]) == 0 {
			continue
		}
		edits, err := p.reserve(ctx, allocation, parts[p])
		if err == nil {
			told = append(told, edits.GetLimits()...)
			err = addEdits(&grant, edits)
		}
		if err != nil {
			m.Release(allocation)
			return driver.Grant{}, fmt.Errorf("devices of plugin %s: %w", p.Name, err)
		}
	}
	grant.Limits = m.limits(shares, told)
	return grant, nil
}

// byPlugin sorts shares by who owns their devices.
func (m *Manager) byPlugin(shares []*pb.DeviceShare) (map[*plugin][]*pluginv1.Share, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	parts := make(map[*plugin][]*pluginv1.Share)
	for _, s := range shares {
		p := m.owner(s.DeviceId)
		if p == nil {
			return nil, fmt.Errorf("device %s: %w", s.DeviceId, errNoDevice)
		}
		parts[p] = append(parts[p], &pluginv1.Share{DeviceId: s.DeviceId, Thousandths: s.Thousandths, MemoryMib: s.MemoryMib})
	}
	return parts, nil
}

// owner is the plugin that has a device, nil for none; m.mu is held.
func (m *Manager) owner(device string) *plugin {
	for _, p := range m.plugins {
		if p.has(device) {
			return p
		}
	}
	return nil
}

// Adopt notes what an allocation holds, as after a restart of the agent: the plugins are told as
// soon as they can be.
func (m *Manager) Adopt(allocation string, shares []*pb.DeviceShare) {
	if len(shares) == 0 {
		return
	}
	m.mu.Lock()
	m.held[allocation] = shares
	for _, s := range shares {
		m.charge(allocation, s.DeviceId)
		m.apply(s.DeviceId, m.record(s.DeviceId), health.Used{Busy: true, At: now()})
	}
	m.mu.Unlock()
	m.tell()
}

// Release takes back what an allocation holds, if it holds anything. It may take as long as a call
// of each plugin.
func (m *Manager) Release(allocation string) {
	m.mu.Lock()
	shares := m.held[allocation]
	delete(m.held, allocation)
	m.settle(allocation, shares)
	for _, s := range shares {
		m.apply(s.DeviceId, m.record(s.DeviceId), health.Used{Busy: m.isHeld(s.DeviceId), At: now()})
	}
	m.mu.Unlock()
	if len(shares) == 0 {
		return
	}
	for _, p := range m.plugins {
		p.release(allocation)
	}
	m.tell()
}

// isHeld reports whether any allocation holds a device; m.mu is held.
func (m *Manager) isHeld(device string) bool {
	for _, shares := range m.held {
		if slices.ContainsFunc(shares, func(s *pb.DeviceShare) bool { return s.DeviceId == device }) {
			return true
		}
	}
	return false
}

// holdings are the reservations that a plugin has to know; m.mu is not held.
func (m *Manager) holdings(p *plugin) map[string][]*pluginv1.Share {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string][]*pluginv1.Share)
	for allocation, shares := range m.held {
		for _, s := range shares {
			if m.owner(s.DeviceId) == p {
				all[allocation] = append(all[allocation], &pluginv1.Share{DeviceId: s.DeviceId, Thousandths: s.Thousandths, MemoryMib: s.MemoryMib})
			}
		}
	}
	return all
}
