package device

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"caravan/agent/device/health"
	"caravan/agent/device/hook"
	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// given keeps what a plugin said comes with an allocation's devices.
func (m *Manager) given(allocation string, p *plugin, edits *pluginv1.Edits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h, held := m.held[allocation]; held {
		all := maps.Clone(h.edits)
		if all == nil {
			all = make(map[string]*pluginv1.Edits)
		}
		all[p.Name] = edits
		h.edits = all
	}
}

// editsOf are what came with an allocation's devices, in the order of plugins.
func (m *Manager) editsOf(allocation string) []*pluginv1.Edits {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, held := m.held[allocation]
	if !held {
		return nil
	}
	var all []*pluginv1.Edits
	for _, name := range slices.Sorted(maps.Keys(h.edits)) {
		all = append(all, h.edits[name])
	}
	return all
}

// own is the prefix of the variables that describe a task; a job cannot set them.
const own = "CARAVAN_"

// trusted returns those of a task's variables that are not of its job's making, and those that its
// devices bring: the programs around a task run with the agent's rights, and a job that could set
// LD_PRELOAD or PATH for them would have these too.
func trusted(env []string, edits []*pluginv1.Edits) []string {
	out := slices.DeleteFunc(slices.Clone(env), func(kv string) bool { return !strings.HasPrefix(kv, own) })
	for _, e := range edits {
		out = append(out, e.GetEnv()...)
	}
	return out
}

// hookTimeout bounds a plugin's hook that has no limit of its own.
const hookTimeout = 10 * time.Second

// pluginHooks runs the hooks of one name that came with an allocation's devices. The first failure is
// an error of the kind that hooked returns; before a task it is the last thing that is done.
func (m *Manager) pluginHooks(ctx context.Context, name, allocation string, env []string) error {
	edits := m.editsOf(allocation)
	var first error
	for _, e := range edits {
		for _, h := range e.GetHooks() {
			if h.Name != name {
				continue
			}
			p := hook.Program{Command: append([]string{h.Path}, h.Args[min(1, len(h.Args)):]...), Timeout: cmp.Or(time.Duration(h.TimeoutMs)*time.Millisecond, hookTimeout)}
			if err := m.hooked(ctx, p, health.CodeHook, allocation, append(trusted(env, edits), h.Env...)); err != nil {
				first = cmp.Or(first, err)
				if name == sdk.HookCreate {
					return first
				}
			}
		}
	}
	return first
}
