package jobspec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problem is one mistake in a job file.
type Problem struct {
	File string
	// Line and Col count from 1, Col in characters.
	Line, Col int
	// Path names the value as in "groups.encode.resources.memory"; empty when
	// the mistake is in the YAML itself.
	Path string
	// Message says what is wrong.
	Message string
	// Hint says what to write instead.
	Hint string
	// Excerpt is the line of the file with a caret line under it.
	Excerpt string
}

// String renders the problem as a compiler would, without a final newline.
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Col)
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Excerpt != "" {
		b.WriteString("\n" + p.Excerpt)
	}
	if p.Hint != "" {
		b.WriteString("\n   " + p.Hint)
	}
	return b.String()
}

// Errors is every problem of a job file, in the order of their places.
type Errors struct {
	Problems []Problem
	// More counts the problems beyond MaxProblems, which are left out.
	More int
}

// Error renders all problems, separated by empty lines.
func (e *Errors) Error() string {
	parts := make([]string, 0, len(e.Problems)+1)
	for _, p := range e.Problems {
		parts = append(parts, p.String())
	}
	if e.More > 0 {
		parts = append(parts, fmt.Sprintf("... and %d more", e.More))
	}
	return strings.Join(parts, "\n\n")
}

// newErrors sorts the problems by place and keeps the first MaxProblems.
// It returns nil when there are none.
func newErrors(problems []Problem) *Errors {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	if len(problems) <= MaxProblems {
		return &Errors{Problems: problems}
	}
	return &Errors{Problems: problems[:MaxProblems], More: len(problems) - MaxProblems}
}

// span is a piece of one line of the file: line and column count from 1, the
// column and width in characters.
type span struct {
	line, col, width int
}

// excerptWidth is how much of a long line an excerpt shows.
const excerptWidth = 100

// excerpt shows the span's line with carets under it, or "" when the file has
// no such line. Control characters are replaced: an excerpt goes to a terminal.
func excerpt(lines []string, at span) string {
	if at.line < 1 || at.line > len(lines) {
		return ""
	}
	text := []rune(lines[at.line-1])
	start := min(max(at.col-1, 0), len(text))
	width := max(1, min(at.width, len(text)-start))
	if width > excerptWidth/2 {
		width = excerptWidth / 2
	}
	lead, tail := "", ""
	if len(text) > excerptWidth {
		from := min(max(0, start-excerptWidth/3), len(text)-excerptWidth)
		if from+excerptWidth < len(text) {
			tail = "…"
		}
		if from > 0 {
			lead = "…"
		}
		text, start = text[from:min(from+excerptWidth, len(text))], start-from
	}
	pad := make([]rune, start)
	for i := range pad {
		switch {
		case text[i] == '\t':
			pad[i] = '\t'
		case unicode.In(text[i], unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
			pad[i] = '\u3000' // two cells wide, as these letters are
		default:
			pad[i] = ' '
		}
	}
	return fmt.Sprintf("%4d | %s%s%s\n     | %s%s%s", at.line, lead, printable(string(text)), tail,
		strings.Repeat(" ", utf8.RuneCountInString(lead)), string(pad), strings.Repeat("^", width))
}

// printable replaces what a terminal would act upon.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}

// quote cuts a long text and puts it in quotes for use in a message.
func quote(text string) string {
	const longest = 40
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest-1]) + "…"
	}
	return fmt.Sprintf("%q", text)
}

// SyntaxError says why a single value (a size, a duration, an array) cannot be
// read, and where in its text.
type SyntaxError struct {
	// Col counts characters of the value from 1; Width is how many are wrong,
	// 0 meaning all of them.
	Col, Width int
	Message    string
	Hint       string
}

// Error gives the message and, in brackets, the hint.
func (e *SyntaxError) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + " (" + e.Hint + ")"
}

// wrong makes a SyntaxError about the whole value.
func wrong(message, hint string) *SyntaxError {
	return &SyntaxError{Col: 1, Message: message, Hint: hint}
}
