package device

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"caravan/agent/link"
	"caravan/plugins/sdk"
	"caravan/plugins/sdk/client"
	"caravan/plugins/sdk/pluginv1"
)

// plugin keeps one plugin running.
type plugin struct {
	Plugin
	manager *Manager
	// tried is closed when its devices are known, or the first attempt has failed.
	tried chan struct{}
	once  sync.Once

	// Guarded by the manager's lock.
	inventory *pluginv1.Inventory
	lost      map[string]*pluginv1.Device // gone, and not by a change of parts
	silent    bool                        // it owes an answer
	downSince time.Time                   // zero while it runs
	failure   string                      // why it is down

	mu      sync.Mutex     // guards what follows
	running *client.Client // nil while it is down
	changed chan struct{}  // closed when running changes
}

func newPlugin(m *Manager, p Plugin) *plugin {
	return &plugin{Plugin: p, manager: m, tried: make(chan struct{}), lost: make(map[string]*pluginv1.Device), changed: make(chan struct{})}
}

// longRun is how long a plugin must have run for its next failure to be a first one again.
const longRun = time.Minute

// run starts the plugin again and again until ctx ends.
func (p *plugin) run(ctx context.Context) error {
	m := p.manager
	retry := link.Backoff{Min: m.cfg.RetryMin, Max: m.cfg.RetryMax}
	for ctx.Err() == nil {
		begun := time.Now()
		err := p.serve(ctx)
		p.once.Do(func() { close(p.tried) })
		if ctx.Err() != nil {
			return nil
		}
		m.cfg.Logger.Warn("a device plugin failed, starting it again", "plugin", p.Name, "error", err)
		p.down(err)
		if time.Since(begun) > longRun {
			retry.Reset()
		}
		if !retry.Wait(ctx) {
			return nil
		}
	}
	return nil
}

// serve runs one process of the plugin until it fails or ctx ends.
func (p *plugin) serve(ctx context.Context) error {
	m := p.manager
	c, err := client.Start(ctx, client.Config{
		Command: p.Command, Env: p.Env, CallTimeout: m.cfg.CallTimeout, Logger: m.cfg.Logger.Named(p.Name),
	})
	if err != nil {
		return err
	}
	defer c.Stop()
	defer p.set(nil)
	ready := make(chan struct{})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		first := true
		err := c.Watch(ctx, func(inv *pluginv1.Inventory) error {
			if err := sdk.CheckInventory(inv); err != nil {
				return fmt.Errorf("it breaks the contract: %w", err)
			}
			p.up(inv)
			if first {
				first = false
				close(ready)
			}
			return nil
		})
		return errors.Join(errors.New("the inventory ended"), err)
	})
	g.Go(func() error { return p.attend(ctx, c, ready) })
	g.Go(func() error { return p.measure(ctx, c) })
	return g.Wait()
}

// attend repeats what the plugin has to know, opens it for use, and then looks after it.
func (p *plugin) attend(ctx context.Context, c *client.Client, ready <-chan struct{}) error {
	select {
	case <-ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.repeat(ctx, c); err != nil {
		return err
	}
	p.set(c)
	p.once.Do(func() { close(p.tried) })
	look := time.NewTicker(p.manager.cfg.HealthInterval)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			silent := time.AfterFunc(p.manager.cfg.AnswerTimeout, func() { p.setSilent(true) })
			_, err := c.Health(ctx)
			if !silent.Stop() && err == nil {
				p.setSilent(false)
			}
			if err != nil {
				return fmt.Errorf("it does not answer: %w", err)
			}
		}
	}
}

// repeat tells a new process of the plugin what is held. What it refuses is held all the same: the
// task has it.
func (p *plugin) repeat(ctx context.Context, c *client.Client) error {
	for _, held := range p.manager.holdings(p) {
		edits, err := c.Reserve(ctx, held)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			p.manager.given(held.AllocationId, p, edits)
		}
		if err != nil {
			p.manager.cfg.Logger.Error("a plugin refuses what a running task holds", "plugin", p.Name, "allocation", held.AllocationId, "error", err)
		}
	}
	return nil
}

// up takes in an inventory.
func (p *plugin) up(inv *pluginv1.Inventory) {
	m := p.manager
	m.mu.Lock()
	before, fresh := p.inventory, p.inventory == nil || !p.downSince.IsZero()
	p.inventory, p.downSince, p.failure, p.silent = inv, time.Time{}, "", false
	var gone []*pluginv1.Device
	for _, d := range before.GetDevices() {
		switch {
		case in(inv, d.Id):
		case m.isHeld(d.Id) || !remade(d, inv):
			p.lost[d.Id] = d
			gone = append(gone, d)
		default:
			m.forget(d)
		}
	}
	for _, d := range inv.Devices {
		delete(p.lost, d.Id)
	}
	m.seen(inv, gone)
	m.mu.Unlock()
	if fresh {
		m.cfg.Logger.Info("device plugin runs", "plugin", p.Name, "devices", len(inv.Devices), "reasons", inv.Reasons)
	}
	m.tell()
}

// in reports whether a device is in an inventory.
func in(inv *pluginv1.Inventory, id string) bool {
	return slices.ContainsFunc(inv.GetDevices(), func(d *pluginv1.Device) bool { return d.Id == id })
}

// remade reports whether what a device was made of is there in another form: as the whole, or as
// other parts.
func remade(d *pluginv1.Device, inv *pluginv1.Inventory) bool {
	whole := cmp.Or(d.PartOf, d.Id)
	return slices.ContainsFunc(inv.GetDevices(), func(other *pluginv1.Device) bool { return other.Id == whole || other.PartOf == whole })
}

// setSilent notes whether the plugin owes an answer.
func (p *plugin) setSilent(silent bool) {
	p.manager.mu.Lock()
	p.silent = silent
	p.manager.mu.Unlock()
	p.manager.tell()
}

// down notes that the plugin does not run.
func (p *plugin) down(err error) {
	m := p.manager
	m.mu.Lock()
	if p.downSince.IsZero() {
		p.downSince = time.Now()
	}
	p.failure = err.Error()
	m.mu.Unlock()
	m.tell()
}

// outOfService says why none of the plugin's devices can be used, "" if they can; the manager's
// lock is held.
func (p *plugin) outOfService() string {
	switch {
	case p.silent:
		return "plugin " + p.Name + " does not answer"
	case p.downSince.IsZero() || time.Since(p.downSince) < p.manager.cfg.DownGrace:
		return ""
	}
	const most = 200
	return fmt.Sprintf("plugin %s does not run: %s", p.Name, p.failure[:min(most, len(p.failure))])
}

// known are the devices there are, and those that are gone and missed: held, or not given up by an
// operator's return; the manager's lock is held.
func (p *plugin) known() []*pluginv1.Device {
	all := slices.Clone(p.inventory.GetDevices())
	for id, d := range p.lost {
		if p.manager.isHeld(id) || !p.manager.record(id).Health.InService() {
			all = append(all, d)
		} else {
			delete(p.lost, id)
			p.manager.forget(d)
		}
	}
	return all
}

// find returns a device of the plugin, nil if it has none of that id; the manager's lock is held.
func (p *plugin) find(device string) *pluginv1.Device {
	for _, d := range p.inventory.GetDevices() {
		if d.Id == device {
			return d
		}
	}
	return p.lost[device]
}

func (p *plugin) set(c *client.Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = c
	close(p.changed)
	p.changed = make(chan struct{})
}

// now returns the running process, nil for none.
func (p *plugin) now() *client.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

// startPatience is how long a reservation waits for a plugin that is being started again.
const startPatience = 20 * time.Second

// client returns the running process, waiting a while for one.
func (p *plugin) client(ctx context.Context) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		p.mu.Lock()
		c, changed := p.running, p.changed
		p.mu.Unlock()
		if c != nil {
			return c, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errDown
		}
	}
}

func (p *plugin) reserve(ctx context.Context, req *pluginv1.ReserveRequest) (*pluginv1.Edits, error) {
	c, err := p.client(ctx)
	if err != nil {
		return nil, err
	}
	edits, err := c.Reserve(ctx, req)
	if err == nil {
		err = sdk.CheckEdits(edits)
	}
	return edits, err
}

// release tells the plugin, if it runs, that an allocation holds nothing any more. One that does
// not run never hears of the allocation again, and one that does not answer is ended anyhow.
func (p *plugin) release(allocation string) {
	c := p.now()
	if c == nil {
		return
	}
	if err := c.Release(context.Background(), allocation); err != nil {
		p.manager.cfg.Logger.Warn("cannot release devices", "plugin", p.Name, "allocation", allocation, "error", err)
	}
}
