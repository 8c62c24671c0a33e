package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// standard are the devices that every program expects; see the kernel's
// Documentation/admin-guide/devices.txt.
func standard() []Device {
	return []Device{
		{"/dev/null", false, 1, 3, true}, {"/dev/zero", false, 1, 5, true}, {"/dev/full", false, 1, 7, true},
		{"/dev/random", false, 1, 8, true}, {"/dev/urandom", false, 1, 9, true}, {"/dev/tty", false, 5, 0, true},
	}
}

// devices makes the task's /dev, or only what must be its own of the host's.
func devices(cfg Config) error {
	if cfg.OwnDevices {
		if err := ownDevices(append(standard(), cfg.Devices...)); err != nil {
			return err
		}
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV
	for _, m := range []struct{ path, kind, options string }{
		{"/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5"},
		{"/dev/shm", "tmpfs", "mode=1777"},
		{"/dev/mqueue", "mqueue", ""},
	} {
		of := uintptr(flags)
		if m.kind == "devpts" {
			if !cfg.OwnDevices {
				continue // /dev/ptmx is the host's
			}
			of = unix.MS_NOSUID
		}
		err := unix.Mount(m.kind, m.path, m.kind, of|unix.MS_NOEXEC, m.options)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENODEV) {
			return fmt.Errorf("mount %s: %w", m.path, err)
		}
	}
	if !cfg.OwnDevices {
		return nil
	}
	return setReadOnly("/dev", false)
}

// ownDevices covers /dev. Which devices there are is the grant, so everyone inside may use
// what is there.
func ownDevices(nodes []Device) error {
	if err := unix.Mount("tmpfs", "/dev", "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0755,size=1m"); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
	}
	for _, dir := range []string{"/dev/pts", "/dev/shm", "/dev/mqueue"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	for link, target := range map[string]string{
		"/dev/ptmx": "pts/ptmx", "/dev/fd": "/proc/self/fd",
		"/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, link); err != nil {
			return err
		}
	}
	for _, d := range nodes {
		if !below(filepath.Clean(d.Path), "/dev") {
			continue // a rule for numbers alone
		}
		if err := d.make(); err != nil {
			return err
		}
	}
	return nil
}

func (d Device) make() error {
	if err := os.MkdirAll(filepath.Dir(d.Path), 0o755); err != nil {
		return err
	}
	mode := uint32(unix.S_IFCHR)
	if d.Block {
		mode = unix.S_IFBLK
	}
	perm := uint32(0o444)
	if d.Write {
		perm = 0o666
	}
	if err := unix.Mknod(d.Path, mode|perm, int(unix.Mkdev(d.Major, d.Minor))); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make device %s: %w", d.Path, err)
	}
	return os.Chmod(d.Path, os.FileMode(perm)) // whatever our umask is
}
