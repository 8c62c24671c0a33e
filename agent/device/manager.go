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
	"caravan/agent/device/hook"
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
	// Policy judges what is seen of devices and of the host; default the embedded one.
	Policy *health.Policy
	// Keep is the file that remembers what is ill from one agent to the next, absolute; default
	// none: a new agent knows of nothing.
	Keep string
	// SelfTest tests a repaired device before it takes work; default none: it takes work at once.
	SelfTest hook.Program
	// Prolog and Epilog are run before and after each task; default none.
	Prolog, Epilog hook.Program
	// Changed is called when Devices or Host has something new to say, from any goroutine; it must
	// not block. Default nothing.
	Changed func()
	// Evict is asked to end an allocation whose devices, or whose host, must not be used any more;
	// it must not block. Default: it runs on, and the log says so.
	Evict func(allocation string, fault *driver.Fault)
	// CallTimeout bounds each call of a plugin; default 5 s.
	CallTimeout time.Duration
	// AnswerTimeout is how long a plugin may take to answer a look at its health before its devices
	// are out of service, until it answers; default 2.5 s, where an answer takes milliseconds.
	AnswerTimeout time.Duration
	// HealthInterval is the time between two looks at a plugin's devices and, by that, at the
	// plugin; default 2 s.
	HealthInterval time.Duration
	// DownGrace is how long the devices of a plugin that has ended stay in service: long enough for
	// a restart; default 30 s.
	DownGrace time.Duration
	// CleanTimeout is how long something of a task may be left on its devices; default 10 s: a
	// driver takes seconds to free the memory of a process that was killed.
	CleanTimeout time.Duration
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
	// ProcRoot is where processes are looked up; default /proc.
	ProcRoot string
	// Logger takes the manager's and the plugins' messages; default none.
	Logger hclog.Logger
}

// judgeInterval is how often time is told to the records of health, and to plugins that are down.
const judgeInterval = time.Second

// Manager runs plugins, judges devices and the host, and hands devices out.
type Manager struct {
	cfg Config
	// onDevices and onHost are the policy for each: a host has no test.
	onDevices, onHost *health.Policy
	plugins           []*plugin

	mu       sync.Mutex // guards what follows and the plugins' inventories
	records  map[string]*record
	kept     map[string]record   // by identity, of devices that were not seen yet
	unsaved  bool                // records are not as they are in the file
	held     map[string]*holding // by allocation
	dirty    map[string]bool     // devices on which something was left
	told     []*pb.Device        // what Devices said last
	toldHost *pb.Health
	todo     []func(context.Context) // what takes time; Run carries it out
	kick     chan struct{}

	saving sync.Mutex // held while the file is written

	programs programs
	samples  map[string]sample     // by device
	charges  map[[2]string]*charge // by allocation and device
	// strangers are the processes of nobody in the last sample, squatters those of the last two, by
	// device.
	strangers, squatters map[string][]user
}

// holding is what an allocation holds.
type holding struct {
	tenant string
	shares []*pb.DeviceShare
	since  model.Time
	// edits are what its plugins said comes with the devices, by plugin; replaced, never changed.
	edits map[string]*pluginv1.Edits
}

// host is the id under which the host itself has its record.
const host = ""

// New checks the configuration and reads what is kept. Nothing is started before Run.
func New(cfg Config) (*Manager, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Manager{
		cfg: cfg, onDevices: cfg.Policy, onHost: cfg.Policy,
		records: make(map[string]*record), held: make(map[string]*holding), dirty: make(map[string]bool), kick: make(chan struct{}, 1),
	}
	if cfg.SelfTest.Set() {
		m.onDevices = cfg.Policy.WithTest()
	}
	if m.kept, err = readKept(cfg.Keep); err != nil {
		return nil, err
	}
	m.programs = programs{busy: make(map[string]chan struct{}), failed: make(map[string]bool), times: make(map[string]int64)}
	m.samples, m.charges = make(map[string]sample), make(map[[2]string]*charge)
	m.strangers, m.squatters = make(map[string][]user), make(map[string][]user)
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

func (c Config) withDefaults() (Config, error) {
	if c.Policy == nil {
		var err error
		if c.Policy, err = health.Default(); err != nil {
			return c, err
		}
	}
	if c.Keep != "" && !filepath.IsAbs(c.Keep) {
		return c, fmt.Errorf("file of health %q must be absolute", c.Keep)
	}
	if err := errors.Join(c.SelfTest.Check(), c.Prolog.Check(), c.Epilog.Check()); err != nil {
		return c, err
	}
	for d, value := range map[*time.Duration]time.Duration{
		&c.CallTimeout: 5 * time.Second, &c.AnswerTimeout: 2500 * time.Millisecond, &c.HealthInterval: 2 * time.Second, &c.StatsInterval: 10 * time.Second,
		&c.DownGrace: 30 * time.Second, &c.CleanTimeout: 10 * time.Second, &c.RetryMin: 500 * time.Millisecond, &c.RetryMax: 30 * time.Second,
	} {
		if *d <= 0 {
			*d = value
		}
	}
	if c.ProcRoot == "" {
		c.ProcRoot = "/proc"
	}
	if c.Changed == nil {
		c.Changed = func() {}
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	return c, nil
}

// Run keeps the plugins running until ctx ends; then they have ended too.
func (m *Manager) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range m.plugins {
		g.Go(func() error { return p.run(ctx) })
	}
	g.Go(func() error { return m.judge(ctx) })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-m.kick:
			}
			m.mu.Lock()
			todo := m.todo
			m.todo = nil
			m.mu.Unlock()
			for _, f := range todo {
				g.Go(func() error {
					f(ctx)
					return nil
				})
			}
		}
	})
	err := g.Wait()
	m.save()
	return err
}

// later has something carried out by Run, in a goroutine of its own; m.mu is held.
func (m *Manager) later(f func(context.Context)) {
	m.todo = append(m.todo, f)
	select {
	case m.kick <- struct{}{}:
	default: // it is on its way
	}
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

// judge tells the records that time passes, and looks again at what was not clean.
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
			m.lookAgain(ctx)
			m.tell()
		}
	}
}

func now() model.Time { return model.Time(time.Now().UnixMilli()) }
