package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is a file system that the task has instead of the host's: an image's, as a rule.
type Root struct {
	// At is an empty directory of the host on which it is put together, out of the host's sight.
	At string
	// Mounts are what it is put together from, in order, each on top of the one before.
	Mounts []FileSystem
	// Binds are files and directories of the host that the task finds in it. Who names them has no
	// say in what is the host's: no link is followed to get there, and devices and set-user-ID
	// programs in them do not work. Places that are missing are made.
	Binds []Bind
}

// FileSystem is something to mount, as mount(8) takes it.
type FileSystem struct {
	Type, Source string
	Options      []string
}

func (r *Root) validate() error {
	if len(r.Mounts) == 0 {
		return errors.New("sandbox: a root of nothing")
	}
	paths := []string{r.At}
	for _, b := range r.Binds {
		paths = append(paths, b.From, b.To)
	}
	return cleanPaths(paths)
}

// hostSettings are files without which programs in another root would not find the network that
// they share with the host.
func hostSettings() []string { return []string{"/etc/resolv.conf", "/etc/hosts"} }

// enter makes the root out of its parts and moves the mount namespace into it. What of the host is
// to be found in it has been detached before. Nothing else of the host can be reached any more.
func (r *Root) enter() error {
	for _, m := range r.Mounts {
		if err := m.mount(r.At); err != nil {
			return err
		}
	}
	if err := unix.Chdir(r.At); err != nil {
		return fmt.Errorf("enter the root: %w", err)
	}
	// The old root comes to lie on top of the new one, and is taken off (pivot_root(2)).
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("enter the root: pivot_root: %w (is the host's root an initramfs?)", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the host's root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("enter the root: %w", err)
	}
	return r.furnish()
}

// furnish makes the places of what every program expects.
func (r *Root) furnish() error {
	for _, dir := range []string{"/proc", "/sys", "/dev", "/tmp", "/var/tmp", "/etc"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("the image: %w", err)
		}
		if st, err := os.Lstat(dir); err != nil || !st.IsDir() {
			return fmt.Errorf("the image: %s is no directory", dir)
		}
	}
	return nil
}

// mountFlags are the options of mount(8) that are flags of mount(2).
func mountFlags() map[string]uintptr {
	return map[string]uintptr{
		"rw": 0, "ro": unix.MS_RDONLY, "bind": unix.MS_BIND, "rbind": unix.MS_BIND | unix.MS_REC,
		"nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC, "noatime": unix.MS_NOATIME,
	}
}

// maxData is how many bytes of options the kernel takes: a page, with its end.
const maxData = 4095

// mount mounts the file system. Devices and set-user-ID programs in it do not work.
func (m FileSystem) mount(at string) error {
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	var data []string
	known := mountFlags()
	for _, o := range m.Options {
		if f, ok := known[o]; ok {
			flags |= f
		} else {
			data = append(data, o)
		}
	}
	data, err := shorten(data)
	if err != nil {
		return err
	}
	text := strings.Join(data, ",")
	if len(text) > maxData {
		return fmt.Errorf("the image has too many layers: %d bytes of options to mount it, at most %d (flatten it)", len(text), maxData)
	}
	if err := unix.Mount(m.Source, at, m.Type, flags, text); err != nil {
		return fmt.Errorf("mount the image (%s): %w", m.Type, err)
	}
	if flags&unix.MS_BIND == 0 {
		return nil
	}
	// A bind mount takes its other flags only when it is there.
	if err := unix.Mount("", at, "", flags&^unix.MS_REC|unix.MS_REMOUNT, ""); err != nil {
		return fmt.Errorf("mount the image: %w", err)
	}
	return nil
}

// lowerOption names the layers of an overlay, the topmost first.
const lowerOption = "lowerdir="

// shorten writes the layers of an overlay relative to the directory that holds them all, and goes
// there: dozens of absolute paths do not fit into a page. The caller's thread has a working
// directory of its own.
func shorten(options []string) ([]string, error) {
	k := slices.IndexFunc(options, func(o string) bool { return strings.HasPrefix(o, lowerOption) })
	if k < 0 {
		return options, nil
	}
	layers := strings.Split(strings.TrimPrefix(options[k], lowerOption), ":")
	base := filepath.Dir(layers[0])
	for _, l := range layers {
		for base != "/" && !below(l, base) {
			base = filepath.Dir(base)
		}
	}
	if base == "/" {
		return options, nil
	}
	for i, l := range layers {
		layers[i] = strings.TrimPrefix(l, base+"/")
	}
	if err := unix.Chdir(base); err != nil {
		return nil, fmt.Errorf("layers of the image: %w", err)
	}
	options = slices.Clone(options)
	options[k] = lowerOption + strings.Join(layers, ":")
	return options, nil
}

// lend takes copies of what the host lends to the root. Links are followed by the rights of the
// host's own administrator, hence only for its settings.
func (r *Root) lend(readOnly bool) (trees []tree, err error) {
	for _, file := range hostSettings() {
		target, err := filepath.EvalSymlinks(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // another system
		}
		if err != nil {
			return trees, err
		}
		t, err := detachOne(target, file, true)
		if err != nil {
			return trees, err
		}
		trees = append(trees, t)
	}
	for _, b := range r.Binds {
		t, err := detachOne(b.From, b.To, readOnly || b.ReadOnly)
		if err != nil {
			return trees, err
		}
		trees = append(trees, t)
	}
	return trees, nil
}

// detachOne takes a copy of a file or directory, in which devices and set-user-ID programs do not
// work. No link is followed.
func detachOne(from, to string, readOnly bool) (tree, error) {
	at, err := unix.Openat2(unix.AT_FDCWD, from, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return tree{}, fmt.Errorf("mount %s: %w (it must be there on the node, and be no link)", from, err)
	}
	defer unix.Close(at)
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return tree{}, fmt.Errorf("mount %s: %w", from, err)
	}
	fd, err := unix.OpenTree(at, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
	if err != nil {
		return tree{}, fmt.Errorf("mount %s: %w", from, err)
	}
	t := tree{fd: fd, path: to, file: st.Mode&unix.S_IFMT != unix.S_IFDIR}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if readOnly {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		unix.Close(fd)
		return tree{}, fmt.Errorf("mount %s: %w (this needs Linux 5.12)", from, err)
	}
	return t, nil
}
