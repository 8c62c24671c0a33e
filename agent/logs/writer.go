package logs

import (
	"errors"
	"fmt"
	"os"
)

// Config describes a stream to write.
type Config struct {
	// Dir is the directory of the segments; it must exist.
	Dir string
	// Stream names the files, Stdout or Stderr.
	Stream string
	// SegmentBytes is the size of one file, at least 1.
	SegmentBytes int64
	// Keep is how many segments remain, at least 1. At most Keep*SegmentBytes are kept on disk.
	Keep int
}

// Writer appends to one stream. It is not safe for concurrent use.
type Writer struct {
	cfg    Config
	index  Index
	file   *os.File
	number int64 // of the open segment
	offset int64 // of the next byte in the stream
	err    error // first failure; later writes return it
}

// NewWriter begins a stream. Its directory must not hold a stream of that name: an
// allocation is one attempt and never writes twice.
func NewWriter(cfg Config) (*Writer, error) {
	if cfg.SegmentBytes < 1 || cfg.Keep < 1 {
		return nil, fmt.Errorf("log %s: segment bytes %d and kept segments %d must be at least 1", cfg.Stream, cfg.SegmentBytes, cfg.Keep)
	}
	w := &Writer{cfg: cfg, index: Index{SegmentBytes: cfg.SegmentBytes}}
	if err := w.open(0); err != nil {
		return nil, err
	}
	if err := writeIndex(cfg.Dir, cfg.Stream, w.index); err != nil {
		return nil, errors.Join(err, w.file.Close())
	}
	return w, nil
}

// open begins a segment.
func (w *Writer) open(n int64) error {
	f, err := os.OpenFile(segmentPath(w.cfg.Dir, w.cfg.Stream, n), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("log segment: %w", err)
	}
	w.file, w.number = f, n
	return nil
}

// Write appends p, rotating as often as needed. After an error (a full disk) the bytes that
// did not fit are lost, but still counted by Written, and later calls fail at once.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	done := 0
	for done < len(p) {
		room := w.index.start(w.number+1) - w.offset
		if room == 0 {
			if w.err = w.rotate(); w.err != nil {
				return done, w.err
			}
			continue
		}
		n, err := w.file.Write(p[done:min(int64(len(p)), int64(done)+room)])
		done += n
		w.offset += int64(n)
		if err != nil {
			w.err = fmt.Errorf("log segment: %w", err)
			return done, w.err
		}
	}
	return done, nil
}

// rotate begins the next segment and removes the one that falls out of the bound. The new
// one comes first: readers always find the segment that follows a full one.
func (w *Writer) rotate() error {
	old := w.file
	if err := w.open(w.number + 1); err != nil {
		return err
	}
	if err := old.Close(); err != nil {
		return fmt.Errorf("log segment: %w", err)
	}
	if drop := w.number - int64(w.cfg.Keep); drop >= 0 {
		if err := os.Remove(segmentPath(w.cfg.Dir, w.cfg.Stream, drop)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("log segment: %w", err)
		}
	}
	return nil
}

// Written returns the stream's length so far, in bytes, dropped segments included.
func (w *Writer) Written() int64 { return w.offset }

// Close ends the stream: followers read to its end and stop.
func (w *Writer) Close() error {
	closeErr := w.file.Close()
	w.index.Closed, w.index.Length = true, w.offset
	w.err = os.ErrClosed
	return errors.Join(closeErr, writeIndex(w.cfg.Dir, w.cfg.Stream, w.index))
}
