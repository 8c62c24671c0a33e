package nvidia

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Layout says how GPUs are to be divided: profiles by GPU, which is a UUID, a PCI address or "*"
// for those not named. A GPU that no entry covers is left as it is.
type Layout map[string][]string

// ParseLayout reads entries GPU=PROFILE,PROFILE...; no profile means an undivided GPU.
func ParseLayout(entries []string) (Layout, error) {
	l := make(Layout)
	for _, entry := range entries {
		gpu, profiles, ok := strings.Cut(entry, "=")
		if _, double := l[gpu]; !ok || gpu == "" || double {
			return nil, fmt.Errorf("layout %q: write GPU=PROFILE,PROFILE once for each GPU, as in *=3g.20gb,3g.20gb", entry)
		}
		l[gpu] = nil
		for name := range strings.SplitSeq(profiles, ",") {
			if name = strings.TrimSpace(name); name != "" {
				l[gpu] = append(l[gpu], name)
			}
		}
	}
	return l, nil
}

// of returns what a GPU is to be.
func (l Layout) of(g GPU) (profiles []string, covered bool) {
	for _, key := range []string{g.UUID, g.PCI, "*"} {
		if profiles, ok := l[key]; ok {
			return profiles, true
		}
	}
	return nil, false
}

// profile names an instance's profile.
func (m *MIG) profile(i Instance) string {
	for _, p := range m.Profiles {
		if p.ID == i.Profile {
			return p.Name()
		}
	}
	return fmt.Sprintf("%dg", i.Slices)
}

// placement is an instance to make.
type placement struct {
	profile Profile
	start   int
}

// plan is what leads from the instances of a GPU to those that are wanted.
type plan struct {
	destroy []Instance
	create  []placement
}

// errInUse means that wanted instances have no room beside those that are in use.
var errInUse = errors.New("instances in use stand in the way (it is done when they are idle)")

// planInstances finds how to get to the wanted profiles. Instances that fit are kept, others are
// destroyed when idle. The new ones are placed by trying the driver's possible placements, larger
// profiles first; where they do not fit beside what could be kept, all idle instances make way.
func planInstances(m MIG, want []string, busy func(Instance) bool) (plan, error) {
	byName := make(map[string]Profile)
	var names []string
	for _, p := range m.Profiles {
		byName[p.Name()] = p
		names = append(names, p.Name())
	}
	var wanted []Profile
	for _, name := range want {
		p, ok := byName[name]
		if !ok {
			return plan{}, fmt.Errorf("there is no profile %q, but %s", name, strings.Join(names, ", "))
		}
		wanted = append(wanted, p)
	}
	if _, fits := place(m.Profiles, nil, wanted); !fits {
		return plan{}, fmt.Errorf("%s do not fit on the GPU", strings.Join(want, ", "))
	}
	for _, keepIdle := range []bool{true, false} {
		kept, left, rest := keep(m.Instances, wanted, func(i Instance) bool { return keepIdle || busy(i) })
		stuck := slices.ContainsFunc(rest, busy)
		var gone []Instance
		for _, i := range rest {
			if busy(i) {
				kept = append(kept, i)
			} else {
				gone = append(gone, i)
			}
		}
		create, fits := place(m.Profiles, kept, left)
		switch {
		case fits && stuck && len(create) == 0 && len(gone) == 0:
			return plan{}, errInUse
		case fits:
			return plan{destroy: gone, create: create}, nil
		}
	}
	return plan{}, errInUse
}

// keep divides instances into those that are wanted and the rest, and returns the profiles that
// are left to make.
func keep(have []Instance, wanted []Profile, may func(Instance) bool) (kept []Instance, left []Profile, rest []Instance) {
	left = slices.Clone(wanted)
	for _, i := range have {
		at := slices.IndexFunc(left, func(p Profile) bool { return p.ID == i.Profile && i.UUID != "" })
		if at < 0 || !may(i) {
			rest = append(rest, i)
			continue
		}
		kept = append(kept, i)
		left = slices.Delete(left, at, at+1)
	}
	return kept, left, rest
}

// place finds a start for each profile beside the instances that stay. The rules: instances share
// no slice of memory; all together have no more slices of compute than the largest profile; and no
// profile exists more often than the driver says. At most seven instances exist on a GPU, so trying
// all is quick.
func place(known []Profile, kept []Instance, wanted []Profile) ([]placement, bool) {
	b := board{counts: make(map[int]int), most: make(map[int]int)}
	for _, p := range known {
		b.slices = max(b.slices, p.Slices)
		b.most[p.ID] = p.Most
	}
	for _, i := range kept {
		b.put(i.Profile, i.Start, i.Size, i.Slices)
	}
	order := slices.Clone(wanted)
	slices.SortStableFunc(order, func(a, b Profile) int { return b.Size - a.Size })
	if len(order) > maxInstances {
		return nil, false
	}
	return b.try(order)
}

// maxInstances of one GPU.
const maxInstances = 7

// board is what is taken of a GPU.
type board struct {
	memory uint64 // taken slices, a bit each
	taken  int    // slices of compute
	slices int    // of compute, that there are
	counts map[int]int
	most   map[int]int
}

func mask(start, size int) uint64 { return (1<<size - 1) << start }

func (b *board) put(profile, start, size, compute int) {
	b.memory |= mask(start, size)
	b.taken += compute
	b.counts[profile]++
}

func (b *board) remove(profile, start, size, compute int) {
	b.memory &^= mask(start, size)
	b.taken -= compute
	b.counts[profile]--
}

// try places the first profile at each possible start until the others fit too.
func (b *board) try(order []Profile) ([]placement, bool) {
	if len(order) == 0 {
		return nil, true
	}
	p := order[0]
	if b.taken+p.Slices > b.slices || b.counts[p.ID] >= b.most[p.ID] {
		return nil, false
	}
	for _, start := range p.Starts {
		if b.memory&mask(start, p.Size) != 0 {
			continue
		}
		b.put(p.ID, start, p.Size, p.Slices)
		rest, fits := b.try(order[1:])
		b.remove(p.ID, start, p.Size, p.Slices)
		if fits {
			return append([]placement{{profile: p, start: start}}, rest...), true
		}
	}
	return nil, false
}

// divide brings the GPUs to their layout, as far as they are idle.
func (p *Plugin) divide(ctx context.Context) error {
	if len(p.cfg.Layout) == 0 {
		return nil
	}
	var faults []error
	for _, g := range p.gpus() {
		profiles, covered := p.cfg.Layout.of(g)
		if !covered || g.Lost || g.NotAnswering || p.isReset(g.UUID) {
			continue
		}
		if err := p.divideGPU(ctx, g, profiles); err != nil {
			faults = append(faults, fmt.Errorf("MIG layout of GPU %s: %w", g.UUID, err))
		}
	}
	return errors.Join(faults...)
}

func (p *Plugin) divideGPU(ctx context.Context, g GPU, profiles []string) error {
	on := len(profiles) > 0
	switch {
	case g.MIG == nil && !on:
		return nil
	case g.MIG == nil:
		return errors.New("it cannot be divided")
	case g.MIG.Pending != g.MIG.Enabled && g.MIG.Pending == on:
		return fmt.Errorf("its MIG mode changes to %t when the GPU is reset (nvidia-smi --gpu-reset)", on)
	}
	p.dividing.Lock()
	defer p.dividing.Unlock()
	users, err := p.users(ctx, g)
	if err != nil {
		return err
	}
	if !g.MIG.Enabled || !on {
		return p.switchMIG(ctx, g, on, users)
	}
	todo, err := planInstances(*g.MIG, profiles, users.of)
	if err != nil {
		return err
	}
	if len(todo.destroy) > 0 && !p.settled() {
		return nil // what running tasks hold is not known yet
	}
	if err := p.destroy(ctx, g, todo.destroy); err != nil {
		return err
	}
	for _, c := range todo.create {
		if err := p.cfg.Library.CreateInstance(ctx, g.UUID, c.profile, c.start); err != nil {
			return fmt.Errorf("create %s at %d: %w", c.profile.Name(), c.start, err)
		}
	}
	if len(todo.destroy)+len(todo.create) > 0 {
		p.wake()
	}
	return nil
}

// destroy removes instances, and makes sure that nobody is given one of them any more.
func (p *Plugin) destroy(ctx context.Context, g GPU, instances []Instance) error {
	m := *g.MIG
	m.Instances = slices.DeleteFunc(slices.Clone(m.Instances), func(i Instance) bool { return slices.Contains(instances, i) })
	g.MIG = &m
	p.mu.Lock()
	p.known[g.UUID] = g // until the next look
	p.mu.Unlock()
	for _, i := range instances {
		if err := p.cfg.Library.DestroyInstance(ctx, g.UUID, i.ID); err != nil {
			return fmt.Errorf("destroy instance %d: %w", i.ID, err)
		}
	}
	return nil
}

// switchMIG changes a GPU's mode when nobody uses it.
func (p *Plugin) switchMIG(ctx context.Context, g GPU, on bool, u usage) error {
	if g.MIG.Enabled == on || !p.settled() {
		return nil
	}
	if u.any(g) {
		return errInUse
	}
	if !on {
		if err := p.destroy(ctx, g, g.MIG.Instances); err != nil {
			return err
		}
	}
	if err := p.cfg.Library.SetMIG(ctx, g.UUID, on); err != nil {
		return fmt.Errorf("change its MIG mode: %w", err)
	}
	p.wake()
	return nil
}

// usage tells which parts of a GPU are in use.
type usage struct {
	held      map[string]bool // devices that allocations hold
	processes map[int]bool    // by instance; -1 for the GPU itself
}

func (u usage) of(i Instance) bool { return u.held[deviceID(i.UUID)] || u.processes[i.ID] }

// any tells whether any of a GPU is in use.
func (u usage) any(g GPU) bool {
	return len(u.processes) > 0 || u.held[deviceID(g.UUID)] || g.MIG != nil && slices.ContainsFunc(g.MIG.Instances, u.of)
}

func (p *Plugin) users(ctx context.Context, g GPU) (usage, error) {
	u := usage{held: p.held(), processes: make(map[int]bool)}
	samples, err := p.cfg.Library.Measure(ctx)
	if err != nil {
		return u, err
	}
	for _, s := range samples {
		if s.UUID != g.UUID {
			continue
		}
		for _, process := range s.Processes {
			u.processes[process.Instance] = true
		}
	}
	return u, nil
}
