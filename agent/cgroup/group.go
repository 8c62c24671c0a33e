package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs"
	"github.com/opencontainers/cgroups/fs2"
)

// ErrUnavailable means that this process may not create control groups on this host: it
// is not root, no hierarchy is mounted, or the tree is read-only. Callers decide whether
// to run without limits.
var ErrUnavailable = errors.New("control groups are not available (mount cgroup v1 or v2 and run as root, or delegate a subtree)")

// Group is one control group.
type Group struct {
	path    string
	unified bool
	mgr     cgroups.Manager
	// dirs are the group's directories by controller; "" is the v2 directory.
	dirs map[string]string
}

// Create makes the group at the given absolute path, for example /caravan/task-1, and sets
// its limits. Creating a group that exists already sets the limits anew. It returns an error
// that wraps ErrUnavailable when this host or user cannot have control groups at all.
func Create(groupPath string, l Limits) (*Group, error) {
	if err := l.validate(); err != nil {
		return nil, fmt.Errorf("cgroup %s: %w", groupPath, err)
	}
	g, err := open(groupPath, l, l.controllers)
	if err != nil {
		return nil, err
	}
	if err := g.create(l); err != nil {
		return nil, errors.Join(err, g.Destroy())
	}
	return g, nil
}

func (g *Group) create(l Limits) error {
	if err := g.mgr.Apply(-1); err != nil {
		return g.unavailable("create", err)
	}
	if !g.Exists() {
		return g.unavailable("create", errors.New("no hierarchy is mounted"))
	}
	res := l.resources(g.hasSwapLimit())
	if g.unified {
		res = accountMemory(res)
	}
	if err := g.mgr.Set(res); err != nil {
		return fmt.Errorf("cgroup %s: set limits: %w", g.path, err)
	}
	if l.DeviceWall {
		return g.checkWall()
	}
	return nil
}

// Open returns the group at the given path without creating anything. A group that no
// longer exists is no error: it is empty, and Kill and Destroy do nothing.
func Open(groupPath string) (*Group, error) {
	return open(groupPath, Limits{}, func(_, dir string) bool { return cgroups.PathExists(dir) })
}

// Join moves a process (all its threads) into the group at the given path in every
// hierarchy of the host, creating the group if need be. It is how a process leaves its
// parent's groups.
func Join(groupPath string, pid int) error {
	g, err := open(groupPath, Limits{}, func(_, _ string) bool { return true })
	if err != nil {
		return err
	}
	if err := g.mgr.Apply(pid); err != nil {
		return g.unavailable("join", err)
	}
	return nil
}

// Contains reports whether a process is in the group in every hierarchy of the host.
func Contains(groupPath string, pid int) (bool, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return false, fmt.Errorf("cgroup %s: %w", groupPath, err)
	}
	// Lines of number:controllers:path; see cgroups(7).
	for line := range strings.Lines(string(raw)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 || parts[2] != groupPath {
			return false, nil
		}
	}
	return true, nil
}

// open builds the library's manager for the v1 hierarchies that keep wants, given their
// controller and the group's directory there. v2 has but one.
func open(groupPath string, l Limits, keep func(controller, dir string) bool) (*Group, error) {
	if !path.IsAbs(groupPath) || path.Clean(groupPath) != groupPath || groupPath == "/" {
		return nil, fmt.Errorf("cgroup path %q must be absolute, clean and below the root, for example /caravan/task-1", groupPath)
	}
	g := &Group{path: groupPath, unified: cgroups.IsCgroup2UnifiedMode()}
	cfg := &cgroups.Cgroup{Path: groupPath, Resources: l.resources(false)}
	if g.unified {
		dir := filepath.Join(fs2.UnifiedMountpoint, groupPath)
		cfg.Resources = accountMemory(cfg.Resources)
		mgr, err := fs2.NewManager(cfg, dir)
		if err != nil {
			return nil, g.unavailable("open", err)
		}
		g.mgr, g.dirs = mgr, map[string]string{"": dir}
		return g, nil
	}
	all, err := fs.NewManager(cfg, nil)
	if err != nil {
		return nil, g.unavailable("open", err)
	}
	g.dirs = make(map[string]string)
	for name, dir := range all.GetPaths() {
		if keep(name, dir) {
			g.dirs[name] = dir
		}
	}
	paths := make(map[string]string, len(g.dirs))
	for name, dir := range g.dirs {
		paths[name] = dir
	}
	if g.mgr, err = fs.NewManager(cfg, paths); err != nil {
		return nil, g.unavailable("open", err)
	}
	return g, nil
}

// controllers are the v1 hierarchies that a group with these limits needs. Every further one
// costs a directory and a write per launch, so those without a purpose are left alone.
func (l Limits) controllers(name, _ string) bool {
	switch name {
	case "", "cpu", "cpuacct", "memory", "pids", "freezer":
		return true
	case "cpuset":
		return l.CPUs != "" || l.MemoryNodes != ""
	case "devices":
		return l.DeviceWall
	}
	return false
}

// Path returns the group's name, as given to Create or Open.
func (g *Group) Path() string { return g.path }

// Add moves a process (all its threads) into the group in every hierarchy it uses. It fails
// if the group does not exist.
func (g *Group) Add(pid int) error {
	if len(g.dirs) == 0 {
		return fmt.Errorf("cgroup %s: add process %d: %w", g.path, pid, os.ErrNotExist)
	}
	if err := g.mgr.AddPid("", pid); err != nil {
		return fmt.Errorf("cgroup %s: add process %d: %w", g.path, pid, err)
	}
	return nil
}

// Pids returns the processes in the group and in the groups below it.
func (g *Group) Pids() ([]int, error) {
	seen := make(map[int]bool)
	var pids []int
	for _, dir := range g.dirs {
		in, err := cgroups.GetAllPids(dir)
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cgroup %s: list processes: %w", g.path, err)
		}
		for _, pid := range in {
			if !seen[pid] {
				seen[pid] = true
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}

// Destroy removes the group. It must be empty; see Kill.
func (g *Group) Destroy() error {
	for _, dir := range g.dirs {
		if err := cgroups.RemovePath(dir); err != nil {
			return fmt.Errorf("cgroup %s: remove: %w", g.path, err)
		}
	}
	return nil
}

// Exists reports whether any of the group's directories is there.
func (g *Group) Exists() bool {
	for _, dir := range g.dirs {
		if cgroups.PathExists(dir) {
			return true
		}
	}
	return false
}

func (g *Group) hasSwapLimit() bool {
	if g.unified {
		return cgroups.PathExists(filepath.Join(g.dirs[""], "memory.swap.max"))
	}
	return cgroups.PathExists(filepath.Join(g.dirs["memory"], "memory.memsw.limit_in_bytes"))
}

// unavailable wraps permission and mount errors in ErrUnavailable and leaves others plain.
func (g *Group) unavailable(op string, err error) error {
	missing := cgroups.IsNotFound(err) || strings.Contains(err.Error(), "no cgroup mount")
	if missing || errors.Is(err, os.ErrPermission) || errors.Is(err, errReadOnly) || !g.mounted() {
		return fmt.Errorf("cgroup %s: %s: %w: %w", g.path, op, ErrUnavailable, err)
	}
	return fmt.Errorf("cgroup %s: %s: %w", g.path, op, err)
}

func (g *Group) mounted() bool { return g.unified || len(g.dirs) > 0 }
