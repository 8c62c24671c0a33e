package fsm

import (
	"bufio"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"google.golang.org/protobuf/proto"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/state"
)

const (
	magic = "caravan\n"
	// Format is the snapshot format that is written, and the newest that is read.
	// Format 2 has records of health; all older ones are read as well.
	Format = 2
	// oldestFormat is the oldest that is read.
	oldestFormat = 1
	// maxFrame bounds one record: a job of a million tasks whose every second
	// one is done takes a tenth of it.
	maxFrame = 64 << 20
	// writeBuffer is how much is gathered before it is compressed.
	writeBuffer = 64 << 10
)

// Encode writes a snapshot, one record at a time, in table and key order.
// Equal states give equal bytes.
func Encode(w io.Writer, s *state.Snapshot) error {
	return encodeStream(w, func(e *encoder) { e.snapshot(s) })
}

// encodeStream writes what surrounds the frames that fill writes.
func encodeStream(w io.Writer, fill func(*encoder)) error {
	head := binary.BigEndian.AppendUint32([]byte(magic), Format)
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("write a snapshot: %w", err)
	}
	z, err := flate.NewWriter(w, flate.BestSpeed)
	if err != nil {
		return fmt.Errorf("write a snapshot: %w", err)
	}
	e := encoder{w: bufio.NewWriterSize(z, writeBuffer)}
	fill(&e)
	e.footer()
	if e.err == nil {
		e.err = e.w.Flush()
	}
	if e.err == nil {
		e.err = z.Close()
	}
	if e.err != nil {
		return fmt.Errorf("write a snapshot: %w", e.err)
	}
	return nil
}

// encoder writes frames until the first error, which sticks.
type encoder struct {
	w     *bufio.Writer
	frame pb.SnapshotFrame
	buf   []byte
	count uint64
	sum   uint32
	err   error
}

func (e *encoder) snapshot(s *state.Snapshot) {
	e.frame.Frame = &pb.SnapshotFrame_Header{Header: &pb.SnapshotHeader{
		Format: Format, Index: s.Index(), TimeMs: int64(s.Time()), NextJobNumber: s.NextJobNumber(),
	}}
	e.write()
	for q := range s.Queues() {
		e.frame.Frame = queueFrame(q)
		e.write()
	}
	for n := range s.Nodes() {
		e.frame.Frame = nodeFrame(n)
		e.write()
	}
	for l := range s.Limits() {
		e.frame.Frame = limitFrame(l)
		e.write()
	}
	for v := range s.Servers() {
		e.frame.Frame = serverFrame(v)
		e.write()
	}
	for r := range s.HealthRecords() {
		e.frame.Frame = healthFrame(r)
		e.write()
	}
	for j := range s.Jobs() {
		e.frame.Frame = jobFrame(j)
		e.write()
	}
	for j := range s.SweptJobs() {
		e.frame.Frame = sweptFrame(j)
		e.write()
	}
	for r := range s.Tasks() {
		e.frame.Frame = taskFrame(r)
		e.write()
	}
	for a := range s.Allocations() {
		e.frame.Frame = allocationFrame(a)
		e.write()
	}
	for r := range s.Requests() {
		e.frame.Frame = requestFrame(r)
		e.write()
	}
}

// footer ends the stream; the header is not counted.
func (e *encoder) footer() {
	e.frame.Frame = &pb.SnapshotFrame_Footer{Footer: &pb.SnapshotFooter{Records: e.count - 1, Crc32C: e.sum}}
	e.write()
}

// write appends the frame to the stream.
func (e *encoder) write() {
	if e.err != nil {
		return
	}
	options := proto.MarshalOptions{Deterministic: true}
	size := options.Size(&e.frame)
	e.buf = binary.AppendUvarint(e.buf[:0], uint64(size))
	if e.buf, e.err = options.MarshalAppend(e.buf, &e.frame); e.err != nil {
		return
	}
	if size > maxFrame {
		e.err = fmt.Errorf("a record of %d bytes is over the limit of %d", size, maxFrame)
		return
	}
	e.sum = crc32.Update(e.sum, crc32.MakeTable(crc32.Castagnoli), e.buf)
	e.count++
	_, e.err = e.w.Write(e.buf)
}
