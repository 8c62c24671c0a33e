package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// A follower looks again after pollMin, and lengthens the pause by a quarter up
// to ReadOptions.Poll while nothing comes: what is written after a silence is
// seen within a quarter of that silence, and a silent task costs little.
const (
	DefaultPoll = 100 * time.Millisecond
	pollMin     = time.Millisecond
)

// ReadOptions say where to begin and whether to wait for more.
type ReadOptions struct {
	// Offset is the first byte wanted. An offset that was dropped by rotation moves to the
	// oldest byte kept; see Reader.Skipped.
	Offset int64
	// Tail, when not 0, begins that many lines before the end instead; Offset is ignored.
	Tail int
	// Follow waits for more bytes at the end until the stream is closed, and for the stream
	// itself if it does not exist yet.
	Follow bool
	// Poll is the longest pause between two looks while following; 0 means DefaultPoll.
	Poll time.Duration
}

// Reader reads a stream that may be growing and rotating. It is not safe for concurrent use.
type Reader struct {
	dir, stream string
	opts        ReadOptions
	index       Index
	ready       bool // index read and offset settled
	file        *os.File
	number      int64 // of the open segment
	offset      int64 // of the next byte
	skipped     int64
}

// Open returns a reader of a stream. Without Follow it wraps ErrNoStream when there is none.
func Open(dir, stream string, opts ReadOptions) (*Reader, error) {
	if opts.Offset < 0 || opts.Tail < 0 {
		return nil, fmt.Errorf("log %s: offset %d and tail %d must not be negative", stream, opts.Offset, opts.Tail)
	}
	if opts.Poll <= 0 {
		opts.Poll = DefaultPoll
	}
	r := &Reader{dir: dir, stream: stream, opts: opts, offset: opts.Offset}
	if err := r.settle(); err != nil && !(opts.Follow && errors.Is(err, ErrNoStream)) {
		return nil, err
	}
	return r, nil
}

// settle reads the index and, for Tail, finds the first byte.
func (r *Reader) settle() error {
	var err error
	if r.index, err = ReadIndex(r.dir, r.stream); err != nil {
		return err
	}
	if r.opts.Tail > 0 {
		if r.offset, err = tailOffset(r.dir, r.stream, r.index, r.opts.Tail); err != nil {
			return err
		}
	}
	r.ready = true
	return nil
}

// Offset returns the offset of the next byte Read will return, unless rotation drops it.
func (r *Reader) Offset() int64 { return r.offset }

// Skipped returns how many bytes were passed over because rotation had dropped them.
func (r *Reader) Skipped() int64 { return r.skipped }

// Read fills p with the next bytes. At the end it returns io.EOF, or with Follow waits until
// there are more, the stream is closed, or ctx ends.
func (r *Reader) Read(ctx context.Context, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for wait := min(pollMin, r.opts.Poll); ; wait = min(wait+wait/4, r.opts.Poll) {
		// The order matters: if the stream was closed before we looked and found nothing, then
		// nothing will come.
		closed, err := r.refresh()
		if err != nil {
			return 0, err
		}
		if r.ready {
			n, err := r.readAvailable(p)
			if n > 0 || err != nil {
				return n, err
			}
		}
		if closed || !r.opts.Follow {
			return 0, io.EOF
		}
		if err := pause(ctx, wait); err != nil {
			return 0, err
		}
	}
}

// refresh reports whether the stream is closed.
func (r *Reader) refresh() (closed bool, err error) {
	if !r.ready {
		err := r.settle()
		if errors.Is(err, ErrNoStream) && r.opts.Follow {
			return false, nil
		}
		return r.index.Closed, err
	}
	if !r.index.Closed {
		if r.index, err = ReadIndex(r.dir, r.stream); err != nil {
			return false, err
		}
	}
	return r.index.Closed, nil
}

// readAvailable returns what is there now, 0 bytes at the end.
func (r *Reader) readAvailable(p []byte) (int, error) {
	for {
		if err := r.openSegment(); err != nil || r.file == nil {
			return 0, err
		}
		room := r.index.start(r.number+1) - r.offset
		n, err := r.file.ReadAt(p[:min(int64(len(p)), room)], r.offset-r.index.start(r.number))
		r.offset += int64(n)
		if n > 0 {
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("log segment: %w", err)
		}
		return 0, nil
	}
}

// openSegment opens the segment that holds the offset; r.file is nil when it does not exist
// yet. When it was dropped, the offset moves to the oldest byte kept. An open file stays
// readable after its removal, so a reader within a segment never loses the rest of it.
func (r *Reader) openSegment() error {
	want := r.index.segment(r.offset)
	if r.file != nil && r.number == want {
		return nil
	}
	if err := r.Close(); err != nil {
		return err
	}
	// Bounded: each further turn means that the segment was dropped between two system calls.
	for range 100 {
		f, err := openSegmentFile(r.dir, r.stream, want)
		if err == nil {
			r.file, r.number = f, want
			return nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("log segment: %w", err)
		}
		first, last, err := segments(r.dir, r.stream)
		if err != nil {
			return err
		}
		if last < first || want > last {
			return nil
		}
		if want < first {
			r.skipped += r.index.start(first) - r.offset
			r.offset, want = r.index.start(first), first
		}
	}
	return fmt.Errorf("log %s: rotation is faster than reading (raise the segment size)", r.stream)
}

// Close releases the open segment. The reader may be used again.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// tailOffset finds where the last n lines begin, reading backwards. A last line without a
// newline counts as a line.
func tailOffset(dir, stream string, x Index, n int) (int64, error) {
	oldest, end, err := bounds(dir, stream, x)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, 64<<10)
	for at := end; at > oldest; {
		from := max(oldest, x.start(x.segment(at-1)), at-int64(len(buf)))
		chunk := buf[:at-from]
		if err := readSegmentAt(dir, stream, x, chunk, from); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return at, nil // dropped while we looked: what remains begins here
			}
			return 0, err
		}
		if at == end && chunk[len(chunk)-1] == '\n' {
			chunk = chunk[:len(chunk)-1]
		}
		for i := bytes.LastIndexByte(chunk, '\n'); i >= 0; i = bytes.LastIndexByte(chunk[:i], '\n') {
			if n--; n == 0 {
				return from + int64(i) + 1, nil
			}
		}
		at = from
	}
	return oldest, nil
}

// readSegmentAt fills p from one segment.
func readSegmentAt(dir, stream string, x Index, p []byte, offset int64) error {
	n := x.segment(offset)
	f, err := openSegmentFile(dir, stream, n)
	if err != nil {
		return fmt.Errorf("log segment: %w", err)
	}
	defer f.Close()
	if _, err := f.ReadAt(p, offset-x.start(n)); err != nil {
		return fmt.Errorf("log segment: %w", err)
	}
	return nil
}
