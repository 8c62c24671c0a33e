// Package logs keeps what a task writes to stdout and stderr in bounded, rotating files that
// others read while they grow.
//
// A stream is one endless sequence of bytes; its offsets never change. On disk it is cut
// into segments of exactly SegmentBytes, named <stream>.<number>, of which the newest Keep
// remain. Byte o of the stream is therefore byte o mod SegmentBytes of segment
// o div SegmentBytes, and rotation is invisible to readers except that old offsets go away.
// <stream>.index (JSON, replaced atomically) tells readers the segment size and, at the end,
// the final length.
//
// Invariants:
//
//   - a segment that is followed by another has exactly SegmentBytes bytes;
//   - the index is written before the first byte and never changes its segment size;
//   - once the index is closed, the stream never grows.
//
// One Writer per stream (the shim); any number of Readers in any process (the agent, which
// serves followers). Log data survive the death of every process; they are not synced to
// disk, so a power cut may lose the end.
package logs
