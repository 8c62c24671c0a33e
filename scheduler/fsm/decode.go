package fsm

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"google.golang.org/protobuf/proto"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/state"
)

// ErrFormat says that a snapshot was written by a newer version.
var ErrFormat = errors.New("the snapshot was written by a newer version")

// ErrDamaged says that a snapshot is torn or was changed on the way.
var ErrDamaged = errors.New("the snapshot is damaged")

// Decode reads a snapshot, one record at a time, to its end, and returns a
// state that satisfies every invariant. The error is ErrFormat, ErrDamaged or
// the reader's, wrapped with what was wrong.
func Decode(r io.Reader) (*state.Store, error) {
	in := bufio.NewReader(r)
	head := make([]byte, len(magic)+4)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, damaged("it ends within its first 12 bytes", err)
	}
	if string(head[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it does not begin like one", ErrDamaged)
	}
	if format := binary.BigEndian.Uint32(head[len(magic):]); format < oldestFormat || format > Format {
		return nil, fmt.Errorf("%w: it has format %d, this version reads %d to %d: run the version that wrote it or a newer one", ErrFormat, format, oldestFormat, Format)
	}
	d := newDecoder(in)
	d.format = binary.BigEndian.Uint32(head[len(magic):])
	store, err := d.snapshot()
	if err != nil {
		return nil, err
	}
	if _, err := d.r.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, damaged("something follows the footer", err)
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, damaged("something follows the stream", err)
	}
	return store, nil
}

// damaged wraps what was found with the cause, if there is one.
func damaged(what string, cause error) error {
	if cause == nil {
		return fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	return fmt.Errorf("%w: %s: %w", ErrDamaged, what, cause)
}

type decoder struct {
	format uint32
	r      *bufio.Reader
	buf    bytes.Buffer
	sum    uint32
	count  uint64
	loader *state.Loader
}

// newDecoder reads frames from a compressed stream, and nothing behind it if r
// is an io.ByteReader.
func newDecoder(r io.Reader) *decoder { return &decoder{r: bufio.NewReader(flate.NewReader(r))} }

func (d *decoder) snapshot() (*state.Store, error) {
	var f pb.SnapshotFrame
	if err := d.read(&f); err != nil {
		return nil, err
	}
	h := f.GetHeader()
	if h == nil {
		return nil, damaged("it does not begin with a header", nil)
	}
	if h.Format != d.format {
		return nil, fmt.Errorf("%w: its header says format %d", ErrFormat, h.Format)
	}
	var err error
	if d.loader, err = state.NewLoader(h.Index, model.Time(h.TimeMs), h.NextJobNumber); err != nil {
		return nil, damaged("header", err)
	}
	for {
		before := d.sum
		if err := d.read(&f); err != nil {
			return nil, err
		}
		if foot := f.GetFooter(); foot != nil {
			if foot.Crc32C != before || foot.Records != d.count {
				return nil, damaged(fmt.Sprintf("the footer says %d records with checksum %08x, there were %d with %08x", foot.Records, foot.Crc32C, d.count, before), nil)
			}
			break
		}
		d.count++
		if err := d.record(&f); err != nil {
			return nil, damaged(fmt.Sprintf("record %d", d.count), err)
		}
	}
	store, err := d.loader.Finish()
	if err != nil {
		return nil, damaged("after the last record", err)
	}
	return store, nil
}

// read reads the next frame.
func (d *decoder) read(f *pb.SnapshotFrame) error {
	size, err := binary.ReadUvarint(d.r)
	if err != nil {
		return damaged(fmt.Sprintf("it ends or is garbled after %d records", d.count), err)
	}
	if size > maxFrame {
		return damaged(fmt.Sprintf("record %d claims %d bytes", d.count+1, size), nil)
	}
	// The buffer grows with what is really there, whatever the length claims.
	d.buf.Reset()
	if _, err := io.CopyN(&d.buf, d.r, int64(size)); err != nil {
		return damaged(fmt.Sprintf("record %d is cut short", d.count+1), err)
	}
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], size)
	table := crc32.MakeTable(crc32.Castagnoli)
	d.sum = crc32.Update(crc32.Update(d.sum, table, length[:n]), table, d.buf.Bytes())
	if err := proto.Unmarshal(d.buf.Bytes(), f); err != nil {
		return damaged(fmt.Sprintf("record %d cannot be decoded", d.count+1), err)
	}
	return nil
}

// record hands one record to the loader.
func (d *decoder) record(f *pb.SnapshotFrame) error {
	switch r := f.Frame.(type) {
	case *pb.SnapshotFrame_Queue:
		return d.queue(r.Queue)
	case *pb.SnapshotFrame_Node:
		return d.node(r.Node)
	case *pb.SnapshotFrame_Limit:
		return d.limit(r.Limit)
	case *pb.SnapshotFrame_Server:
		return d.loader.AddServer(&model.Server{ID: r.Server.Id, RaftAddress: r.Server.RaftAddress, APIAddress: r.Server.ApiAddress})
	case *pb.SnapshotFrame_Health:
		return d.health(r.Health)
	case *pb.SnapshotFrame_Job:
		return d.job(r.Job)
	case *pb.SnapshotFrame_Task:
		return d.loader.AddTask(&model.Task{
			Job: r.Task.JobId, Group: int(r.Task.Group), Ordinal: r.Task.Ordinal,
			Attempts: r.Task.Attempts, Failures: r.Task.Failures, LastAllocation: r.Task.LastAllocation,
		})
	case *pb.SnapshotFrame_Allocation:
		return d.allocation(r.Allocation)
	case *pb.SnapshotFrame_Request:
		return d.loader.AddRequest(&state.Request{
			ID: r.Request.Id, Time: model.Time(r.Request.TimeMs), JobID: r.Request.JobId, Count: r.Request.Count,
			ErrorKind: model.Kind(r.Request.ErrorKind), ErrorMessage: r.Request.ErrorMessage,
			ErrorSubject: r.Request.ErrorSubject, ErrorHint: r.Request.ErrorHint,
		})
	}
	return errors.New("a record of a kind that this version does not know")
}
