package slurmcli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"caravan/api/slurm"
)

// maxLabelled bounds what is held back of a line that gets a label.
const maxLabelled = 64 << 10

// writers are where the tasks of a step write: srun's own output, or files, one for all or one
// for each.
type writers struct {
	step *stepRun
	// mu lets tasks write in turns.
	mu     sync.Mutex
	files  map[string]*os.File
	labels []*labelled
}

func (s *stepRun) newWriters() (*writers, error) {
	w := &writers{step: s, files: make(map[string]*os.File)}
	for rank := range s.step.Layout.Total() {
		for _, pattern := range []string{s.request.Output, s.request.Error} {
			if err := w.open(pattern, rank); err != nil {
				return nil, errors.Join(err, w.close())
			}
		}
	}
	return w, nil
}

// toFile reports whether a pattern names a file.
func toFile(pattern string) bool {
	_, err := strconv.Atoi(pattern)
	return pattern != "" && pattern != "all" && pattern != "none" && err != nil
}

func (w *writers) name(pattern string, rank int) string {
	a, s := w.step.app, w.step.step
	id := func(name string) int64 { n, _ := strconv.ParseInt(a.Getenv(name), 10, 64); return n }
	index := int64(-1)
	if a.Getenv("SLURM_ARRAY_TASK_ID") != "" {
		index = id("SLURM_ARRAY_TASK_ID")
	}
	array := id("SLURM_ARRAY_JOB_ID")
	if array == 0 {
		array = id("SLURM_JOB_ID")
	}
	env := s.Task(rank)
	node, _ := strconv.Atoi(env["SLURM_NODEID"])
	name := slurm.Names{
		Job: id("SLURM_JOB_ID"), ArrayJob: array, Index: index, Name: a.Getenv("SLURM_JOB_NAME"), User: a.Getenv("SLURM_JOB_USER"),
		Node: env["SLURMD_NODENAME"], NodeNumber: node, Task: rank, Step: strconv.Itoa(s.ID),
	}.Expand(pattern)
	if !filepath.IsAbs(name) {
		name = filepath.Join(w.step.dir, name)
	}
	return name
}

func (w *writers) open(pattern string, rank int) error {
	if !toFile(pattern) {
		return nil
	}
	name := w.name(pattern, rank)
	if w.files[name] != nil {
		return nil
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if !w.step.request.Append {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(name, flags, 0o666)
	if err == nil {
		w.files[name] = f
	}
	return err
}

// of returns where a task's stdout and stderr go.
func (w *writers) of(rank int) (out, errOut io.Writer) {
	r, a := w.step.request, w.step.app
	errPattern := r.Error
	if errPattern == "" {
		errPattern = r.Output
	}
	return w.stream(r.Output, rank, a.Out), w.stream(errPattern, rank, a.Err)
}

func (w *writers) stream(pattern string, rank int, usual io.Writer) io.Writer {
	target := usual
	only, err := strconv.Atoi(pattern)
	switch {
	case pattern == "none", err == nil && only != rank:
		return io.Discard
	case toFile(pattern):
		target = w.files[w.name(pattern, rank)]
	}
	l := &labelled{all: w, out: target}
	if w.step.request.Label {
		width := len(strconv.Itoa(w.step.step.Layout.Total() - 1))
		l.label = fmt.Sprintf("%*d: ", width, rank)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.labels = append(w.labels, l)
	return l
}

// close writes what is left of lines and closes the files.
func (w *writers) close() error {
	var errs []error
	for _, l := range w.labels {
		errs = append(errs, l.flush())
	}
	for _, f := range w.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// labelled writes a stream, line by line behind a label if it has one.
type labelled struct {
	all   *writers
	out   io.Writer
	label string
	rest  []byte
}

// Write writes whole lines, and everything where there is no label.
func (l *labelled) Write(p []byte) (int, error) {
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	if l.label == "" {
		return l.out.Write(p)
	}
	l.rest = append(l.rest, p...)
	end := bytes.LastIndexByte(l.rest, '\n') + 1
	if end == 0 && len(l.rest) >= maxLabelled {
		l.rest = append(l.rest, '\n')
		end = len(l.rest)
	}
	var b strings.Builder
	for line := range bytes.Lines(l.rest[:end]) {
		b.WriteString(l.label)
		b.Write(line)
	}
	l.rest = append([]byte(nil), l.rest[end:]...)
	_, err := io.WriteString(l.out, b.String())
	return len(p), err
}

func (l *labelled) flush() error {
	if len(l.rest) == 0 {
		return nil
	}
	_, err := l.Write([]byte("\n"))
	return err
}
