package view

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Style says how to write.
type Style struct {
	// Color allows ANSI colours; set for terminals only.
	Color bool
	// Wide adds columns and drops the limits that keep output to one screen.
	Wide bool
	// Now is what relative times are relative to; its location is used for
	// absolute ones.
	Now time.Time
}

// Colours. All codes have the same length, because tabwriter counts their
// bytes: a column lines up if every one of its cells is painted.
const (
	plain  = "39"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	grey   = "90"
)

func (s Style) paint(color, text string) string {
	if !s.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

var colorOf = map[string]string{
	"succeeded": green, "ready": green, "running": cyan, "placed": cyan, "pending": yellow, "draining": yellow,
	"failed": red, "lost": red, "never-fits": red, "stopped": grey, "blocked": grey, "done": green,
	"healthy": green, "suspect": yellow, "quarantined": red, "repairing": yellow, "probation": cyan, "rma": red, "out": red, "ill": red,
}

// state paints a state's word.
func (s Style) state(word string) string {
	if c, ok := colorOf[word]; ok {
		return s.paint(c, word)
	}
	return s.paint(plain, word)
}

// table writes rows of cells in columns. A header cell that begins with '*'
// belongs to a column of painted states.
type table struct {
	style Style
	tw    *tabwriter.Writer
}

func newTable(w io.Writer, s Style, header ...string) *table {
	t := &table{style: s, tw: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	for i, h := range header {
		if name, ok := strings.CutPrefix(h, "*"); ok {
			header[i] = s.paint(plain, name)
		}
	}
	t.row(header...)
	return t
}

// row adds a row; empty cells show as "-", except trailing ones.
func (t *table) row(cells ...string) {
	for len(cells) > 0 && cells[len(cells)-1] == "" {
		cells = cells[:len(cells)-1]
	}
	for i, c := range cells {
		if c == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.tw, strings.Join(cells, "\t"))
}

func (t *table) flush() { t.tw.Flush() }

// or returns the first text that is not empty.
func or(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// sim marks a name as simulated.
func sim(name string, simulated bool) string {
	if simulated {
		return name + " (sim)"
	}
	return name
}
