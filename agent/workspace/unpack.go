package workspace

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
)

// Limits on what an archive may become.
const (
	MaxEntries = 100_000
	MaxBytes   = 2 << 30
)

// Unpack fills a directory, which exists, from a gzipped tar archive. On error the directory
// holds a part of it.
func Unpack(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	z, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	u := &unpacker{root: root, left: MaxBytes}
	for t, n := tar.NewReader(z), 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && n >= MaxEntries {
			err = fmt.Errorf("more than %d entries", MaxEntries)
		}
		if err == nil {
			err = u.entry(h, t)
		}
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
	}
}

type unpacker struct {
	root *os.Root
	left int64
}

func (u *unpacker) entry(h *tar.Header, data io.Reader) error {
	name := path.Clean(h.Name)
	if !filepath.IsLocal(name) {
		return fmt.Errorf("%q leads out of the directory", h.Name)
	}
	mode := os.FileMode(h.Mode) & 0o777 //nolint:gosec // nine bits are left
	if dir := path.Dir(name); dir != "." {
		if err := u.root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.root.MkdirAll(name, mode|0o700)
	case tar.TypeSymlink:
		if !filepath.IsLocal(path.Join(path.Dir(name), h.Linkname)) || path.IsAbs(h.Linkname) {
			return fmt.Errorf("link %q leads out of the directory, to %q", h.Name, h.Linkname)
		}
		return u.root.Symlink(h.Linkname, name)
	case tar.TypeReg:
		return u.file(name, mode, h.Size, data)
	}
	return fmt.Errorf("%q is neither file, directory nor link", h.Name)
}

func (u *unpacker) file(name string, mode os.FileMode, size int64, data io.Reader) error {
	if u.left -= size; u.left < 0 {
		return fmt.Errorf("more than %d bytes", int64(MaxBytes))
	}
	f, err := u.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, data)
	return errors.Join(err, f.Close())
}
