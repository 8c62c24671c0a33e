package slurmcli

import (
	"fmt"
	"io"
	"strings"
)

// column is one field of a listing, or a text between fields.
type column struct {
	// key finds the field; "" for a text.
	key   string
	text  string
	width int // 0 means as wide as the value
	right bool
}

// fields are the fields that a listing has: a heading and what it is of a row.
type fields[R any] map[string]field[R]

type field[R any] struct {
	head  string
	value func(R) string
}

// percent reads a format such as "%.18i %9P|%j".
func percent[R any](format string, known fields[R]) ([]column, error) {
	var cols []column
	for i := 0; i < len(format); {
		if format[i] != '%' {
			end := strings.IndexByte(format[i:], '%')
			if end < 0 {
				end = len(format) - i
			}
			cols = append(cols, column{text: format[i : i+end]})
			i += end
			continue
		}
		c := column{}
		i++
		for ; i < len(format) && (format[i] == '.' || format[i] == '#' || format[i] >= '0' && format[i] <= '9'); i++ {
			switch {
			case format[i] == '.':
				c.right = true
			case format[i] != '#' && c.width < 10000:
				c.width = 10*c.width + int(format[i]-'0')
			}
		}
		if i == len(format) {
			return nil, fmt.Errorf("the format %q ends within a field", format)
		}
		c.key = format[i : i+1]
		if _, ok := known[c.key]; !ok {
			return nil, fmt.Errorf("there is no field %%%s", c.key)
		}
		cols = append(cols, c)
		i++
	}
	return cols, nil
}

// named reads a list of names such as "JobID:20,Name,State%-10"; usual is the width of those
// without one.
func named[R any](list string, sep byte, usual int, known fields[R]) ([]column, error) {
	var cols []column
	for _, item := range strings.Split(list, ",") {
		name, width, given := strings.Cut(strings.TrimSpace(item), string(sep))
		c := column{key: strings.ToLower(name), width: usual, right: sep == '%'}
		if _, ok := known[c.key]; !ok {
			return nil, fmt.Errorf("there is no field %q", name)
		}
		if given {
			if strings.HasPrefix(width, "-") || strings.HasPrefix(width, ".") {
				c.right = width[0] == '.'
				width = width[1:]
			}
			if _, err := fmt.Sscanf(width, "%d", &c.width); err != nil {
				return nil, fmt.Errorf("%q is no width", width)
			}
		}
		cols = append(cols, c)
		if sep == '%' {
			cols = append(cols, column{text: " "})
		}
	}
	return cols, nil
}

// write writes one line; a value that is too long is cut.
func (c column) write(b *strings.Builder, value string) {
	if c.width > 0 && len(value) > c.width {
		value = value[:c.width]
	}
	pad := strings.Repeat(" ", max(0, c.width-len(value)))
	if c.right {
		b.WriteString(pad + value)
	} else {
		b.WriteString(value + pad)
	}
}

// table writes rows, with a line of headings unless bare.
func table[R any](w io.Writer, cols []column, known fields[R], rows []R, bare bool) error {
	line := func(value func(field[R]) string) error {
		var b strings.Builder
		for _, c := range cols {
			if c.key == "" {
				b.WriteString(c.text)
				continue
			}
			c.write(&b, value(known[c.key]))
		}
		_, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
		return err
	}
	if !bare {
		if err := line(func(f field[R]) string { return f.head }); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if err := line(func(f field[R]) string { return f.value(r) }); err != nil {
			return err
		}
	}
	return nil
}
