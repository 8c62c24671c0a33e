package device

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/agent/device/health"
	"caravan/agent/device/hook"
	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// resetTimeout bounds a reset, whatever the plugin's own limit.
const resetTimeout = 5 * time.Minute

// resetter resets a device and tells its record how that went. Where nothing can be reset, nothing
// needs to be.
func (m *Manager) resetter(id string) func(context.Context) {
	return func(ctx context.Context) {
		err := m.reset(ctx, id)
		if ctx.Err() != nil {
			return // the next agent begins again
		}
		m.mu.Lock()
		m.apply(id, m.record(id), health.WasReset{Failed: said(err), At: now()})
		m.mu.Unlock()
		m.tell()
	}
}

func (m *Manager) reset(ctx context.Context, id string) error {
	m.mu.Lock()
	p := m.owner(id)
	m.mu.Unlock()
	if p == nil {
		return nil // the host, for which there is no such thing
	}
	ctx, cancel := context.WithTimeout(ctx, resetTimeout)
	defer cancel()
	c, err := p.client(ctx)
	if err == nil {
		err = c.Reset(ctx, id)
	}
	if status.Code(err) == codes.Unimplemented {
		return nil
	}
	if err == nil {
		m.look(ctx, p)
	}
	return err
}

// look asks a plugin anew what is seen of its devices, so that what follows a reset, or the end of
// a task, need not wait for the next inventory.
func (m *Manager) look(ctx context.Context, p *plugin) {
	c, err := p.client(ctx)
	if err != nil {
		return
	}
	all, err := c.Health(ctx)
	if err != nil {
		return // whoever looks after the plugin meets that too
	}
	m.mu.Lock()
	for id, h := range all {
		if p.find(id) != nil {
			m.signals(id, h)
		}
	}
	m.mu.Unlock()
	m.tell()
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// tester has a repaired device tested and tells its record how that went.
func (m *Manager) tester(id string) func(context.Context) {
	return func(ctx context.Context) {
		err := m.test(ctx, id)
		if ctx.Err() != nil {
			return
		}
		m.mu.Lock()
		m.apply(id, m.record(id), health.Tested{Failed: said(err), At: now()})
		m.mu.Unlock()
		m.tell()
	}
}

// test hands a device out to the operator's program. Nobody else can have it: it takes no work.
func (m *Manager) test(ctx context.Context, id string) error {
	m.mu.Lock()
	p, d := m.owner(id), m.find(id)
	m.mu.Unlock()
	if p == nil {
		return errNoDevice
	}
	allocation := "self-test." + id
	edits, err := p.reserve(ctx, &pluginv1.ReserveRequest{
		AllocationId: allocation, Shares: []*pluginv1.Share{{DeviceId: id, Thousandths: d.Thousandths, MemoryMib: d.MemoryMib}},
	})
	if err != nil {
		return err
	}
	defer p.release(allocation)
	var nodes []string
	for _, n := range edits.GetDeviceNodes() {
		nodes = append(nodes, n.Path)
	}
	return hook.Run(ctx, m.cfg.SelfTest, append(slices.Clone(edits.GetEnv()),
		"CARAVAN_DEVICES="+id, "CARAVAN_DEVICE_NODES="+strings.Join(nodes, ","), "CARAVAN_DEVICE_KIND="+d.Kind, "CARAVAN_DEVICE_MODEL="+d.Model))
}

// Prolog runs what is to be run before a task: the hooks of its devices, and the operator's program,
// with those of the task's variables that its job has not made. An error is a *driver.Fault: the host
// or its devices are not fit, and the job has nothing to do with it.
func (m *Manager) Prolog(ctx context.Context, allocation string, env []string) error {
	if err := m.pluginHooks(ctx, sdk.HookCreate, allocation, env); err != nil || !m.cfg.Prolog.Set() {
		return err
	}
	return m.hooked(ctx, m.cfg.Prolog, health.CodeProlog, allocation, trusted(env, m.editsOf(allocation)))
}

// hooked runs a program for an allocation. A failure is a fault of its devices, or of the host if
// it has none.
func (m *Manager) hooked(ctx context.Context, p hook.Program, code, allocation string, env []string) error {
	err := hook.Run(ctx, p, env)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	m.mu.Lock()
	fault := &driver.Fault{Reason: driver.ReasonHostFault, Detail: fmt.Sprintf("%s: %v", code, err)}
	ids := []string{host}
	if h, ok := m.held[allocation]; ok && len(h.shares) > 0 {
		ids, fault.Reason = h.devices(), driver.ReasonDeviceFault
		fault.Detail = fmt.Sprintf("device %s: %s", strings.Join(ids, ", "), fault.Detail)
	}
	m.happened(ids, code, err.Error())
	m.mu.Unlock()
	m.tell()
	return fault
}

// Finish is called when no process of a task is left, before its devices are released: it runs the
// operator's program, looks whether the devices are as they were, and for a task that has failed
// returns the fault that explains it, nil for none. It may take as long as the program's limit and
// CleanTimeout.
func (m *Manager) Finish(ctx context.Context, allocation string, env []string, failed bool) *driver.Fault {
	m.mu.Lock()
	h, ok := m.held[allocation]
	m.mu.Unlock()
	if !ok {
		return nil
	}
	var fault *driver.Fault
	if failed {
		for _, p := range m.owners(h.shares) {
			m.look(ctx, p)
		}
		m.mu.Lock()
		fault = m.blame(h)
		m.mu.Unlock()
	}
	if m.cfg.Epilog.Set() {
		if err := m.hooked(ctx, m.cfg.Epilog, health.CodeEpilog, allocation, trusted(env, m.editsOf(allocation))); err != nil && ctx.Err() == nil {
			m.cfg.Logger.Warn("the epilog failed", "allocation", allocation, "error", err)
		}
	}
	if err := m.pluginHooks(ctx, sdk.HookStop, allocation, env); err != nil && ctx.Err() == nil {
		m.cfg.Logger.Warn("a hook of a device failed", "allocation", allocation, "error", err)
	}
	for _, id := range h.devices() {
		m.clean(ctx, id, allocation)
	}
	return fault
}

// owners are the plugins of some shares.
func (m *Manager) owners(shares []*pb.DeviceShare) []*plugin {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*plugin
	for _, s := range shares {
		if p := m.owner(s.DeviceId); p != nil && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// shared reports whether another allocation holds a device too.
func (m *Manager) shared(id, allocation string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for other, h := range m.held {
		if other != allocation && h.has(id) {
			return true
		}
	}
	return false
}

// cleanPause is the time between two looks at what is left on a device.
const cleanPause = 200 * time.Millisecond

// clean waits until nothing of a task is left on a device. What others use cannot be told from what
// is left, so a shared device is looked at when its last task has ended.
func (m *Manager) clean(ctx context.Context, id, allocation string) {
	if m.shared(id, allocation) {
		return
	}
	deadline := time.Now().Add(m.cfg.CleanTimeout)
	for {
		left, err := m.leftOn(ctx, id)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			m.cfg.Logger.Warn("cannot tell what is left on a device", "device", id, "error", err)
			return
		case left == "":
			return
		case time.Now().After(deadline):
			m.mu.Lock()
			m.dirty[id] = true
			m.raise(id, health.CodeNotClean, left)
			m.mu.Unlock()
			m.tell()
			return
		}
		t := time.NewTimer(cleanPause)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// leftOn says what is left on a device, "" for nothing or where nobody can know.
func (m *Manager) leftOn(ctx context.Context, id string) (string, error) {
	m.mu.Lock()
	p := m.owner(id)
	m.mu.Unlock()
	if p == nil {
		return "", nil
	}
	c := p.now()
	if c == nil {
		return "", errDown
	}
	left, err := c.Clean(ctx, id)
	if status.Code(err) == codes.Unimplemented || status.Code(err) == codes.NotFound {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var what []string
	const most = 8
	for _, pid := range left.Pids[:min(most, len(left.Pids))] {
		what = append(what, fmt.Sprintf("process %d", pid))
	}
	if left.MemoryLeftBytes > 0 {
		what = append(what, fmt.Sprintf("%d MiB of its memory", (left.MemoryLeftBytes+1<<20-1)>>20))
	}
	return strings.Join(append(what, left.Modes...), ", "), nil
}

// lookAgain looks at devices on which something was left.
func (m *Manager) lookAgain(ctx context.Context) {
	m.mu.Lock()
	var ids []string
	for id := range m.dirty {
		if !m.isHeld(id) {
			ids = append(ids, id)
		}
	}
	m.mu.Unlock()
	for _, id := range ids {
		left, err := m.leftOn(ctx, id)
		if err != nil || left != "" {
			continue
		}
		m.mu.Lock()
		delete(m.dirty, id)
		m.clear(id, health.CodeNotClean)
		m.mu.Unlock()
	}
}

// errUnknownVerb is the answer to an order of a newer version.
var errUnknownVerb = errors.New("this version does not know what it asks for")

// Obey carries out the servers' orders that it has not carried out before.
func (m *Manager) Obey(orders []*pb.HealthOrder) {
	for _, o := range orders {
		m.mu.Lock()
		if err := m.obey(o); err != nil {
			m.cfg.Logger.Error("an order cannot be obeyed", "device", o.Device, "by", o.By, "error", err)
		}
		m.mu.Unlock()
	}
	if len(orders) > 0 {
		m.tell()
	}
}

// obey carries out one order; m.mu is held.
func (m *Manager) obey(o *pb.HealthOrder) error {
	if o.Device != host && m.owner(o.Device) == nil {
		return errNoDevice
	}
	r := m.record(o.Device)
	if o.Index <= r.Health.Order {
		return nil
	}
	m.cfg.Logger.Info("obeying an order", "device", o.Device, "verb", o.Verb, "by", o.By, "reason", o.Reason)
	switch o.Verb {
	case pb.HealthVerb_HEALTH_VERB_QUARANTINE:
		m.apply(o.Device, r, health.Banned{Reason: o.Reason + " (" + o.By + ")", Finish: o.Finish, Order: o.Index, At: now()})
	case pb.HealthVerb_HEALTH_VERB_RETURN:
		m.apply(o.Device, r, health.Returned{Order: o.Index, At: now()})
	case pb.HealthVerb_HEALTH_VERB_FAULT:
		m.happened([]string{o.Device}, o.Fault, o.Reason)
		r.Health.Order, m.unsaved = o.Index, true
	default:
		return errUnknownVerb
	}
	return nil
}
