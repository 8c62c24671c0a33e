package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
)

// Pin binds the group to other processors and memory nodes, in the kernel's list format; "" leaves
// either as it is. The group must have been created with CPUs or MemoryNodes: in v1 a process is in no
// cpuset group otherwise. Memory that is there already stays where it is.
func (g *Group) Pin(cpus, memoryNodes string) error {
	dir, ok := g.dirs["cpuset"]
	if g.unified {
		dir, ok = g.dirs[""], true
	}
	if !ok {
		return fmt.Errorf("cgroup %s: it was not created with processors of its own: %w", g.path, os.ErrNotExist)
	}
	for file, list := range map[string]string{"cpuset.cpus": cpus, "cpuset.mems": memoryNodes} {
		if list == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(list), 0); err != nil {
			return fmt.Errorf("cgroup %s: set %s to %s: %w", g.path, file, list, err)
		}
	}
	return nil
}
