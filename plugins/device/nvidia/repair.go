package nvidia

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/plugins/sdk/pluginv1"
)

// Reset resets the GPU of a device, which nobody holds, and divides it as it was. NVML has no call
// for that, so the vendor's program does it. Other instances of the GPU would be reset with it, so
// they must be idle too.
func (p *Plugin) Reset(ctx context.Context, device string) error {
	g, err := p.beginReset(ctx, device)
	if err != nil {
		return err
	}
	defer p.wake()
	defer p.endReset(g.UUID)
	if err := p.cfg.Library.Apart(ctx, g.UUID, func(ctx context.Context) error { return p.resetGPU(ctx, g) }); err != nil {
		return err
	}
	p.ledger.forget(g.UUID) // what happened before it is over
	return p.divideAgain(ctx, g)
}

// Reaches returns the other instances of a device's GPU.
func (p *Plugin) Reaches(device string) []string {
	of, err := p.find(device)
	if err != nil || of.instance == nil {
		return nil
	}
	var others []string
	for _, i := range of.gpu.MIG.Instances {
		if id := deviceID(i.UUID); i.UUID != "" && id != device {
			others = append(others, id)
		}
	}
	return others
}

// beginReset keeps an idle GPU from being divided.
func (p *Plugin) beginReset(ctx context.Context, device string) (GPU, error) {
	p.dividing.Lock()
	defer p.dividing.Unlock()
	of, err := p.find(device)
	if err != nil {
		return of.gpu, err
	}
	if p.isReset(of.gpu.UUID) {
		return of.gpu, status.Errorf(codes.FailedPrecondition, "GPU %s is being reset already", of.gpu.UUID)
	}
	if err := p.daemons.sweep(ctx, of.gpu.UUID); err != nil {
		return of.gpu, err
	}
	if err := p.idle(ctx, of.gpu); err != nil {
		return of.gpu, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resetting[of.gpu.UUID] = true
	return of.gpu, nil
}

func (p *Plugin) endReset(uuid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.resetting, uuid)
}

// isReset reports whether a GPU is being reset.
func (p *Plugin) isReset(uuid string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resetting[uuid]
}

// idle fails while a GPU is used. One that does not answer cannot tell its processes.
func (p *Plugin) idle(ctx context.Context, g GPU) error {
	users, err := p.users(ctx, g)
	if err != nil && !errors.Is(err, ErrNotAnswering) {
		return err
	}
	if users.any(g) {
		return status.Errorf(codes.FailedPrecondition, "GPU %s is in use (all of it is reset, or nothing)", g.UUID)
	}
	return nil
}

// resetGPU runs the vendor's program.
func (p *Plugin) resetGPU(ctx context.Context, g GPU) error {
	cmd := exec.CommandContext(ctx, p.cfg.SMI, "--gpu-reset", "-i", g.UUID)
	out, err := cmd.CombinedOutput()
	if err != nil {
		said := bytes.TrimSpace(out)
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, said[:min(len(said), maxDetail)])
	}
	return nil
}

// divideAgain makes the instances that a reset has removed, at their places.
func (p *Plugin) divideAgain(ctx context.Context, before GPU) error {
	if !before.divided() {
		return nil
	}
	host, err := p.cfg.Library.Look(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(host.GPUs, func(g GPU) bool { return g.UUID == before.UUID })
	if at < 0 {
		return fmt.Errorf("GPU %s is gone after its reset", before.UUID)
	}
	now := host.GPUs[at]
	if !now.divided() {
		if err := p.cfg.Library.SetMIG(ctx, now.UUID, true); err != nil {
			return err
		}
	}
	for _, i := range before.MIG.Instances {
		if now.divided() && slices.ContainsFunc(now.MIG.Instances, func(n Instance) bool { return n.Start == i.Start && n.Profile == i.Profile }) {
			continue
		}
		of := slices.IndexFunc(before.MIG.Profiles, func(profile Profile) bool { return profile.ID == i.Profile })
		if of < 0 {
			continue // the layout makes one that the driver knows
		}
		if err := p.cfg.Library.CreateInstance(ctx, now.UUID, before.MIG.Profiles[of], i.Start); err != nil {
			return fmt.Errorf("make instance %s again: %w", before.MIG.profile(i), err)
		}
	}
	return nil
}

// Clean sets a GPU's modes back to what they were before its task, and says what the task has left.
func (p *Plugin) Clean(ctx context.Context, device string) (*pluginv1.CleanResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.LookTimeout)
	defer cancel()
	of, err := p.find(device)
	if err != nil {
		return nil, err
	}
	measured, err := p.cfg.Library.Measure(ctx)
	if err != nil {
		return nil, err
	}
	left := &pluginv1.CleanResponse{}
	used, known := int64(0), false
	for _, m := range measured {
		if m.UUID == of.uuid() {
			used, known = m.Values[memoryUsed], true
		}
		for _, u := range p.uses([]Measurement{m}) {
			switch {
			case u.DeviceId != device:
			case p.serves(u):
				used -= u.Values[memoryUsed] // it ends when the device is released
			default:
				left.Pids = append(left.Pids, u.Pid)
			}
		}
	}
	if !known {
		return nil, fmt.Errorf("GPU %s does not answer", of.uuid())
	}
	if over := used - p.idleMemory(of); over > memorySlack {
		left.MemoryLeftBytes = over
	}
	if of.instance == nil {
		left.Modes, err = p.restore(ctx, of.gpu)
	}
	return left, err
}

// memoryUsed is the name of the figure that tells how much memory is in use.
const memoryUsed = "memory_used_bytes"

// memorySlack is how much more than in idleness is no leftover: the driver's own use varies.
const memorySlack = 64 << 20

// maxIdleMiB is what an idle GPU is taken to use at most when it was never seen idle.
const maxIdleMiB = 512

// idleMemory is what a device uses when nobody does.
func (p *Plugin) idleMemory(of part) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if bytes, seen := p.unused[of.uuid()]; seen {
		return bytes
	}
	return maxIdleMiB << 20
}

// seeIdle remembers the least memory that a device used while nobody did.
func (p *Plugin) seeIdle(ctx context.Context) error {
	if !p.settled() {
		return nil
	}
	measured, err := p.cfg.Library.Measure(ctx)
	if err != nil {
		return nil //nolint:nilerr // the inventory says it
	}
	busy := p.held()
	for _, u := range p.uses(measured) {
		busy[u.DeviceId] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range measured {
		used, told := m.Values[memoryUsed]
		before, seen := p.unused[m.UUID]
		if told && !busy[deviceID(m.UUID)] && (!seen || used < before) {
			p.unused[m.UUID] = used
		}
	}
	return nil
}

// noteModes remembers the modes of GPUs that an allocation is the first to hold. p.mu is held.
func (p *Plugin) noteModes(devices []string) {
	for _, device := range devices {
		for _, g := range p.known {
			if deviceID(g.UUID) != device {
				continue
			}
			held := false
			for _, others := range p.holders {
				held = held || slices.Contains(others, device)
			}
			if !held {
				p.before[g.UUID] = g
			}
		}
	}
}

// restore sets a GPU back to what it was before its task.
func (p *Plugin) restore(ctx context.Context, g GPU) ([]string, error) {
	p.mu.Lock()
	before, known := p.before[g.UUID]
	p.mu.Unlock()
	if !known {
		return nil, nil // no task had it
	}
	to := before.Modes
	if p.daemons.used(g.UUID) {
		to.Compute = "" // its last client sets it back
	}
	return p.cfg.Library.Restore(ctx, g.UUID, to, !p.cfg.KeepLockedClocks)
}
