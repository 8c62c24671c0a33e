package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The envelope of a log entry, all integers big-endian:
//
//	offset  size  field
//	0       1     version, 1
//	1       2     count of commands, at least 1
//	3       ...   count times: 4 bytes length, then the command
//	end-4   4     CRC32C over everything before it
//
// The checksum travels with the commands from the proposer through every disk
// and network to every state machine, so damage anywhere on the way is seen
// where it matters.
const (
	envelopeVersion  = 1
	envelopeHeader   = 1 + 2
	envelopeChecksum = 4
	// envelopeOverhead and commandOverhead are what an envelope adds once and for
	// each command.
	envelopeOverhead = envelopeHeader + envelopeChecksum
	commandOverhead  = 4
)

// errEnvelope is the root of all decoding errors.
var errEnvelope = errors.New("damaged log entry")

// checksum is CRC32C; the standard library caches the table.
func checksum(b []byte) uint32 {
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
}

// appendEnvelope appends the envelope of the commands to dst. The caller keeps
// to the bounds of Config.
func appendEnvelope(dst []byte, commands [][]byte) []byte {
	start := len(dst)
	dst = append(dst, envelopeVersion)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(commands)))
	for _, c := range commands {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(c)))
		dst = append(dst, c...)
	}
	return binary.BigEndian.AppendUint32(dst, checksum(dst[start:]))
}

// decodeEnvelope returns the commands of an envelope. They alias data. The
// checksum is verified before anything else is believed; an unknown version is
// told apart from damage, because the remedy differs.
func decodeEnvelope(data []byte) ([][]byte, error) {
	if len(data) < envelopeOverhead {
		return nil, fmt.Errorf("%w: %d bytes, an envelope has at least %d", errEnvelope, len(data), envelopeOverhead)
	}
	body, sum := data[:len(data)-envelopeChecksum], binary.BigEndian.Uint32(data[len(data)-envelopeChecksum:])
	if got := checksum(body); got != sum {
		return nil, fmt.Errorf("%w: checksum is %08x, the entry says %08x", errEnvelope, got, sum)
	}
	if body[0] != envelopeVersion {
		return nil, fmt.Errorf("log entry has envelope version %d, this program knows only %d: run the version that wrote it or a newer one", body[0], envelopeVersion)
	}
	count := int(binary.BigEndian.Uint16(body[1:]))
	rest := body[envelopeHeader:]
	if count == 0 || count > len(rest)/commandOverhead {
		return nil, fmt.Errorf("%w: %d commands in %d bytes", errEnvelope, count, len(rest))
	}
	commands := make([][]byte, count)
	for i := range commands {
		if len(rest) < commandOverhead {
			return nil, fmt.Errorf("%w: command %d of %d has no length", errEnvelope, i, count)
		}
		size := binary.BigEndian.Uint32(rest)
		rest = rest[commandOverhead:]
		if uint64(size) > uint64(len(rest)) {
			return nil, fmt.Errorf("%w: command %d of %d claims %d bytes, %d are left", errEnvelope, i, count, size, len(rest))
		}
		commands[i] = rest[:size:size]
		rest = rest[size:]
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes behind the last command", errEnvelope, len(rest))
	}
	return commands, nil
}
