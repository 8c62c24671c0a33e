// Package joblog prints the log data of a job's tasks. The log of a single
// task passes through byte by byte; those of several are cut into whole lines,
// each behind the name of its task, so that lines never mix.
package joblog

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"

	pb "caravan/api/caravanv1"
)

// maxLine bounds what is held back while waiting for a line's end.
const maxLine = 64 << 10

// Printer writes chunks to stdout and stderr. It is not safe for concurrent use.
type Printer struct {
	out, err io.Writer
	name     func(allocationID string) string
	// whole says that only whole lines are written, also for a single task.
	whole   bool
	prefix  bool
	pending map[source][]byte
}

type source struct{ allocation, stream string }

// Config says how to print.
type Config struct {
	// Out and Err take what tasks wrote to their stdout and stderr.
	Out, Err io.Writer
	// Name gives the prefix for an allocation's lines; nil prints no prefixes.
	Name func(allocationID string) string
	// WholeLines holds text back until its line ends; prefixes imply it.
	WholeLines bool
}

// New returns a printer.
func New(c Config) *Printer {
	return &Printer{
		out: c.Out, err: c.Err, name: c.Name, prefix: c.Name != nil,
		whole: c.WholeLines || c.Name != nil, pending: map[source][]byte{},
	}
}

// Print writes a chunk, or as much of it as makes whole lines.
func (p *Printer) Print(c *pb.LogChunk) error {
	w := p.writer(c.Stream)
	if !p.whole {
		_, err := w.Write(c.Data)
		return err
	}
	from := source{c.AllocationId, c.Stream}
	data := append(p.pending[from], c.Data...)
	end := bytes.LastIndexByte(data, '\n') + 1
	if end == 0 && len(data) >= maxLine {
		data = append(data, '\n')
		end = len(data)
	}
	if rest := data[end:]; len(rest) > 0 {
		p.pending[from] = bytes.Clone(rest)
	} else {
		delete(p.pending, from)
	}
	return p.lines(w, from, data[:end])
}

// Flush writes what is held back, each piece as a line.
func (p *Printer) Flush() error {
	for _, from := range slices.SortedFunc(maps.Keys(p.pending), func(a, b source) int {
		return bytes.Compare([]byte(a.allocation+"\x00"+a.stream), []byte(b.allocation+"\x00"+b.stream))
	}) {
		if err := p.lines(p.writer(from.stream), from, append(p.pending[from], '\n')); err != nil {
			return err
		}
		delete(p.pending, from)
	}
	return nil
}

func (p *Printer) writer(stream string) io.Writer {
	if stream == "stderr" {
		return p.err
	}
	return p.out
}

// lines writes whole lines in one Write.
func (p *Printer) lines(w io.Writer, from source, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if !p.prefix {
		_, err := w.Write(data)
		return err
	}
	var b bytes.Buffer
	name := p.name(from.allocation)
	for line := range bytes.Lines(data) {
		fmt.Fprintf(&b, "%s | %s", name, line)
	}
	_, err := w.Write(b.Bytes())
	return err
}
