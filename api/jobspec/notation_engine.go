package jobspec

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// engineShare is a part of a device's video engines; int64 thousandths.
type engineShare struct{}

func (engineShare) words() string { return "a number of engines, or a fraction of one such as 0.25" }

func (is engineShare) read(r *reader, v *value, n ast.Node) {
	parse := func(text string) (int64, *SyntaxError) { return milli(text, is.words(), "an engine") }
	r.quantity(v, n, is, parse, 1, maxEngines, formatMilli)
}

func (engineShare) editor() map[string]any {
	return map[string]any{"type": "number", "exclusiveMinimum": 0, "maximum": maxEngines / 1000}
}

var imageRegexp = regexp.MustCompile(fmt.Sprintf(`^[^\s,]{1,%d}$`, maxImageName))

// deviceImage is the name of an image; string.
type deviceImage struct{}

func (deviceImage) words() string { return "the name of an image" }

func (is deviceImage) read(r *reader, v *value, n ast.Node) {
	text, ok := r.scalar(v, n, is)
	if !ok {
		return
	}
	if !imageRegexp.MatchString(text) {
		at := strings.IndexAny(text, ", \t\n")
		r.rejectText(v, n, text, &SyntaxError{
			Col: at + 1, Width: min(1, at+1), Message: quote(text) + " is not the name of an image",
			Hint: fmt.Sprintf("write 1 to %d characters without spaces and commas", maxImageName),
		})
		return
	}
	v.data = text
}

func (deviceImage) editor() map[string]any {
	return map[string]any{"type": "string", "pattern": imageRegexp.String()}
}
