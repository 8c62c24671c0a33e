// Package packdir packs a directory for the tasks of a job: a gzipped tar archive that is the
// same, byte for byte, whenever the same files are packed, so that it is sent only once. The
// commands that submit jobs use it.
package packdir

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"caravan/scheduler/model"
)

// Limits on what is packed. Code is small; data belongs on storage that the nodes share.
const (
	MaxFiles = 100_000
	MaxBytes = 2 << 30
)

// Packed is a directory in one file.
type Packed struct {
	// File is open for reading at its beginning; the caller closes and removes it.
	File *os.File
	// Digest is its SHA-256 and Bytes its size.
	Digest string
	Bytes  int64
	// Files is how many files and links it holds.
	Files int
}

// Pack packs what a directory holds, but for what its .gitignore and .caravanignore name,
// and .git.
func Pack(dir string) (p *Packed, err error) {
	skip, err := readIgnore(dir)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "caravan-sync-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	h := sha256.New()
	k := &packer{dir: dir, skip: skip, heavy: map[string]int64{}}
	z := gzip.NewWriter(io.MultiWriter(f, h))
	k.tar = tar.NewWriter(z)
	if err := filepath.WalkDir(dir, k.visit); err != nil {
		return nil, fmt.Errorf("pack %s: %w", dir, err)
	}
	if err := errors.Join(k.tar.Close(), z.Close()); err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	if size > model.MaxWorkspaceBytes {
		return nil, k.tooMuch(fmt.Sprintf("%d MiB when packed, at most %d MiB", size>>20, model.MaxWorkspaceBytes>>20))
	}
	_, err = f.Seek(0, io.SeekStart)
	return &Packed{File: f, Digest: hex.EncodeToString(h.Sum(nil)), Bytes: size, Files: k.files}, err
}

type packer struct {
	dir   string
	skip  *ignore
	tar   *tar.Writer
	files int
	bytes int64
	// heavy adds up the bytes of each entry at the top.
	heavy map[string]int64
}

// visit packs one entry. WalkDir goes in the order of names, and so the archive does.
func (k *packer) visit(file string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	name, err := filepath.Rel(k.dir, file)
	if err != nil || name == "." {
		return err
	}
	name = filepath.ToSlash(name)
	if k.skip.matches(name, d.IsDir()) {
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	// Neither owner nor time: they would make another archive of the same files.
	header := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), Format: tar.FormatPAX}
	switch {
	case d.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, name+"/"
		return k.tar.WriteHeader(header)
	case info.Mode()&fs.ModeSymlink != 0:
		return k.link(header, file)
	case info.Mode().IsRegular():
		return k.file(header, file, info.Size())
	}
	return fmt.Errorf("%s is neither file, directory nor link: name it in .caravanignore", name)
}

func (k *packer) count(name string, size int64) error {
	k.files++
	k.bytes += size
	top, _, _ := strings.Cut(name, "/")
	k.heavy[top] += size
	if k.files > MaxFiles {
		return k.tooMuch(fmt.Sprintf("more than %d files", MaxFiles))
	}
	if k.bytes > MaxBytes {
		return k.tooMuch(fmt.Sprintf("more than %d GiB", MaxBytes>>30))
	}
	return nil
}

// tooMuch names the heaviest entry, which most likely was not meant.
func (k *packer) tooMuch(what string) error {
	var heaviest string
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range k.heavy {
			if !yield(name) {
				return
			}
		}
	}) {
		if heaviest == "" || k.heavy[name] > k.heavy[heaviest] {
			heaviest = name
		}
	}
	return fmt.Errorf("%s holds %s (%s alone has %d MiB so far): name what the tasks do not need in .caravanignore, and keep data on storage that the nodes share",
		k.dir, what, heaviest, k.heavy[heaviest]>>20)
}

func (k *packer) link(header *tar.Header, file string) error {
	to, err := os.Readlink(file)
	if err != nil {
		return err
	}
	if path.IsAbs(to) || !filepath.IsLocal(path.Join(path.Dir(header.Name), to)) {
		return fmt.Errorf("%s links to %s, which is not sent along: name it in .caravanignore, or copy what it links to", header.Name, to)
	}
	header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, to, 0o777
	return errors.Join(k.count(header.Name, 0), k.tar.WriteHeader(header))
}

func (k *packer) file(header *tar.Header, file string, size int64) error {
	if err := k.count(header.Name, size); err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	header.Typeflag, header.Size = tar.TypeReg, size
	if err := k.tar.WriteHeader(header); err != nil {
		return err
	}
	if _, err := io.Copy(k.tar, f); err != nil {
		return fmt.Errorf("%s: %w (does it change while it is packed?)", header.Name, err)
	}
	return nil
}
