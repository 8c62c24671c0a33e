package outputs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// publish puts one file in its place.
func (p *publisher) publish(i int, f File) error {
	dir, err := p.destDir(filepath.Dir(f.Dest))
	if err != nil {
		return err
	}
	name := filepath.Base(f.Dest)
	src, err := p.root.OpenFile(f.Source, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) && p.req.Move && existsAt(dir, name) {
		return nil // moved by a call that crashed before it could note it
	}
	if err != nil {
		return err
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return errors.New("is not a regular file any more")
	}
	if p.req.Move {
		moved, err := p.move(src, f.Source, dir, name)
		if moved || err != nil {
			return err
		}
	}
	return p.copy(src, st, dir, name, i)
}

// move renames within one file system; false means that the file must be copied.
func (p *publisher) move(src *os.File, source string, dir *os.File, name string) (bool, error) {
	if st, err := p.root.Lstat(source); err != nil || !st.Mode().IsRegular() {
		return false, err // renaming a link would move the link
	}
	if err := src.Sync(); err != nil {
		return false, err
	}
	from, err := p.root.Open(filepath.Dir(source))
	if err != nil {
		return false, err
	}
	defer from.Close()
	if same, err := sameFileSystem(src, dir); !same || err != nil {
		return false, err
	}
	if err := p.hand(src, dir); err != nil {
		return false, err
	}
	if !p.allowed() {
		return false, ErrNotAllowed
	}
	err = unix.Renameat(int(from.Fd()), filepath.Base(source), int(dir.Fd()), name)
	if errors.Is(err, syscall.EXDEV) {
		return false, nil // two mounts of one file system
	}
	return err == nil, destError(name, err)
}

func (p *publisher) allowed() bool { return p.req.Allowed == nil || p.req.Allowed() }

// hand gives a file to the owner of its directory, if that is asked for.
func (p *publisher) hand(f, dir *os.File) error {
	if !p.req.DirOwner {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return err
	}
	if err := f.Chown(int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	own, err := f.Stat()
	if err != nil {
		return err
	}
	return f.Chmod(own.Mode().Perm()) // no set-user-ID for its new owner
}

func sameFileSystem(a, b *os.File) (bool, error) {
	var x, y unix.Stat_t
	err := errors.Join(unix.Fstat(int(a.Fd()), &x), unix.Fstat(int(b.Fd()), &y))
	return x.Dev == y.Dev, err
}

// copy writes a temporary file beside the destination and renames it. The temporary name is
// the same for every try, so a crash leaves at most one, which the next try replaces.
func (p *publisher) copy(src *os.File, st fs.FileInfo, dir *os.File, name string, i int) (err error) {
	tmp := fmt.Sprintf(".%.100s.%d.caravan-tmp", p.req.ID, i)
	if err := unix.Unlinkat(int(dir.Fd()), tmp, 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	fd, err := unix.Openat(int(dir.Fd()), tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("create a file in %s: %w", dir.Name(), err)
	}
	dst := os.NewFile(uintptr(fd), tmp)
	defer func() {
		if err != nil {
			err = errors.Join(err, unix.Unlinkat(int(dir.Fd()), tmp, 0))
		}
	}()
	if err := fill(dst, src, st); err != nil {
		return errors.Join(err, dst.Close())
	}
	if err := errors.Join(p.hand(dst, dir), dst.Sync(), dst.Close()); err != nil {
		return err
	}
	if !p.allowed() {
		return ErrNotAllowed
	}
	return destError(name, unix.Renameat(int(dir.Fd()), tmp, int(dir.Fd()), name))
}

// fill copies content, owner and permissions; set-user-id bits are not published.
func fill(dst, src *os.File, st fs.FileInfo) error {
	// Sharing the blocks costs nothing where the file system can do it (ioctl_ficlone(2)).
	if err := unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())); err != nil {
		if _, err := io.Copy(dst, src); err != nil {
			return err
		}
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		if err := dst.Chown(int(sys.Uid), int(sys.Gid)); err != nil {
			return err
		}
	}
	return dst.Chmod(st.Mode().Perm())
}

// destError explains the usual mistake.
func destError(name string, err error) error {
	if errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ENOTEMPTY) {
		return fmt.Errorf("%s is a directory (end the destination with '/' to publish into it): %w", name, err)
	}
	return err
}

// maxOpenDirs bounds the descriptors held for destination directories.
const maxOpenDirs = 128

// destDir opens, and makes if need be, a destination directory within the allowed roots.
func (p *publisher) destDir(dir string) (*os.File, error) {
	if d, ok := p.dirs[dir]; ok {
		return d, nil
	}
	if len(p.dirs) >= maxOpenDirs {
		if err := p.closeDirs(); err != nil {
			return nil, err
		}
	}
	existing, rest := deepestExisting(dir)
	actual, err := filepath.EvalSymlinks(existing)
	if err != nil {
		return nil, err
	}
	if !within(filepath.Join(actual, rest), p.req.Roots) {
		return nil, fmt.Errorf("%s is outside of the allowed roots %s", filepath.Join(actual, rest), strings.Join(p.req.Roots, ", "))
	}
	fd, err := openBeneath(unix.AT_FDCWD, actual, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return nil, err
	}
	for _, part := range strings.Split(rest, string(filepath.Separator)) {
		if part == "" || part == "." {
			continue
		}
		next, err := makeDir(fd, part)
		unix.Close(fd)
		if err != nil {
			return nil, err
		}
		fd = next
	}
	p.dirs[dir] = os.NewFile(uintptr(fd), dir)
	return p.dirs[dir], nil
}

// makeDir makes one directory and opens it; its parent is synced so that it stays.
func makeDir(parent int, name string) (int, error) {
	if err := unix.Mkdirat(parent, name, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return -1, fmt.Errorf("make directory %s: %w", name, err)
	}
	if err := unix.Fsync(parent); err != nil {
		return -1, fmt.Errorf("sync the parent of %s: %w", name, err)
	}
	return openBeneath(parent, name, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
}

func openBeneath(at int, name string, resolve uint64) (int, error) {
	fd, err := unix.Openat2(at, name, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: resolve | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, syscall.ENOSYS) {
		return -1, fmt.Errorf("open %s: openat2 is missing (publishing outputs needs Linux 5.6): %w", name, err)
	}
	if err != nil {
		return -1, fmt.Errorf("open directory %s: %w", name, err)
	}
	return fd, nil
}

// deepestExisting splits a directory into the part that exists and the rest.
func deepestExisting(dir string) (existing, rest string) {
	existing = filepath.Clean(dir)
	for existing != "/" {
		if _, err := os.Lstat(existing); err == nil {
			return existing, rest
		}
		rest = filepath.Join(filepath.Base(existing), rest)
		existing = filepath.Dir(existing)
	}
	return existing, rest
}

func within(dir string, roots []string) bool {
	for _, root := range roots {
		if root, err := filepath.EvalSymlinks(root); err == nil {
			if rel, err := filepath.Rel(root, dir); err == nil && filepath.IsLocal(rel) {
				return true
			}
		}
	}
	return len(roots) == 0
}

func existsAt(dir *os.File, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}
