package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// detachBinds takes copies of what is bound elsewhere. Links are followed: the paths are those of who
// offers devices, and drivers' libraries are links to those of their version.
func detachBinds(binds []Bind) (trees []tree, err error) {
	for _, b := range binds {
		fd, err := unix.OpenTree(unix.AT_FDCWD, b.From, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return trees, fmt.Errorf("bring %s to %s: %w", b.From, b.To, err)
		}
		trees = append(trees, tree{fd: fd, path: b.To})
	}
	return trees, nil
}

// bind puts a copy in its place.
func bind(t tree, b Bind, cfg Config) error {
	if _, err := os.Lstat(b.To); errors.Is(err, os.ErrNotExist) {
		if !cfg.own(b.To) {
			return fmt.Errorf("bring %s to %s: the host has nothing there to cover (make an empty file or directory)", b.From, b.To)
		}
		if err := makeTarget(t, b.To); err != nil {
			return err
		}
	}
	if err := unix.MoveMount(t.fd, "", unix.AT_FDCWD, b.To, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("bring %s to %s: %w", b.From, b.To, err)
	}
	if !b.ReadOnly {
		return nil
	}
	return setReadOnly(b.To, true)
}

// Temporary lists the directories of which a task in a sandbox has its own in place of the host's.
func Temporary() []string { return []string{"/tmp", "/var/tmp"} }

// own reports whether a path lies in a directory that is the task's alone, not the host's.
func (c Config) own(path string) bool {
	if c.Root != nil {
		return true
	}
	dirs := slices.Clone(c.Hide)
	if c.Tmp != "" {
		dirs = append(dirs, Temporary()...)
	}
	shared := func(dir string) bool { return path == dir || below(path, dir) }
	return slices.ContainsFunc(dirs, shared) && !slices.ContainsFunc(slices.Concat(c.Share, c.Keep), shared)
}

// makeTarget makes what a copy is put on: a directory for a directory, a file for anything else.
func makeTarget(t tree, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(t.fd, &st); err != nil {
		return fmt.Errorf("bring something to %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return makePath(path)
	}
	if err := makePath(filepath.Dir(path)); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return f.Close()
}
