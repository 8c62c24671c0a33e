// Package cgroup gives an allocation a control group of its own: limits, accounting
// and, above all, a way to kill everything in it.
//
// It is a thin layer over github.com/opencontainers/cgroups that hides the three layouts
// a host may have (Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst in the kernel):
//
//   - v1: one directory per controller; killing freezes the group first, so that a fork
//     bomb cannot outrun the signals;
//   - hybrid: v1 controllers with an empty v2 tree beside them; limits go to v1, killing
//     goes through cgroup.kill of the v2 tree, which is atomic;
//   - v2: one directory, cgroup.kill.
//
// Invariants:
//
//   - a group is named by its absolute path below the hierarchy roots, for example
//     /caravan/task-7f3a, so that any process can open it again from the name alone;
//   - Kill returns nil only when the group holds no process;
//   - a limit that was asked for is set or Create fails: no limit is dropped silently.
//
// The shim creates and destroys groups; the agent opens them to kill what a dead shim left
// behind and to run commands inside a running task. All methods are safe for concurrent use.
package cgroup
