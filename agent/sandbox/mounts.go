package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// hiddenOptions bound the empty directory that stands for a hidden one: it holds nothing but
// the way to what is kept.
const hiddenOptions = "mode=0711,size=1m,nr_inodes=4096"

// tree is a part of the host's files that is put in its place again once that is covered.
type tree struct {
	fd   int
	path string
	file bool // else a directory
}

// arrange mounts what the task sees, all but /proc. It runs in the new mount namespace.
func arrange(cfg Config) error {
	// What is mounted here stays here; what the host mounts later still arrives.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("part the mounts from the host's: %w", err)
	}
	if cfg.Root != nil {
		return arrangeRoot(cfg)
	}
	// All copies are taken before anything is covered or made read-only.
	shared, errShare := detach(cfg.Share)
	defer closeAll(shared)
	kept, errKeep := detach(cfg.Keep)
	defer closeAll(kept)
	tmp, errTmp := detachTmp(cfg.Tmp)
	defer closeAll(tmp)
	bound, errBind := detachBinds(cfg.Binds)
	defer closeAll(bound)
	if err := errors.Join(errShare, errKeep, errTmp, errBind); err != nil {
		return err
	}
	if cfg.ReadOnly {
		if err := setReadOnly("/", true); err != nil {
			return err
		}
	}
	if err := setReadOnly("/sys", true); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := attachAll(tmp); err != nil {
		return err
	}
	if err := attachAll(shared); err != nil {
		return err
	}
	if err := hide(cfg.Hide); err != nil {
		return err
	}
	if err := attachAll(kept); err != nil {
		return err
	}
	for i, b := range cfg.Binds {
		if err := bind(bound[i], b, cfg); err != nil {
			return err
		}
	}
	for _, dir := range cfg.Hide {
		if err := setReadOnly(dir, false); err != nil {
			return err
		}
	}
	return devices(cfg)
}

// arrangeRoot mounts what a task sees that has a root of its own: that, and what of the host is
// named. Nothing has to be hidden.
func arrangeRoot(cfg Config) error {
	var trees []tree
	defer func() { closeAll(trees) }()
	system, err := detach([]string{"/sys"})
	trees = append(trees, system...)
	if err != nil {
		return err
	}
	for _, place := range Temporary() {
		t, err := detachOne(cfg.Tmp, place, false)
		if err != nil {
			return err
		}
		trees = append(trees, t)
	}
	for _, dirs := range [][]string{cfg.Share, cfg.Keep} {
		kept, err := detach(dirs)
		trees = append(trees, kept...)
		if err != nil {
			return err
		}
	}
	lent, err := cfg.Root.lend(cfg.ReadOnly)
	trees = append(trees, lent...)
	if err != nil {
		return err
	}
	bound, err := detachBinds(cfg.Binds)
	defer closeAll(bound)
	if err != nil {
		return err
	}
	if err := cfg.Root.enter(); err != nil {
		return err
	}
	if err := attachAll(trees); err != nil {
		return err
	}
	for i, b := range cfg.Binds {
		if err := bind(bound[i], b, cfg); err != nil {
			return err
		}
	}
	if err := setReadOnly("/sys", true); err != nil {
		return err
	}
	if err := devices(cfg); err != nil {
		return err
	}
	if !cfg.ReadOnly {
		return nil
	}
	return setReadOnly("/", false)
}

// hide covers directories with empty ones.
func hide(dirs []string) error {
	for _, dir := range dirs {
		if err := makePath(dir); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, hiddenOptions); err != nil {
			return fmt.Errorf("hide %s: %w", dir, err)
		}
	}
	return nil
}

// detach takes copies of directories, with all that is mounted below them. No link is
// followed: who can put one there must not choose what is shown.
func detach(dirs []string) (trees []tree, err error) {
	for _, dir := range dirs {
		at, err := unix.Openat2(unix.AT_FDCWD, dir, &unix.OpenHow{
			Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS,
		})
		if err != nil {
			return trees, fmt.Errorf("keep %s: %w", dir, err)
		}
		fd, err := unix.OpenTree(at, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
		unix.Close(at)
		if err != nil {
			return trees, fmt.Errorf("keep %s: %w", dir, err)
		}
		trees = append(trees, tree{fd: fd, path: dir})
	}
	return trees, nil
}

func attachAll(trees []tree) error {
	for _, t := range trees {
		if err := t.attach(); err != nil {
			return err
		}
	}
	return nil
}

func closeAll(trees []tree) {
	for _, t := range trees {
		unix.Close(t.fd)
	}
}

// attach puts the tree in its place.
func (t tree) attach() error {
	if err := t.makePlace(); err != nil {
		return err
	}
	flags := unix.MOVE_MOUNT_F_EMPTY_PATH
	if t.file {
		flags |= unix.MOVE_MOUNT_T_SYMLINKS // as makePlace does
	}
	if err := unix.MoveMount(t.fd, "", unix.AT_FDCWD, t.path, flags); err != nil {
		return fmt.Errorf("keep %s: %w", t.path, err)
	}
	return nil
}

// makePlace makes what the tree is to cover.
func (t tree) makePlace() error {
	if !t.file {
		return makePath(t.path)
	}
	if _, err := os.Stat(t.path); err == nil {
		return nil
	}
	if err := makePath(filepath.Dir(t.path)); err != nil {
		return err
	}
	f, err := os.OpenFile(t.path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return f.Close()
}

// detachTmp takes copies of a directory of the task for /tmp and /var/tmp.
func detachTmp(dir string) (trees []tree, err error) {
	for _, place := range Temporary() {
		if st, err := os.Lstat(place); dir == "" || err != nil || !st.IsDir() {
			continue // a link, to the other one as a rule
		}
		copied, err := detach([]string{dir})
		for _, t := range copied {
			trees = append(trees, tree{fd: t.fd, path: place})
		}
		if err != nil {
			return trees, err
		}
	}
	return trees, nil
}

// makePath makes what is missing of a directory: something above it may have been covered.
func makePath(dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("sandbox: %w (is a directory above it read-only?)", err)
	}
	return nil
}

// setReadOnly keeps the task from writing below a mount point, and below those in it.
func setReadOnly(path string, recursive bool) error {
	flags := uint(0)
	if recursive {
		flags = unix.AT_RECURSIVE
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, path, flags, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("make %s read-only: %w (this needs Linux 5.12)", path, err)
	}
	return nil
}

// kernelSettings are what only configures the host. The owner of these files may write to
// them without any capability, and a task may run as their owner.
func kernelSettings() []string {
	return []string{"sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi", "driver", "mtrr"}
}

// protectProc keeps the task from configuring the kernel through the sandbox's /proc.
func protectProc() error {
	for _, name := range kernelSettings() {
		path := filepath.Join("/proc", name)
		err := unix.Mount(path, path, "", unix.MS_BIND|unix.MS_REC, "")
		if errors.Is(err, os.ErrNotExist) {
			continue // another kernel
		}
		if err == nil {
			err = setReadOnly(path, true)
		}
		if err != nil {
			return fmt.Errorf("protect %s: %w", path, err)
		}
	}
	for _, name := range []string{"kcore", "keys", "timer_list"} {
		err := unix.Mount("/dev/null", filepath.Join("/proc", name), "", unix.MS_BIND, "")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cover /proc/%s: %w", name, err)
		}
	}
	return nil
}

// below reports whether a clean path lies below a clean directory.
func below(path, dir string) bool { return strings.HasPrefix(path, dir+"/") }
