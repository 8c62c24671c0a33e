// Package fsm turns committed log entries into state: it decodes a command,
// runs the state operation it names, and answers. It also writes and reads
// snapshots of the whole state.
//
// # Who calls it
//
// ApplyBatch, Capture and Restore belong to one goroutine, that which applies
// the log. Image.Persist runs beside it on another. FSM.Snapshot may be called
// from anywhere, at any time.
//
// # Determinism
//
// Nothing here but a command's bytes and the state decides what happens. A
// command that cannot be decoded, or that names an operation this version does
// not know, panics: a server that skipped it would differ from the others for
// ever, one that stops does no harm.
//
// # Snapshot format 1
//
//	offset  size  field
//	0       8     magic, "caravan\n"
//	8       4     format, big-endian
//	12      ...   a DEFLATE stream (RFC 1951) of frames
//
// A frame is the length of a SnapshotFrame message as an unsigned varint,
// followed by the message. The first frame is the header, the last the footer,
// which holds the number of frames between them and the CRC32C of every byte
// before its own length. Nothing follows the stream. In an Allocation frame,
// group and variant are positions in the job's spec, in decimal, and not
// names; indices are left out. A JobRecord without a spec is a job that was
// dropped and whose tasks and allocations are not yet.
package fsm
