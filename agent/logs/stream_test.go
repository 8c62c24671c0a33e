package logs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"caravan/agent/logs"
)

// model is what a stream must look like: everything written, and what rotation keeps.
type model struct {
	all     []byte
	segment int64
	keep    int
}

// oldest is the first offset that rotation keeps. The next segment begins with its first
// byte, so a full last segment still is the last.
func (m model) oldest() int64 {
	if len(m.all) == 0 {
		return 0
	}
	last := (int64(len(m.all)) - 1) / m.segment
	return max(0, last-int64(m.keep)+1) * m.segment
}

// tail is where the last n lines of what is kept begin, found the slow way.
func (m model) tail(n int) int64 {
	kept := m.all[m.oldest():]
	lines := bytes.SplitAfter(kept, []byte("\n"))
	if len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	at := int64(len(m.all))
	for i := len(lines) - 1; i >= 0 && i >= len(lines)-n; i-- {
		at -= int64(len(lines[i]))
	}
	return at
}

func newWriter(t rapid.TB, dir string, segment int64, keep int) *logs.Writer {
	w, err := logs.NewWriter(logs.Config{Dir: dir, Stream: logs.Stdout, SegmentBytes: segment, Keep: keep})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// readAll reads to the end in pieces of a given size.
func readAll(t rapid.TB, dir string, opts logs.ReadOptions, piece int) (data []byte, skipped int64) {
	r, err := logs.Open(dir, logs.Stdout, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	buf := make([]byte, piece)
	for {
		n, err := r.Read(context.Background(), buf)
		data = append(data, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return data, r.Skipped()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// text has many newlines, so that lines begin and end everywhere in segments.
var text = rapid.SliceOfN(rapid.SampledFrom([]byte("ab\n")), 0, 20)

func TestStreamKeepsExactlyWhatRotationPromises(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		m := model{segment: rapid.Int64Range(1, 16).Draw(t, "segment"), keep: rapid.IntRange(1, 4).Draw(t, "keep")}
		w := newWriter(t, dir, m.segment, m.keep)
		for _, p := range rapid.SliceOfN(text, 0, 6).Draw(t, "writes") {
			if n, err := w.Write(p); n != len(p) || err != nil {
				t.Fatalf("wrote %d of %d: %v", n, len(p), err)
			}
			m.all = append(m.all, p...)
		}
		if rapid.Bool().Draw(t, "close") {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		offset := rapid.Int64Range(0, int64(len(m.all))).Draw(t, "offset")
		got, skipped := readAll(t, dir, logs.ReadOptions{Offset: offset}, rapid.IntRange(1, 50).Draw(t, "piece"))
		from := max(offset, m.oldest())
		if !bytes.Equal(got, m.all[from:]) || (len(m.all) > 0 && offset < int64(len(m.all)) && skipped != from-offset) {
			t.Fatalf("from %d: got %q, skipped %d, want %q, %d", offset, got, skipped, m.all[from:], from-offset)
		}
		n := rapid.IntRange(1, 10).Draw(t, "tail")
		if got, _ := readAll(t, dir, logs.ReadOptions{Tail: n}, 50); len(m.all) > 0 && !bytes.Equal(got, m.all[m.tail(n):]) {
			t.Fatalf("tail %d: got %q, want %q", n, got, m.all[m.tail(n):])
		}
		if w.Written() != int64(len(m.all)) {
			t.Fatalf("written %d, want %d", w.Written(), len(m.all))
		}
		checkFiles(t, dir, m)
	})
}

// checkFiles checks the bound on disk and the exact sizes of full segments.
func checkFiles(t rapid.TB, dir string, m model) {
	files, err := filepath.Glob(filepath.Join(dir, "stdout.[0-9]*"))
	if err != nil || len(files) > m.keep {
		t.Fatalf("%d segments, at most %d: %v, %v", len(files), m.keep, files, err)
	}
	for _, f := range files[:len(files)-1] {
		if st, err := os.Stat(f); err != nil || st.Size() != m.segment {
			t.Fatalf("segment %s: %v, %v; want exactly %d bytes", f, st.Size(), err, m.segment)
		}
	}
}

func TestReaderFollowsThroughRotation(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		w := newWriter(t, dir, rapid.Int64Range(1, 8).Draw(t, "segment"), rapid.IntRange(1, 3).Draw(t, "keep"))
		r, err := logs.Open(dir, logs.Stdout, logs.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var all []byte
		var next int64 // offset of the next byte the reader may return
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			p := text.Draw(t, "write")
			if _, err := w.Write(p); err != nil {
				t.Fatal(err)
			}
			all = append(all, p...)
			for range rapid.IntRange(0, 5).Draw(t, "reads") {
				buf := make([]byte, rapid.IntRange(1, 10).Draw(t, "piece"))
				n, err := r.Read(context.Background(), buf)
				if err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				// Whatever was skipped, what is returned is at the offset the reader claims.
				at := r.Offset() - int64(n)
				if at < next || !bytes.Equal(buf[:n], all[at:r.Offset()]) {
					t.Fatalf("at %d (expected at least %d): %q", at, next, buf[:n])
				}
				next = r.Offset()
			}
		}
	})
}

func TestLinesAreCutForDisplayOnly(t *testing.T) {
	long := strings.Repeat("x", 3*logs.MaxLine)
	exact := strings.Repeat("y", logs.MaxLine)
	content := "first\n\n" + long + "\n" + exact + "\n" + "no newline"
	dir := t.TempDir()
	w := newWriter(t, dir, 1<<20, 2)
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := logs.Open(dir, logs.Stdout, logs.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines := logs.NewLines(r)
	for _, want := range []logs.Line{
		{Offset: 0, Text: []byte("first")},
		{Offset: 6, Text: nil},
		{Offset: 7, Text: []byte(long[:logs.MaxLine]), Cut: true},
		{Offset: int64(8 + len(long)), Text: []byte(exact)},
		{Offset: int64(9 + len(long) + len(exact)), Text: []byte("no newline")},
	} {
		got, err := lines.Next(t.Context())
		if err != nil || got.Offset != want.Offset || got.Cut != want.Cut || !bytes.Equal(got.Text, want.Text) {
			t.Errorf("got offset %d, cut %v, %.20q (%d), %v; want offset %d, cut %v, %.20q (%d)",
				got.Offset, got.Cut, got.Text, len(got.Text), err, want.Offset, want.Cut, want.Text, len(want.Text))
		}
	}
	if _, err := lines.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("after the last line: %v", err)
	}
}

func TestLinesOfAnyTextAreItsLines(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		w := newWriter(t, dir, rapid.Int64Range(1, 16).Draw(t, "segment"), 1000)
		all := text.Draw(t, "text")
		if _, err := w.Write(all); err != nil {
			t.Fatal(err)
		}
		r, err := logs.Open(dir, logs.Stdout, logs.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		lines := logs.NewLines(r)
		want := strings.Split(string(all), "\n")
		if want[len(want)-1] == "" {
			want = want[:len(want)-1]
		}
		for i, line := range want {
			got, err := lines.Next(context.Background())
			if err != nil || string(got.Text) != line {
				t.Fatalf("line %d: got %q, %v; want %q", i, got.Text, err, line)
			}
		}
		if _, err := lines.Next(context.Background()); !errors.Is(err, io.EOF) {
			t.Fatalf("after the last line: %v", err)
		}
	})
}

func TestBadInputIsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, cfg := range []logs.Config{
		{Dir: dir, Stream: "s", SegmentBytes: 0, Keep: 1},
		{Dir: dir, Stream: "s", SegmentBytes: 1, Keep: 0},
		{Dir: filepath.Join(dir, "missing"), Stream: "s", SegmentBytes: 1, Keep: 1},
	} {
		if _, err := logs.NewWriter(cfg); err == nil {
			t.Errorf("%+v: accepted", cfg)
		}
	}
	if _, err := logs.Open(dir, logs.Stdout, logs.ReadOptions{}); !errors.Is(err, logs.ErrNoStream) {
		t.Errorf("open nothing: %v", err)
	}
	newWriter(t, dir, 1, 1)
	if _, err := logs.NewWriter(logs.Config{Dir: dir, Stream: logs.Stdout, SegmentBytes: 1, Keep: 1}); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second writer of one stream: %v", err)
	}
	for _, opts := range []logs.ReadOptions{{Offset: -1}, {Tail: -1}} {
		if _, err := logs.Open(dir, logs.Stdout, opts); err == nil {
			t.Errorf("%+v: accepted", opts)
		}
	}
	for _, index := range []string{"{", `{"segment_bytes":0}`, `{"segment_bytes":-5}`} {
		if err := os.WriteFile(filepath.Join(dir, "stdout.index"), []byte(index), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := logs.ReadIndex(dir, logs.Stdout); err == nil || errors.Is(err, logs.ErrNoStream) {
			t.Errorf("index %q: %v", index, err)
		}
	}
}

func TestSealClosesTheStreamOfADeadWriter(t *testing.T) {
	dir := t.TempDir()
	if err := logs.Seal(dir, logs.Stdout); err != nil {
		t.Errorf("seal of nothing: %v", err)
	}
	w := newWriter(t, dir, 4, 2)
	fmt.Fprint(w, "0123456789")
	for range 2 {
		if err := logs.Seal(dir, logs.Stdout); err != nil {
			t.Fatal(err)
		}
		x, err := logs.ReadIndex(dir, logs.Stdout)
		if err != nil || x != (logs.Index{SegmentBytes: 4, Closed: true, Length: 10}) {
			t.Errorf("got %+v, %v", x, err)
		}
	}
}
