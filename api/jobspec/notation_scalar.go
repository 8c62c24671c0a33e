package jobspec

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"caravan/api/caravanv1"
)

const namePattern = `^[a-z]([a-z0-9-]{0,46}[a-z0-9])?$`

var (
	nameRegexp    = regexp.MustCompile(namePattern)
	integerRegexp = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)
	notNameRegexp = regexp.MustCompile(`[^a-z0-9-]+`)
)

// nameText is a name of a job, queue, group or variant; string.
type nameText struct{}

func (nameText) words() string { return "a name of lower-case letters, digits and '-'" }

func (is nameText) read(r *reader, v *value, n ast.Node) {
	text, ok := r.scalar(v, n, is)
	if !ok {
		return
	}
	if hint, ok := checkName(text); !ok {
		r.reject(v, v.at, quote(text)+" is not a name", hint)
		return
	}
	v.data = text
}

func (nameText) editor() map[string]any {
	return map[string]any{"type": "string", "pattern": namePattern}
}

// checkName says whether a text is a name, and if not how to make it one.
func checkName(text string) (hint string, ok bool) {
	if nameRegexp.MatchString(text) {
		return "", true
	}
	rule := fmt.Sprintf("write 1 to %d lower-case letters, digits and '-', starting with a letter", maxNameLen)
	near := strings.Trim(notNameRegexp.ReplaceAllString(strings.ToLower(text), "-"), "-")
	if near != "" && (near[0] < 'a' || near[0] > 'z') {
		near = "j" + near
	}
	if len(near) > maxNameLen {
		near = strings.TrimRight(near[:maxNameLen], "-")
	}
	if near != "" {
		rule += ", as in " + near
	}
	return rule, false
}

// integer is a whole number in bounds; int64.
type integer struct{ least, most int64 }

func (is integer) words() string {
	return fmt.Sprintf("a whole number from %d to %d", is.least, is.most)
}

func (is integer) read(r *reader, v *value, n ast.Node) {
	text, ok := r.scalar(v, n, is)
	if !ok {
		return
	}
	digits := strings.TrimPrefix(text, "-")
	switch {
	case integerRegexp.MatchString(digits) && quoted(n):
		r.reject(v, v.at, "is text, because of the quotes", "write "+text+" without quotes")
		return
	case !integerRegexp.MatchString(digits):
		r.reject(v, v.at, quote(text)+" is not a whole number", "write "+is.words())
		return
	}
	number, _ := strconv.ParseInt(text, 10, 64) // at most 18 digits
	if r.inBounds(v, number, is.least, is.most, func(n int64) string { return strconv.FormatInt(n, 10) }) {
		v.data = number
	}
}

func (is integer) editor() map[string]any {
	return map[string]any{"type": "integer", "minimum": is.least, "maximum": is.most}
}

// inBounds rejects v when the number it holds is out of bounds.
func (r *reader) inBounds(v *value, number, least, most int64, format func(int64) string) bool {
	switch {
	case number < least && number < 0 && least >= 0:
		r.reject(v, v.at, format(number)+" is negative", "write "+format(least)+" or more")
	case number < least:
		r.reject(v, v.at, format(number)+" is too little", "write "+format(least)+" or more")
	case number > most:
		r.reject(v, v.at, format(number)+" is too much", "write "+format(most)+" or less")
	default:
		return true
	}
	return false
}

// boolean is true or false; bool.
type boolean struct{}

func (boolean) words() string { return "true or false" }

func (is boolean) read(r *reader, v *value, n ast.Node) {
	text, ok := r.scalar(v, n, is)
	if !ok {
		return
	}
	if n.Type() != ast.BoolType {
		hint := "write true or false"
		switch strings.ToLower(text) {
		case "yes", "on", "y", "true", "1":
			hint = "write true"
		case "no", "off", "n", "false", "0":
			hint = "write false"
		}
		r.reject(v, v.at, quote(text)+" is not true or false", hint)
		return
	}
	v.data = strings.EqualFold(text, "true")
}

func (boolean) editor() map[string]any { return map[string]any{"type": "boolean"} }

// choice is one of some words; string.
type choice []string

func (is choice) words() string { return strings.Join(is, " or ") }

func (is choice) read(r *reader, v *value, n ast.Node) {
	text, ok := r.scalar(v, n, is)
	if !ok {
		return
	}
	if !slices.Contains(is, text) {
		r.reject(v, v.at, quote(text)+" is not possible here", "write "+is.words())
		return
	}
	v.data = text
}

func (is choice) editor() map[string]any { return map[string]any{"enum": []string(is)} }

// pathText is a path, absolute or inside the working directory; string.
type pathText struct{ absolute bool }

func (is pathText) words() string {
	if is.absolute {
		return "an absolute path"
	}
	return "a path inside the working directory"
}

func (is pathText) read(r *reader, v *value, n ast.Node) {
	text, ok := r.scalar(v, n, is)
	if !ok {
		return
	}
	up := slices.Contains(strings.Split(text, "/"), "..")
	switch {
	case text == "":
		r.reject(v, v.at, "is empty", "write "+is.words())
	case len(text) > 4096:
		r.reject(v, v.at, "is longer than 4096 bytes", "write a shorter path")
	case up:
		r.reject(v, v.at, quote(text)+" contains ..", "write "+is.words()+" without ..")
	case is.absolute && !path.IsAbs(text):
		r.reject(v, v.at, quote(text)+" is not absolute", "start it with a slash, as in /"+strings.TrimPrefix(text, "./"))
	case !is.absolute && path.IsAbs(text):
		r.reject(v, v.at, quote(text)+" is absolute", "write a path inside the working directory, as in out/"+path.Base(text))
	default:
		v.data = text
	}
}

func (is pathText) editor() map[string]any {
	pattern := `^[^/]`
	if is.absolute {
		pattern = `^/`
	}
	return map[string]any{"type": "string", "pattern": pattern}
}

// quantity reads a scalar by one of the parse functions and keeps it in bounds.
func (r *reader) quantity(v *value, n ast.Node, is notation, parse func(string) (int64, *SyntaxError), least, most int64, format func(int64) string) {
	text, ok := r.scalar(v, n, is)
	if !ok {
		return
	}
	number, err := parse(strings.TrimSpace(text))
	if err != nil {
		r.rejectText(v, n, text, err)
		return
	}
	if r.inBounds(v, number, least, most, format) {
		v.data = number
	}
}

// cores is processor cores; int64 thousandths.
type cores struct{}

func (cores) words() string { return "cores, as in 2, 0.5 or 500m" }

func (is cores) read(r *reader, v *value, n ast.Node) {
	r.quantity(v, n, is, parseCPU, 1, maxCPUMilli, formatMilli)
}

func (cores) editor() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "number", "exclusiveMinimum": 0, "maximum": maxCPUMilli / 1000},
		map[string]any{"type": "string", "pattern": `^[0-9]+(\.[0-9]{1,3}|m)?$`},
	}}
}

// factor is a speed; int64 thousandths.
type factor struct{}

func (factor) words() string { return "a factor, as in 4 or 0.5" }

func (is factor) read(r *reader, v *value, n ast.Node) {
	parse := func(text string) (int64, *SyntaxError) { return milli(text, is.words(), "1") }
	r.quantity(v, n, is, parse, 1, 1_000_000, formatMilli)
}

func (factor) editor() map[string]any {
	return map[string]any{"type": "number", "exclusiveMinimum": 0, "maximum": 1000}
}

// size is memory or disk; int64 MiB.
type size struct{ least, most int64 }

func (size) words() string { return "a size, as in 512MiB or 4GiB" }

func (is size) read(r *reader, v *value, n ast.Node) {
	r.quantity(v, n, is, parseSize, is.least, is.most, formatSize)
}

const sizePattern = `[0-9]+(\.[0-9]+)? ?[KMGTkmgt]([Ii][Bb]?|[Bb])$`

func (size) editor() map[string]any {
	return map[string]any{"type": "string", "pattern": "^" + sizePattern}
}

// duration is a span of time; int64 milliseconds.
type duration struct{ least, most int64 }

func (duration) words() string { return "a duration, as in 90s, 2h30m, 1d or 1:30:00" }

func (is duration) read(r *reader, v *value, n ast.Node) {
	r.quantity(v, n, is, parseDuration, math.MinInt64, is.most, formatDuration)
	if millis, ok := as[int64](v); ok && millis < is.least {
		r.reject(v, v.at, "is zero", "write a longer time, or leave the line out")
	}
}

func (duration) editor() map[string]any {
	return map[string]any{"type": "string", "pattern": `^(([0-9]+-)?[0-9]+:[0-9]{1,2}:[0-9]{1,2}|([0-9]+(\.[0-9]+)? ?[a-z]+ ?)+)$`}
}

// share is a number of devices or a fraction of one; int64 thousandths.
type share struct{}

func (share) words() string { return "a number of devices, or a fraction of one such as 0.25" }

func (is share) read(r *reader, v *value, n ast.Node) {
	parse := func(text string) (int64, *SyntaxError) {
		thousandths, err := milli(text, is.words(), "a device")
		if err == nil && thousandths > 1000 && thousandths%1000 != 0 {
			err = wrong(quote(text)+" mixes whole devices and a fraction",
				"write a whole number, or a fraction below 1; two requests for both")
		}
		return thousandths, err
	}
	r.quantity(v, n, is, parse, 1, maxDevices*1000, formatMilli)
}

func (share) editor() map[string]any {
	return map[string]any{"type": "number", "exclusiveMinimum": 0, "maximum": maxDevices}
}

// indexSet is what an array is read as.
type indexSet struct {
	ranges     []*caravanv1.IndexRange
	maxRunning int32
}

// arrayText is the indices of an array.
type arrayText struct{}

func (arrayText) words() string { return "indices, as in 0-17, 1-250:2 or 1,5,10-20" }

func (is arrayText) read(r *reader, v *value, n ast.Node) {
	text, ok := r.scalar(v, n, is)
	if !ok {
		return
	}
	ranges, maxRunning, err := parseArray(text)
	if err != nil {
		r.rejectText(v, n, text, err)
		return
	}
	if total := arrayLen(ranges); total > MaxTasks {
		r.reject(v, v.at, fmt.Sprintf("holds %d indices", total), fmt.Sprintf("a job has at most %d; split it into several jobs", MaxTasks))
		return
	}
	if index, twice := firstTwice(ranges); twice {
		r.reject(v, v.at, fmt.Sprintf("holds index %d twice", index), "write ranges that do not overlap")
		return
	}
	v.data = indexSet{ranges: ranges, maxRunning: maxRunning}
}

func (arrayText) editor() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "integer", "minimum": 0, "maximum": MaxIndex},
		map[string]any{"type": "string", "pattern": `^ *[0-9]+( *- *[0-9]+([:x][0-9]+)?)?( *, *[0-9]+( *- *[0-9]+([:x][0-9]+)?)?)* *(%[0-9]+)?$`},
	}}
}
