package jobspec

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
)

// writer builds YAML text: one mapping, or one entry of a list. The YAML
// library's encoder has one style for a whole file, while people write short
// lists in brackets, shell text as blocks and the rest indented.
type writer struct {
	out bytes.Buffer
}

func (w *writer) bytes() []byte { return w.out.Bytes() }

// plain writes a field whose value is YAML already.
func (w *writer) plain(name, value string) {
	w.out.WriteString(quoteYAML(name) + ": " + value + "\n")
}

// scalar writes the writer's only content, an entry of a list.
func (w *writer) scalar(text string) { w.out.WriteString(quoteYAML(text) + "\n") }

// text writes a text field unless it is empty.
func (w *writer) text(name, text string) {
	if text == "" {
		return
	}
	if block, ok := blockYAML(text); ok {
		w.out.WriteString(quoteYAML(name) + ": " + block)
		return
	}
	w.plain(name, quoteYAML(text))
}

// number writes a number unless it is zero or the default.
func (w *writer) number(name string, n, unset int64) {
	if n != 0 && n != unset {
		raw, _ := json.Marshal(n) // a number always has a form
		w.plain(name, string(raw))
	}
}

// flag writes a boolean unless it is false.
func (w *writer) flag(name string, set bool) {
	if set {
		w.plain(name, "true")
	}
}

// duration writes milliseconds unless they are the default.
func (w *writer) duration(name string, millis, unset int64) {
	if millis != unset {
		w.plain(name, formatDuration(millis))
	}
}

// texts writes a mapping of texts in the order of its keys.
func (w *writer) texts(name string, texts map[string]string) {
	w.nest(name, func(w *writer) {
		for _, key := range sortedKeys(texts) {
			w.plain(key, quoteYAML(texts[key]))
		}
	})
}

// flow writes a list of texts on one line.
func (w *writer) flow(name string, texts []string) {
	quoted := make([]string, 0, len(texts))
	for _, text := range texts {
		quoted = append(quoted, quoteYAML(text))
	}
	w.plain(name, "["+strings.Join(quoted, ", ")+"]")
}

// nest writes a mapping below a key, unless the mapping stays empty.
func (w *writer) nest(name string, fill func(*writer)) {
	inner := &writer{}
	fill(inner)
	if inner.out.Len() > 0 {
		w.out.WriteString(quoteYAML(name) + ":\n")
		indent(&w.out, inner.out.String(), "  ", "  ")
	}
}

// list writes n entries below a key, unless there are none.
func (w *writer) list(name string, n int, fill func(w *writer, i int)) {
	if n == 0 {
		return
	}
	w.out.WriteString(quoteYAML(name) + ":\n")
	for i := range n {
		inner := &writer{}
		fill(inner, i)
		indent(&w.out, inner.out.String(), "  - ", "    ")
	}
}

// indent writes lines with one prefix for the first and another for the rest.
// Empty lines, which stand only in blocks of text, stay empty.
func indent(out *bytes.Buffer, text, first, rest string) {
	for line := range strings.Lines(text) {
		if line != "\n" {
			out.WriteString(first)
		}
		out.WriteString(line)
		first = rest
	}
}

// plainRegexp is text that YAML reads as itself without quotes. Words that some
// reader takes for a boolean, null or number are excluded in quoteYAML.
var plainRegexp = regexp.MustCompile(`^[A-Za-z_/.][A-Za-z0-9_./+@%=*?!~-]*( [A-Za-z0-9_./+@%=*?!~-]+)*$`)

// quoteYAML gives a text as a YAML scalar on one line that reads back as text.
func quoteYAML(text string) string {
	switch strings.ToLower(text) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null", "~", ".nan", ".inf":
	default:
		if plainRegexp.MatchString(text) && !strings.HasPrefix(text, ".") && len(text) < 120 && text != "exists" {
			return text
		}
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < ' ' || r == 0x7f:
			const hex = "0123456789abcdef"
			b.WriteString(`\x` + string(hex[r>>4]) + string(hex[r&15]))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// blockYAML gives a text of several lines as a literal block, when it is one
// that reads back unchanged: printable, without outer blank lines or spaces.
func blockYAML(text string) (block string, ok bool) {
	body, ended := strings.CutSuffix(text, "\n")
	if !strings.Contains(text, "\n") || strings.TrimSpace(body) != body {
		return "", false
	}
	for _, r := range body {
		if r != '\n' && !unicode.IsPrint(r) {
			return "", false
		}
	}
	var b strings.Builder
	b.WriteString("|\n")
	if !ended {
		b.Reset()
		b.WriteString("|-\n")
	}
	for line := range strings.SplitSeq(body, "\n") {
		if strings.TrimRight(line, " ") != line {
			return "", false
		}
		if line != "" {
			b.WriteString("  " + line)
		}
		b.WriteByte('\n')
	}
	return b.String(), true
}
