package jobspec

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"caravan/api/caravanv1"
)

// rangePattern is one range of an array: first[-last[:step]].
var rangePattern = regexp.MustCompile(`^([0-9]{1,13})(?:\s*-\s*([0-9]{1,13})(?:[:x]([0-9]{1,13}))?)?$`)

// longNumber is too long for an index.
var longNumber = regexp.MustCompile(`[0-9]{14}`)

const arrayHint = "write indices as in 1-250, 1-250:2, 1,5,10-20 or 250-1; %20 at the end limits how many run at once"

// ParseArray reads the indices of an array in Slurm's grammar: ranges separated
// by commas, each "first", "first-last" or "first-last:step" (or "x" for ":"),
// running downwards when last is below first; "%N" at the end limits how many
// tasks run at once and is returned as maxRunning, 0 when absent. The last index
// is put on the range's stride: 1-250:2 ends at 249. A failure is a *SyntaxError
// with the column.
func ParseArray(text string) (ranges []*caravanv1.IndexRange, maxRunning int32, err error) {
	ranges, maxRunning, bad := parseArray(text)
	if bad != nil {
		return nil, 0, bad
	}
	return ranges, maxRunning, nil
}

func parseArray(text string) ([]*caravanv1.IndexRange, int32, *SyntaxError) {
	if strings.TrimSpace(text) == "" {
		return nil, 0, wrong("the array is empty", arrayHint)
	}
	list, limit, limited := strings.Cut(text, "%")
	var maxRunning int32
	if limited {
		n, err := strconv.ParseInt(limit, 10, 32)
		if err != nil || n < 1 || n > MaxTasks {
			return nil, 0, &SyntaxError{
				Col: utf8.RuneCountInString(list) + 1, Width: utf8.RuneCountInString(limit) + 1,
				Message: quote("%"+limit) + " is not a limit on running tasks", Hint: fmt.Sprintf("write %%20 for at most 20 at once; 1 to %d", MaxTasks),
			}
		}
		maxRunning = int32(n)
	}
	var ranges []*caravanv1.IndexRange
	col := 1
	for item := range strings.SplitSeq(list, ",") {
		lead := utf8.RuneCountInString(item) - utf8.RuneCountInString(strings.TrimLeft(item, " \t\n"))
		r, err := parseRange(strings.TrimSpace(item))
		if err != nil {
			err.Col += col + lead - 1
			return nil, 0, err
		}
		ranges = append(ranges, r)
		if len(ranges) > maxRanges {
			return nil, 0, &SyntaxError{Col: col, Width: 1, Message: fmt.Sprintf("more than %d ranges", maxRanges), Hint: "join neighbouring indices into ranges, or split the group"}
		}
		col += utf8.RuneCountInString(item) + 1
	}
	return ranges, maxRunning, nil
}

// parseRange reads one range. Columns of its errors count from the range's start.
func parseRange(item string) (*caravanv1.IndexRange, *SyntaxError) {
	m := rangePattern.FindStringSubmatch(item)
	if m == nil {
		return nil, rangeError(item)
	}
	first, _ := strconv.ParseInt(m[1], 10, 64) // at most 13 digits
	last, step := first, int64(1)
	if m[2] != "" {
		last, _ = strconv.ParseInt(m[2], 10, 64)
	}
	if m[3] != "" {
		step, _ = strconv.ParseInt(m[3], 10, 64)
	}
	whole := &SyntaxError{Col: 1, Width: utf8.RuneCountInString(item)}
	switch {
	case step == 0:
		whole.Message, whole.Hint = quote(item)+" has step 0 and would never end", "write a step of 1 or more"
		return nil, whole
	case max(first, last, step) > MaxIndex:
		whole.Message, whole.Hint = quote(item)+" goes too high", fmt.Sprintf("indices run from 0 to %d", MaxIndex)
		return nil, whole
	}
	if last < first {
		step = -step
	}
	r := &caravanv1.IndexRange{First: first, Last: last, Step: step}
	if r.Last = first + (rangeLen(r)-1)*step; r.GetLast() == first {
		r.Step = 1
	}
	return r, nil
}

// rangeError explains the ways of getting a range wrong that people meet.
func rangeError(item string) *SyntaxError {
	e := &SyntaxError{Col: 1, Width: utf8.RuneCountInString(item), Message: quote(item) + " is not a range of indices", Hint: arrayHint}
	switch {
	case item == "":
		e.Message, e.Width = "nothing stands between two commas or at the end", 1
	case strings.HasPrefix(item, "-"):
		e.Message = quote(item) + " is negative or lacks its first index"
		e.Hint = "indices start at 0, as in 0-17"
	case strings.HasSuffix(item, "-"):
		e.Message = quote(item) + " lacks its last index"
		e.Hint = "write the last index, as in " + item + "9"
	case strings.Contains(item, ".."):
		e.Hint = "write " + strings.ReplaceAll(item, "..", "-")
	case strings.Contains(item, ":-") || strings.Contains(item, "x-"):
		e.Message = quote(item) + " has a negative step"
		e.Hint = "write the step without a sign; 250-1:2 runs downwards"
	case longNumber.MatchString(item):
		e.Message = quote(item) + " goes too high"
		e.Hint = fmt.Sprintf("indices run from 0 to %d", MaxIndex)
	}
	return e
}

// formatArray is the inverse of ParseArray, without a limit.
func formatArray(ranges []*caravanv1.IndexRange) string {
	parts := make([]string, 0, len(ranges))
	for _, r := range ranges {
		step := max(r.GetStep(), -r.GetStep())
		switch {
		case r.GetFirst() == r.GetLast() && step <= 1:
			parts = append(parts, strconv.FormatInt(r.GetFirst(), 10))
		case step <= 1:
			parts = append(parts, fmt.Sprintf("%d-%d", r.GetFirst(), r.GetLast()))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d:%d", r.GetFirst(), r.GetLast(), step))
		}
	}
	return strings.Join(parts, ",")
}

// rangeLen counts the indices of a range whose step has the right sign.
func rangeLen(r *caravanv1.IndexRange) int64 {
	if r.GetStep() == 0 {
		return 0
	}
	return max(0, (r.GetLast()-r.GetFirst())/r.GetStep()+1)
}

// arrayLen counts the indices of an array.
func arrayLen(ranges []*caravanv1.IndexRange) int64 {
	var n int64
	for _, r := range ranges {
		n += rangeLen(r)
	}
	return n
}

// expand lists an array's indices in rising order. The caller has checked that
// there are at most MaxTasks.
func expand(ranges []*caravanv1.IndexRange) []int64 {
	indices := make([]int64, 0, arrayLen(ranges))
	for _, r := range ranges {
		for i, n := int64(0), rangeLen(r); i < n; i++ {
			indices = append(indices, r.GetFirst()+i*r.GetStep())
		}
	}
	if !slices.IsSorted(indices) {
		slices.Sort(indices)
	}
	return indices
}

// firstTwice gives an index that an array holds more than once.
func firstTwice(ranges []*caravanv1.IndexRange) (index int64, found bool) {
	indices := expand(ranges)
	for i := 1; i < len(indices); i++ {
		if indices[i] == indices[i-1] {
			return indices[i], true
		}
	}
	return 0, false
}

// firstMissing gives the lowest index of one array that the other lacks.
func firstMissing(wanted, held []*caravanv1.IndexRange) (index int64, found bool) {
	has := expand(held)
	for _, index := range expand(wanted) {
		for len(has) > 0 && has[0] < index {
			has = has[1:]
		}
		if len(has) == 0 || has[0] != index {
			return index, true
		}
	}
	return 0, false
}
