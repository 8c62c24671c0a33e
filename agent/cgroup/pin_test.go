package cgroup_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"k8s.io/utils/cpuset"

	"caravan/agent/cgroup"
)

// affinity returns the processors and memory nodes that a process may use.
func affinity(t *testing.T, pid int) (cpus, nodes string) {
	t.Helper()
	for line := range strings.Lines(status(t, pid)) {
		if v, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			cpus = strings.TrimSpace(v)
		}
		if v, ok := strings.CutPrefix(line, "Mems_allowed_list:"); ok {
			nodes = strings.TrimSpace(v)
		}
	}
	return cpus, nodes
}

func status(t *testing.T, pid int) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestAGroupRunsOnItsProcessorsAndIsMoved(t *testing.T) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	var mine []int
	for c := range 1024 {
		if all.IsSet(c) {
			mine = append(mine, c)
		}
	}
	first, last := cpuset.New(mine[0]).String(), cpuset.New(mine[len(mine)-1]).String()
	g := create(t, cgroup.Limits{CPUs: first, MemoryNodes: "0"})
	cmd := start(t, g, "echo ready; sleep 100")
	if cpus, nodes := affinity(t, cmd.Process.Pid); cpus != first || nodes != "0" {
		t.Errorf("it may run on processors %s with memory of %s", cpus, nodes)
	}
	again, err := cgroup.Open(g.Path())
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Pin(last, ""); err != nil {
		t.Fatal(err)
	}
	if cpus, _ := affinity(t, cmd.Process.Pid); cpus != last {
		t.Errorf("moved to %s, it may run on %s", last, cpus)
	}
	if err := again.Pin("4095", ""); err == nil {
		t.Error("it was moved to a processor that does not exist")
	}
}

func TestAGroupWithoutProcessorsOfItsOwnIsNotMoved(t *testing.T) {
	g := create(t, cgroup.Limits{CPUWeightMilli: 1000})
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return // v2 has but one directory, and any group can be bound later
	}
	if err := g.Pin("0", ""); err == nil {
		t.Error("a group outside of the cpuset hierarchy was bound")
	}
}
