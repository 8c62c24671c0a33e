package device

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"caravan/agent/device/health"
	"caravan/agent/shim"
	"caravan/plugins/sdk/pluginv1"
)

// user is a process on a device.
type user struct {
	device  string
	pid     int64
	command string
}

func (u user) String() string {
	return fmt.Sprintf("%d %s", u.pid, cmp.Or(u.command, "?"))
}

// owned is what processes use of a device on behalf of an allocation.
type owned struct{ allocation, device string }

// process is one of a sample, with the allocations that it may be of.
type process struct {
	*pluginv1.ProcessStats
	of   []string
	gone bool
}

// identify looks processes up. It waits for the kernel, so m.mu is not held.
func (m *Manager) identify(all []*pluginv1.ProcessStats) []process {
	var out []process
	for _, p := range all {
		found := process{ProcessStats: p}
		if p.AllocationId != "" {
			found.of = append(found.of, p.AllocationId) // the plugin may know better
		}
		of, err := m.taskOf(p.Pid)
		found.of, found.gone = append(found.of, of...), err != nil
		out = append(out, found)
	}
	return out
}

// taskOf returns the allocation that a process is of: its control group tells it or, where tasks have
// none, the variable that each is given.
func (m *Manager) taskOf(pid int64) ([]string, error) {
	dir := filepath.Join(m.cfg.ProcRoot, strconv.FormatInt(pid, 10))
	groups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(groups)) { // number:controllers:path, see cgroups(7)
		if id, ok := shim.TaskOfGroup(strings.TrimSpace(line)); ok {
			return []string{id}, nil
		}
	}
	variables, _ := os.ReadFile(filepath.Join(dir, "environ")) // it may have ended
	for kv := range bytes.SplitSeq(variables, []byte{0}) {
		if id, ok := bytes.CutPrefix(kv, []byte(allocationEnv)); ok {
			return []string{string(id)}, nil
		}
	}
	return nil, nil
}

// allocationEnv begins the variable by which a task knows its allocation.
const allocationEnv = "CARAVAN_ALLOCATION="

// uses divides what processes use among the allocations that hold the devices, and finds the
// processes of nobody: squatters. told names the devices of which there are processes; m.mu is held.
func (m *Manager) uses(all []process) (told map[string]bool, used map[owned]map[string]int64, strangers []user) {
	told, used = make(map[string]bool), make(map[owned]map[string]int64)
	for _, p := range all {
		told[p.DeviceId] = true
		i := slices.IndexFunc(p.of, func(id string) bool { h, ok := m.held[id]; return ok && h.has(p.DeviceId) })
		switch {
		case i < 0 && !p.gone:
			strangers = append(strangers, user{p.DeviceId, p.Pid, p.Command})
			continue
		case i < 0:
			continue
		}
		key := owned{p.of[i], p.DeviceId}
		if used[key] == nil {
			used[key] = make(map[string]int64)
		}
		for name, n := range p.Values {
			used[key][name] += n
		}
	}
	return told, used, strangers
}

// squat takes in which processes of nobody were seen on some devices. One counts when it was seen
// twice: it may be of a task that has just been started, or has just ended. m.mu is held.
func (m *Manager) squat(devices []*pluginv1.DeviceStats, strangers []user) {
	for _, d := range devices {
		of := func(u user) bool { return u.device == d.DeviceId }
		var seen, twice []user
		for _, u := range strangers {
			if !of(u) {
				continue
			}
			seen = append(seen, u)
			if slices.Contains(m.strangers[d.DeviceId], u) {
				twice = append(twice, u)
			}
		}
		slices.SortFunc(twice, func(a, b user) int { return cmp.Compare(a.pid, b.pid) })
		before := m.squatters[d.DeviceId]
		m.strangers[d.DeviceId], m.squatters[d.DeviceId] = seen, twice
		switch {
		case m.find(d.DeviceId) == nil || slices.Equal(before, twice):
		case len(twice) == 0:
			m.clear(d.DeviceId, health.CodeSquatter)
		default:
			m.raise(d.DeviceId, health.CodeSquatter, squatterWords(twice))
		}
	}
}

// squatterWords name processes, as many as there is room for.
func squatterWords(all []user) string {
	const most = 5
	var words []string
	for _, u := range all[:min(len(all), most)] {
		words = append(words, u.String())
	}
	if more := len(all) - most; more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, ", ")
}
