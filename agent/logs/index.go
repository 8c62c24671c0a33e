package logs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Names of the two streams of a task.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// Index is the content of a stream's index file.
type Index struct {
	// SegmentBytes is the exact size of every segment but the last, at least 1.
	SegmentBytes int64 `json:"segment_bytes"`
	// Closed is set when the stream will not grow any more.
	Closed bool `json:"closed,omitempty"`
	// Length is the stream's total length once closed, dropped segments included.
	Length int64 `json:"length,omitempty"`
}

// segment returns the number of the segment that holds an offset.
func (x Index) segment(offset int64) int64 { return offset / x.SegmentBytes }

// start returns the offset of a segment's first byte.
func (x Index) start(segment int64) int64 { return segment * x.SegmentBytes }

// maxIndex bounds an index file, in bytes.
const maxIndex = 4 << 10

// ErrNoStream means that the directory holds no stream of that name (yet).
var ErrNoStream = errors.New("no such log stream")

func indexPath(dir, stream string) string { return filepath.Join(dir, stream+".index") }

func segmentPath(dir, stream string, n int64) string {
	return filepath.Join(dir, fmt.Sprintf("%s.%06d", stream, n))
}

// openSegmentFile opens a segment to read. No link leads it out of the directory, whoever put
// it there.
func openSegmentFile(dir, stream string, n int64) (*os.File, error) {
	return os.OpenInRoot(dir, filepath.Base(segmentPath(dir, stream, n)))
}

// ReadIndex reads a stream's index. It wraps ErrNoStream when there is none.
func ReadIndex(dir, stream string) (Index, error) {
	raw, err := readInRoot(dir, filepath.Base(indexPath(dir, stream)))
	if errors.Is(err, os.ErrNotExist) {
		return Index{}, fmt.Errorf("%w: %s in %s (the task has not started, or its logs were deleted)", ErrNoStream, stream, dir)
	}
	if err != nil {
		return Index{}, fmt.Errorf("log index: %w", err)
	}
	var x Index
	if err := json.Unmarshal(raw, &x); err != nil {
		return Index{}, fmt.Errorf("log index %s: %w", indexPath(dir, stream), err)
	}
	if x.SegmentBytes < 1 {
		return Index{}, fmt.Errorf("log index %s: segment_bytes is %d, must be at least 1", indexPath(dir, stream), x.SegmentBytes)
	}
	return x, nil
}

// readInRoot reads a small file of the directory.
func readInRoot(dir, name string) ([]byte, error) {
	f, err := os.OpenInRoot(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxIndex))
}

// writeIndex replaces the index, so that a reader sees the old one or the new one whole.
func writeIndex(dir, stream string, x Index) error {
	raw, err := json.Marshal(x)
	if err != nil {
		return err
	}
	tmp := indexPath(dir, stream) + ".tmp"
	if err := os.WriteFile(tmp, raw, 0o644); err != nil {
		return fmt.Errorf("log index: %w", err)
	}
	if err := os.Rename(tmp, indexPath(dir, stream)); err != nil {
		return fmt.Errorf("log index: %w", err)
	}
	return nil
}

// segments returns the numbers of the first and the last segment on disk; last < first when
// there is none. Segments are contiguous because only the oldest are ever removed.
func segments(dir, stream string) (first, last int64, err error) {
	first, last = 0, -1
	entries, err := os.ReadDir(dir)
	if err != nil {
		return first, last, fmt.Errorf("log directory: %w", err)
	}
	for _, e := range entries {
		suffix, ok := strings.CutPrefix(e.Name(), stream+".")
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(suffix, 10, 64)
		if err != nil || n < 0 {
			continue // the index
		}
		if last < first {
			first, last = n, n
			continue
		}
		first, last = min(first, n), max(last, n)
	}
	return first, last, nil
}

// bounds returns the first offset still kept and the offset after the last byte.
func bounds(dir, stream string, x Index) (oldest, end int64, err error) {
	first, last, err := segments(dir, stream)
	if err != nil || last < first {
		return 0, 0, err
	}
	st, err := os.Stat(segmentPath(dir, stream, last))
	if err != nil {
		return 0, 0, fmt.Errorf("log segment: %w", err)
	}
	return x.start(first), x.start(last) + st.Size(), nil
}

// Seal closes a stream whose writer died, so that its followers end. It does nothing to a
// stream that is closed or that never began.
func Seal(dir, stream string) error {
	x, err := ReadIndex(dir, stream)
	if errors.Is(err, ErrNoStream) {
		return nil
	}
	if err != nil || x.Closed {
		return err
	}
	_, end, err := bounds(dir, stream, x)
	if err != nil {
		return err
	}
	x.Closed, x.Length = true, end
	return writeIndex(dir, stream, x)
}
