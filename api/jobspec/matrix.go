package jobspec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"caravan/api/caravanv1"
)

// Limits on a sweep.
const (
	maxAxes       = 16
	maxAxisValues = 10_000
	maxAxisText   = 1024
)

var (
	axisRegexp = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,47}$`)
	// axisRange is first..last or first..last:step, as array ranges are but with
	// two dots, because numbers may be negative.
	axisRange = regexp.MustCompile(`^(-?[0-9]{1,12})\.\.(-?[0-9]{1,12})(?::([0-9]{1,12}))?$`)
)

// axes are the parameters of a sweep by name, in the order of the file;
// []*caravanv1.Axis.
type axes struct{}

func (axes) words() string { return "a mapping of axes, as in {lr: [0.1, 0.01], seed: 0..9}" }

func (is axes) read(r *reader, v *value, n ast.Node) {
	pairs, ok := r.entries(v, n)
	if !ok {
		r.reject(v, v.at, describe(n)+" stands where a mapping should", "write "+is.words())
		return
	}
	if len(pairs) == 0 || len(pairs) > maxAxes {
		r.reject(v, v.at, fmt.Sprintf("has %d axes", len(pairs)), fmt.Sprintf("write 1 to %d", maxAxes))
		return
	}
	var read []*caravanv1.Axis
	names := map[string]bool{}
	for _, e := range pairs {
		c := &value{name: e.name, path: join(v.path, e.name), key: e.key}
		switch upper := strings.ToUpper(e.name); {
		case !axisRegexp.MatchString(e.name):
			r.report(e.key, c.path, quote(e.name)+" is no name for an axis", "write letters, digits and '_', beginning with a letter")
		case names[upper]:
			r.report(e.key, c.path, "two axes would both be CARAVAN_MATRIX_"+upper, "rename one")
		default:
			names[upper] = true
		}
		r.read(axisValues{}, c, e.node)
		if a, ok := as[*caravanv1.Axis](c); ok {
			a.Name = e.name
			read = append(read, a)
		}
	}
	v.data = read
}

func (axes) editor() map[string]any {
	return map[string]any{
		"type": "object", "minProperties": 1, "maxProperties": maxAxes,
		"propertyNames":        map[string]any{"pattern": axisRegexp.String()},
		"additionalProperties": axisValues{}.editor(),
	}
}

// axisValues is a list of texts, or a range of whole numbers; *caravanv1.Axis
// without its name.
type axisValues struct{}

func (axisValues) words() string {
	return "a list, as in [0.1, 0.01], or a range, as in 0..9 or 0..90:10"
}

func (is axisValues) read(r *reader, v *value, n ast.Node) {
	nodes, ok := items(n)
	if !ok {
		text, ok := r.scalar(v, n, is)
		if !ok {
			return
		}
		if a, bad := parseAxisRange(text); bad != nil {
			r.rejectText(v, n, text, bad)
		} else {
			v.data = a
		}
		return
	}
	if len(nodes) == 0 || len(nodes) > maxAxisValues {
		r.reject(v, v.at, fmt.Sprintf("has %d values", len(nodes)), fmt.Sprintf("write 1 to %d", maxAxisValues))
		return
	}
	a, seen := &caravanv1.Axis{}, map[string]bool{}
	for i, item := range nodes {
		c := &value{path: fmt.Sprintf("%s[%d]", v.path, i)}
		c.at = r.nodePlace(item, v.at)
		c.key = c.at
		r.read(anyText{}, c, item)
		text, ok := as[string](c)
		switch {
		case !ok:
			continue
		case seen[text]:
			r.report(c.at, c.path, quote(text)+" stands there twice", "keep one")
		case len(text) > maxAxisText:
			r.report(c.at, c.path, fmt.Sprintf("is longer than %d bytes", maxAxisText), "put the text into a file and name the file")
		}
		seen[text] = true
		a.Values = append(a.Values, text)
	}
	v.data = a
}

func (axisValues) editor() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "array", "minItems": 1, "maxItems": maxAxisValues, "items": anyText{}.editor()},
		map[string]any{"type": "string", "pattern": axisRange.String()},
	}}
}

func parseAxisRange(text string) (*caravanv1.Axis, *SyntaxError) {
	m := axisRange.FindStringSubmatch(text)
	if m == nil {
		return nil, wrong(quote(text)+" is no axis", "write "+axisValues{}.words())
	}
	first, _ := strconv.ParseInt(m[1], 10, 64) // at most 12 digits
	last, _ := strconv.ParseInt(m[2], 10, 64)
	step := int64(1)
	if m[3] != "" {
		step, _ = strconv.ParseInt(m[3], 10, 64)
	}
	if step == 0 {
		return nil, wrong(quote(text)+" has step 0 and would never end", "write a step of 1 or more")
	}
	if last < first {
		step = -step
	}
	r := &caravanv1.IndexRange{First: first, Last: last, Step: step}
	if r.Last = first + (rangeLen(r)-1)*step; r.GetLast() == first {
		r.Step = 1
	}
	return &caravanv1.Axis{Range: r}, nil
}

// axisLen counts the values of an axis.
func axisLen(a *caravanv1.Axis) int64 {
	if a.GetRange() != nil {
		return rangeLen(a.GetRange())
	}
	return int64(len(a.GetValues()))
}

// matrix sets the indices of a sweep.
func (b *builder) matrix(g *caravanv1.TaskGroup, f fields, path string) {
	v := f.get("matrix")
	b.putKey(path+".matrix", v)
	b.putKey(path+".indices", v)
	g.Matrix, _ = as[[]*caravanv1.Axis](v)
	for _, name := range []string{"array", "count", "chunk"} {
		if other := f.get(name); other != nil {
			b.report(other.key, other.path, "stands beside matrix, which says how many tasks there are", "remove it, or matrix")
		}
	}
	points := int64(1)
	for _, a := range g.GetMatrix() {
		if points *= axisLen(a); points > MaxTasks {
			b.report(v.key, v.path, "has more than a million combinations", "leave out values, or split the job")
			points = 1
			break
		}
	}
	g.Indices = countRange(points)
}

// matrix writes the axes of a sweep.
func (w *writer) matrix(axes []*caravanv1.Axis) {
	w.nest("matrix", func(w *writer) {
		for _, a := range axes {
			r := a.GetRange()
			switch {
			case r == nil:
				w.flow(a.GetName(), a.GetValues())
			case max(r.GetStep(), -r.GetStep()) == 1:
				w.plain(a.GetName(), fmt.Sprintf("%d..%d", r.GetFirst(), r.GetLast()))
			default:
				w.plain(a.GetName(), fmt.Sprintf("%d..%d:%d", r.GetFirst(), r.GetLast(), max(r.GetStep(), -r.GetStep())))
			}
		}
	})
}
