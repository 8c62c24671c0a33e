package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/raft"
)

// tailFile holds the index of the last record that was stored.
const tailFile = "tail"

// markedStore is a log store that remembers outside the log how far the log
// went. The log below takes damage in its last segment for the torn end of a
// write that nobody was told of, and drops all that follows, acknowledged
// entries included; a server that votes after that can help to elect a leader
// without them. With the mark such a log is refused instead.
//
// The mark is written after the records are safe and never synced on its own: a
// killed process leaves it exact, a power cut may leave an older one, and never
// one that is ahead of the log. Before the end of the log is cut off on purpose
// the mark is lowered and synced.
type markedStore struct {
	raft.LogStore
	tail *os.File
}

var _ raft.MonotonicLogStore = (*markedStore)(nil)

// markLog compares the log with its mark, and refuses it if the log is shorter.
// A mark that is missing or torn proves nothing.
func markLog(logs raft.LogStore, path string) (*markedStore, error) {
	tail, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	s := &markedStore{LogStore: logs, tail: tail}
	last, err := logs.LastIndex()
	if err == nil {
		if mark := s.read(); mark > last {
			err = fmt.Errorf("log: %w: it ends at record %d, but record %d had been stored: %s", errEnvelope, last, mark, rejoinHint)
		}
	}
	if err == nil {
		err = s.write(last)
	}
	if err != nil {
		return nil, errors.Join(err, tail.Close())
	}
	return s, nil
}

// The mark is 8 bytes index and 4 bytes CRC32C, big-endian.
const tailSize = 8 + 4

func (s *markedStore) read() (mark uint64) {
	b := make([]byte, tailSize)
	if n, _ := s.tail.ReadAt(b, 0); n != tailSize || checksum(b[:8]) != binary.BigEndian.Uint32(b[8:]) {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func (s *markedStore) write(mark uint64) error {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, tailSize), mark)
	if _, err := s.tail.WriteAt(binary.BigEndian.AppendUint32(b, checksum(b)), 0); err != nil {
		return fmt.Errorf("mark the end of the log: %w", err)
	}
	return nil
}

// StoreLog implements raft.LogStore.
func (s *markedStore) StoreLog(log *raft.Log) error {
	return s.StoreLogs([]*raft.Log{log})
}

// StoreLogs implements raft.LogStore.
func (s *markedStore) StoreLogs(logs []*raft.Log) error {
	if err := s.LogStore.StoreLogs(logs); err != nil || len(logs) == 0 {
		return err
	}
	return s.write(logs[len(logs)-1].Index)
}

// DeleteRange implements raft.LogStore.
func (s *markedStore) DeleteRange(low, high uint64) error {
	first, err := s.FirstIndex()
	if err != nil {
		return err
	}
	last, err := s.LastIndex()
	if err != nil {
		return err
	}
	if high >= last {
		mark := uint64(0)
		if low > first {
			mark = low - 1
		}
		if err := errors.Join(s.write(mark), s.tail.Sync()); err != nil {
			return err
		}
	}
	return s.LogStore.DeleteRange(low, high)
}

// IsMonotonic passes on what the store below says.
func (s *markedStore) IsMonotonic() bool { return isMonotonic(s.LogStore) }

// isMonotonic asks a log store whether it refuses gaps, as raft does. Every
// wrapper must pass the answer on, or raft installs snapshots wrongly.
func isMonotonic(s raft.LogStore) bool {
	m, ok := s.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}
