package consensus

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

// checkedStore is a log store that notices damage of any record, those of raft's
// own included, whenever it is read. The checksum rides in the record's
// extensions, which raft keeps for such layers; it is put on when a record is
// stored and taken off when it is read, so that nothing above or on another
// server sees it.
type checkedStore struct {
	raft.LogStore
}

var _ raft.MonotonicLogStore = (*checkedStore)(nil)

const recordChecksum = 4

// recordSum covers all of a record but the time it was appended, which raft uses
// for metrics only.
func recordSum(l *raft.Log, extensions []byte) uint32 {
	head := make([]byte, 0, 2*8+1+4)
	head = binary.BigEndian.AppendUint64(head, l.Index)
	head = binary.BigEndian.AppendUint64(head, l.Term)
	head = append(head, byte(l.Type))
	head = binary.BigEndian.AppendUint32(head, uint32(len(l.Data)))
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Update(checksum(head), table, l.Data), table, extensions)
}

// StoreLog implements raft.LogStore.
func (s *checkedStore) StoreLog(log *raft.Log) error {
	return s.StoreLogs([]*raft.Log{log})
}

// StoreLogs implements raft.LogStore. The records are not modified: raft goes on
// using them.
func (s *checkedStore) StoreLogs(logs []*raft.Log) error {
	sealed := make([]*raft.Log, len(logs))
	for i, l := range logs {
		c := *l
		c.Extensions = binary.BigEndian.AppendUint32(append([]byte(nil), l.Extensions...), recordSum(l, l.Extensions))
		sealed[i] = &c
	}
	return s.LogStore.StoreLogs(sealed)
}

// GetLog implements raft.LogStore.
func (s *checkedStore) GetLog(index uint64, log *raft.Log) (err error) {
	// The decoder of the log below slices without looking on some damage.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: record %d of the log: %v", errEnvelope, index, p)
		}
	}()
	if err := s.LogStore.GetLog(index, log); err != nil {
		return err
	}
	size := len(log.Extensions) - recordChecksum
	if size < 0 {
		return fmt.Errorf("%w: record %d of the log has no checksum", errEnvelope, index)
	}
	sum := binary.BigEndian.Uint32(log.Extensions[size:])
	log.Extensions = log.Extensions[:size:size]
	if got := recordSum(log, log.Extensions); got != sum || log.Index != index {
		return fmt.Errorf("%w: record %d of the log has the checksum %08x, and says it is record %d with %08x", errEnvelope, index, got, log.Index, sum)
	}
	return nil
}

// IsMonotonic passes on what the store below says.
func (s *checkedStore) IsMonotonic() bool { return isMonotonic(s.LogStore) }
