package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// MaxLine is where a line is cut for display, in bytes. Storage keeps it whole.
const MaxLine = 64 << 10

// Line is one line of a stream without its newline.
type Line struct {
	// Offset of the line's first byte in the stream.
	Offset int64
	// Text is valid until the next call of Next.
	Text []byte
	// Cut is set when the line was longer than MaxLine and its rest was passed over.
	Cut bool
}

// Lines splits a stream into lines for display.
type Lines struct {
	r     *Reader
	buf   []byte
	start int // of what is not yet returned in buf
	fill  int
	eof   bool
}

// NewLines returns a splitter that owns r.
func NewLines(r *Reader) *Lines { return &Lines{r: r, buf: make([]byte, 2*MaxLine)} }

// Next returns the next line; io.EOF after the last. A last line without a newline is
// returned when the stream ends.
func (l *Lines) Next(ctx context.Context) (Line, error) {
	for {
		pending := l.buf[l.start:l.fill]
		offset := l.r.Offset() - int64(len(pending))
		if i := bytes.IndexByte(pending, '\n'); i >= 0 {
			l.start += i + 1
			return Line{Offset: offset, Text: pending[:min(i, MaxLine)], Cut: i > MaxLine}, nil
		}
		if len(pending) > MaxLine {
			return l.passOver(ctx, offset)
		}
		if l.eof {
			if len(pending) == 0 {
				return Line{}, io.EOF
			}
			l.start = l.fill
			return Line{Offset: offset, Text: pending}, nil
		}
		if err := l.more(ctx); err != nil {
			return Line{}, err
		}
	}
}

// passOver returns the beginning of an overlong line and drops the rest of it.
func (l *Lines) passOver(ctx context.Context, offset int64) (Line, error) {
	text := bytes.Clone(l.buf[l.start : l.start+MaxLine])
	for !l.eof {
		if i := bytes.IndexByte(l.buf[l.start:l.fill], '\n'); i >= 0 {
			l.start += i + 1
			return Line{Offset: offset, Text: text, Cut: true}, nil
		}
		l.start = l.fill
		if err := l.more(ctx); err != nil {
			return Line{}, err
		}
	}
	l.start = l.fill
	return Line{Offset: offset, Text: text, Cut: true}, nil
}

// more reads further bytes behind what is pending.
func (l *Lines) more(ctx context.Context) error {
	l.fill = copy(l.buf, l.buf[l.start:l.fill])
	l.start = 0
	n, err := l.r.Read(ctx, l.buf[l.fill:])
	l.fill += n
	if errors.Is(err, io.EOF) {
		l.eof, err = true, nil
	}
	return err
}
