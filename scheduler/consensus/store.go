package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"golang.org/x/sys/unix"
)

// store is where raft keeps its log, its vote and its snapshots.
type store struct {
	logs      raft.LogStore
	stable    raft.StableStore
	snapshots raft.SnapshotStore
	close     func() error
}

// Names in the data directory.
const (
	lockFile    = "lock"
	walDir      = "wal"
	snapshotDir = "snapshots" // raft's snapshot store appends this name itself
	tmpSuffix   = ".tmp"      // raft's name for a snapshot that is not complete
)

// serverIDKey holds the owner of a data directory in the stable store.
const serverIDKey = "caravan-server-id"

func openStore(cfg *Config) (*store, error) {
	if cfg.DataDir == "" {
		mem := raft.NewInmemStore()
		return &store{
			logs: mem, stable: mem,
			snapshots: &memorySnapshots{inner: raft.NewInmemSnapshotStore()},
			close:     func() error { return nil },
		}, nil
	}
	s, err := openDisk(cfg)
	if err != nil {
		return nil, fmt.Errorf("open data directory %s: %w", cfg.DataDir, err)
	}
	return s, nil
}

func openDisk(cfg *Config) (_ *store, err error) {
	if err := os.MkdirAll(filepath.Join(cfg.DataDir, walDir), 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	if err := removeUnfinished(filepath.Join(cfg.DataDir, snapshotDir)); err != nil {
		return nil, err
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(cfg.DataDir, retainSnapshots, cfg.Logger.Named("snapshots"))
	if err != nil {
		return nil, err
	}
	// The log leaves its metadata open, and locked, when it cannot be opened.
	meta := &metadb.BoltMetaDB{}
	w, err := wal.Open(filepath.Join(cfg.DataDir, walDir), wal.WithLogger(cfg.Logger.Named("wal")), wal.WithMetaStore(meta))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("log: %w: %s", err, rejoinHint), meta.Close())
	}
	if err := claimOwner(w, cfg.ServerID); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	marked, err := markLog(w, filepath.Join(cfg.DataDir, tailFile))
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &store{
		logs: &checkedStore{marked}, stable: w, snapshots: snapshots,
		close: func() error { return errors.Join(w.Close(), marked.tail.Close(), lock.Close()) },
	}, nil
}

// lockDir keeps a second process out; the log's own lock would wait for ever.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another process uses it (%w): stop that one first", err), f.Close())
	}
	return f, nil
}

// removeUnfinished deletes snapshots that a crash left half written; raft
// ignores them for ever.
func removeUnfinished(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasSuffix(e.Name(), tmpSuffix) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// claimOwner writes the server's ID into a new directory and refuses one that
// belongs to another server: two servers with one history would vote twice.
func claimOwner(stable raft.StableStore, id string) error {
	owner, err := stable.Get([]byte(serverIDKey))
	if err != nil {
		return fmt.Errorf("read the owner: %w", err)
	}
	if len(owner) == 0 {
		return stable.Set([]byte(serverIDKey), []byte(id))
	}
	if string(owner) != id {
		return fmt.Errorf("it belongs to server %q, this is server %q: point the server at its own directory", owner, id)
	}
	return nil
}

// memorySnapshots makes raft's in-memory snapshot store show a snapshot only
// when it is complete, as the file store does.
type memorySnapshots struct {
	mu    sync.Mutex
	inner *raft.InmemSnapshotStore
}

var _ raft.SnapshotStore = (*memorySnapshots)(nil)

// Create implements raft.SnapshotStore.
func (m *memorySnapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration, configurationIndex uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	return &memorySink{store: m, id: fmt.Sprintf("%d-%d", term, index), publish: func() (raft.SnapshotSink, error) {
		return m.inner.Create(version, index, term, configuration, configurationIndex, trans)
	}}, nil
}

// List implements raft.SnapshotStore.
func (m *memorySnapshots) List() ([]*raft.SnapshotMeta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inner.List()
}

// Open implements raft.SnapshotStore.
func (m *memorySnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inner.Open(id)
}

// memorySink gathers a snapshot and hands it to the store on Close.
type memorySink struct {
	bytes.Buffer
	store   *memorySnapshots
	id      string
	publish func() (raft.SnapshotSink, error)
	closed  bool
}

// ID implements raft.SnapshotSink.
func (s *memorySink) ID() string { return s.id }

// Cancel implements raft.SnapshotSink.
func (s *memorySink) Cancel() error {
	s.closed = true
	return nil
}

// Close implements raft.SnapshotSink.
func (s *memorySink) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	sink, err := s.publish()
	if err != nil {
		return err
	}
	// raft opens the snapshot it installed by this ID.
	s.id = sink.ID()
	if _, err := sink.Write(s.Bytes()); err != nil {
		return err
	}
	return sink.Close()
}
