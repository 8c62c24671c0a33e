package trace

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what is read.
const (
	// MaxDevices is the most devices of one node.
	MaxDevices = 16
	maxRows    = 1_000_000
	maxCPU     = 1 << 30 // thousandths of a core
	maxMemory  = 1 << 30 // MiB: 1 PiB
)

// Error is a fault in a trace file, at a place.
type Error struct {
	File      string
	Line, Col int // from 1; Col counts bytes
	Message   string
}

// Error returns file:line:col: message.
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Message)
}

// table reads the rows of one CSV file by the names of its columns.
type table struct {
	file   string
	csv    *csv.Reader
	at     map[string]int // column name -> position
	record []string
	rows   int
	err    error // the first fault
}

// open reads the first line and checks that the required columns are there.
func open(file string, r io.Reader, required ...string) (*table, error) {
	t := &table{file: file, csv: csv.NewReader(r), at: map[string]int{}}
	t.csv.ReuseRecord = true
	header, err := t.csv.Read()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &Error{File: file, Line: 1, Col: 1, Message: "the file is empty: its first line must name the columns " + strings.Join(required, ",")}
		}
		return nil, t.malformed(err)
	}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
		if first, twice := t.at[name]; twice && slices.Contains(required, name) {
			return nil, &Error{file, 1, t.col(i), fmt.Sprintf("column %s stands here and as column %d: name it once", name, first+1)}
		}
		t.at[name] = i
	}
	for _, name := range required {
		if _, ok := t.at[name]; !ok {
			return nil, &Error{file, 1, 1, fmt.Sprintf("no column %s: the first line must name %s, in any order", name, strings.Join(required, ","))}
		}
	}
	return t, nil
}

// next reads a row and reports false at the end or after the first fault.
func (t *table) next() bool {
	if t.err != nil {
		return false
	}
	record, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		return false
	}
	if err != nil {
		t.err = t.malformed(err)
		return false
	}
	if t.rows++; t.rows > maxRows {
		t.err = &Error{t.file, t.line(0), 1, fmt.Sprintf("more than %d rows", maxRows)}
		return false
	}
	t.record = record
	return true
}

// malformed gives a CSV error its place.
func (t *table) malformed(err error) error {
	if p, ok := errors.AsType[*csv.ParseError](err); ok {
		return &Error{t.file, p.Line, p.Column, p.Err.Error()}
	}
	return fmt.Errorf("%s: %w", t.file, err)
}

func (t *table) line(field int) int { line, _ := t.csv.FieldPos(field); return line }
func (t *table) col(field int) int  { _, col := t.csv.FieldPos(field); return col }

func (t *table) has(column string) bool { _, ok := t.at[column]; return ok }

// fail keeps the first fault, at a column of the current row.
func (t *table) fail(column, format string, args ...any) {
	if t.err == nil {
		i := t.at[column]
		t.err = &Error{t.file, t.line(i), t.col(i), column + " " + fmt.Sprintf(format, args...)}
	}
}

// text returns a column's text without surrounding space.
func (t *table) text(column string) string { return strings.TrimSpace(t.record[t.at[column]]) }

// number returns a column's whole number from lo to hi. A decimal part of zeros is allowed, because
// data frames write whole numbers that way.
func (t *table) number(column string, lo, hi int64) int64 {
	text := t.text(column)
	whole, decimals, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	switch {
	case err != nil || strings.Trim(decimals, "0") != "":
		t.fail(column, "%q is not a whole number", text)
	case n < lo || n > hi:
		t.fail(column, "%d is out of range: it must be from %d to %d", n, lo, hi)
	}
	return n
}
