package sysfs

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"caravan/plugins/sdk/pluginv1"
)

// Openers are the processes that have one of the nodes open, by whatever name: other mount namespaces
// call it as they like, its numbers are the same everywhere. proc is where procfs is mounted. The
// calling process is left out, and so is what may not be looked at.
func Openers(proc string, nodes ...*pluginv1.DeviceNode) []int64 {
	var numbers []uint64
	for _, n := range nodes {
		numbers = append(numbers, unix.Mkdev(uint32(n.Major), uint32(n.Minor))) //nolint:gosec // device numbers
	}
	entries, err := os.ReadDir(proc)
	if err != nil || len(numbers) == 0 {
		return nil
	}
	var pids []int64
	for _, e := range entries {
		pid, err := strconv.ParseInt(e.Name(), 10, 64)
		if err != nil || pid == int64(os.Getpid()) {
			continue
		}
		fds := filepath.Join(proc, e.Name(), "fd")
		files, err := os.ReadDir(fds)
		if err != nil {
			continue // it is gone
		}
		if slices.ContainsFunc(files, func(f os.DirEntry) bool { return isDevice(filepath.Join(fds, f.Name()), numbers) }) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

func isDevice(path string, numbers []uint64) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && slices.Contains(numbers, st.Rdev)
}
