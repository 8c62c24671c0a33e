// Package blob keeps files under their SHA-256 in a directory: packed working directories of
// jobs, on servers and in the caches of agents. A file is there whole and right, or not at
// all, also after a crash.
//
// The store is bounded. When a new file does not fit, those that were used longest ago go,
// except what its owner says is needed. Safe for concurrent use; one process owns a directory.
package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"caravan/scheduler/model"
)

// Config describes a store.
type Config struct {
	// Dir is made if need be. Absolute. Required.
	Dir string
	// MaxBytes bounds what is kept; default 20 GiB.
	MaxBytes int64
	// Needed says what must not go; default nothing.
	Needed func() map[string]bool
}

// Store is a directory of blobs.
type Store struct {
	cfg Config

	mu sync.Mutex // held while files are added and removed, and not while data is copied
}

// ErrFull says that what is needed leaves no room.
var ErrFull = errors.New("the store of working directories is full of what unfinished jobs need")

const unfinished = ".tmp-"

// New opens a directory and removes what a crash has left half written.
func New(cfg Config) (*Store, error) {
	if !filepath.IsAbs(cfg.Dir) {
		return nil, fmt.Errorf("blobs: directory %q must be absolute", cfg.Dir)
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 20 << 30
	}
	if cfg.Needed == nil {
		cfg.Needed = func() map[string]bool { return nil }
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("blobs: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(cfg.Dir, unfinished+"*"))
	if err != nil {
		return nil, err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("blobs: %w", err)
		}
	}
	return &Store{cfg: cfg}, nil
}

func (s *Store) path(digest string) string { return filepath.Join(s.cfg.Dir, digest) }

// Has reports whether a blob is there, and notes that it is of use.
func (s *Store) Has(digest string) bool {
	if !model.ValidDigest(digest) {
		return false
	}
	now := time.Now()
	return os.Chtimes(s.path(digest), now, now) == nil
}

// Open returns a blob for reading; os.ErrNotExist when it is not there. An open blob stays
// readable when it goes.
func (s *Store) Open(digest string) (*os.File, error) {
	if !s.Has(digest) {
		return nil, fmt.Errorf("blob %q: %w", digest, os.ErrNotExist)
	}
	return os.Open(s.path(digest))
}

// Put stores what r yields, if it has so many bytes and the digest. A blob that is there
// already is left as it is, and r is not read.
func (s *Store) Put(digest string, size int64, r io.Reader) error {
	if size < 0 || size > model.MaxWorkspaceBytes {
		return fmt.Errorf("blob: %d bytes, at most %d", size, model.MaxWorkspaceBytes)
	}
	return s.put(digest, size, io.LimitReader(r, size+1))
}

// Adopt is Put for a blob of which only the digest is known.
func (s *Store) Adopt(digest string, r io.Reader) error {
	return s.put(digest, -1, io.LimitReader(r, model.MaxWorkspaceBytes+1))
}

// put stores a blob; size is -1 when it is not known.
func (s *Store) put(digest string, size int64, r io.Reader) error {
	if !model.ValidDigest(digest) {
		return fmt.Errorf("blob: %q is no SHA-256", digest)
	}
	if s.Has(digest) {
		return nil
	}
	f, err := os.CreateTemp(s.cfg.Dir, unfinished+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), r)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); size >= 0 && n != size || got != digest {
		return fmt.Errorf("blob: %d bytes with digest %s arrived, which is not %s", n, got, digest)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.room(n); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), s.path(digest)); err != nil {
		return err
	}
	return syncDir(s.cfg.Dir)
}

// room removes blobs until n more bytes fit.
func (s *Store) room(n int64) error {
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	var all []os.FileInfo
	total := n
	for _, e := range entries {
		if !model.ValidDigest(e.Name()) {
			continue
		}
		if info, err := e.Info(); err == nil {
			all = append(all, info)
			total += info.Size()
		}
	}
	if total <= s.cfg.MaxBytes {
		return nil
	}
	needed := s.cfg.Needed()
	slices.SortFunc(all, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range all {
		if total <= s.cfg.MaxBytes {
			return nil
		}
		if needed[info.Name()] {
			continue
		}
		if err := os.Remove(s.path(info.Name())); err != nil {
			return err
		}
		total -= info.Size()
	}
	if total > s.cfg.MaxBytes {
		return ErrFull
	}
	return nil
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
