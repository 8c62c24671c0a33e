package jobspec

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	// clockPattern is Slurm's [days-]hours:minutes:seconds.
	clockPattern    = regexp.MustCompile(`^(?:([0-9]{1,5})-)?([0-9]{1,5}):([0-5]?[0-9]):([0-5]?[0-9])$`)
	twoPartPattern  = regexp.MustCompile(`^([0-9]{1,5}):([0-9]{1,2})$`)
	durationPattern = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([^0-9.\s]*)\s*`)
)

const durationHint = "write a duration, as in 90s, 2h30m, 1d or 1:30:00"

// durationUnits lists units from the longest to the shortest, in milliseconds.
func durationUnits() []struct {
	name   string
	millis int64
} {
	return []struct {
		name   string
		millis int64
	}{{"d", 24 * 3600 * 1000}, {"h", 3600 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}}
}

// ParseDuration reads a duration ("90s", "2h30m", "1d", "1:30:00", "2-12:00:00")
// as milliseconds. A failure is a *SyntaxError.
func ParseDuration(text string) (int64, error) {
	value, err := parseDuration(text)
	if err != nil {
		return 0, err
	}
	return value, nil
}

func parseDuration(text string) (int64, *SyntaxError) {
	if m := clockPattern.FindStringSubmatch(text); m != nil {
		var total int64
		for i, millis := range []int64{24 * 3600 * 1000, 3600 * 1000, 60 * 1000, 1000} {
			part, _ := strconv.ParseInt("0"+m[i+1], 10, 64) // at most five digits
			total += part * millis
		}
		return total, nil
	}
	if m := twoPartPattern.FindStringSubmatch(text); m != nil {
		return 0, wrong(quote(text)+" could be hours and minutes or minutes and seconds",
			fmt.Sprintf("write %sh%sm or %sm%ss", m[1], m[2], m[1], m[2]))
	}
	if strings.HasPrefix(text, "-") {
		return 0, wrong(quote(text)+" is negative", "leave out the minus sign")
	}
	if durationPattern.FindString(text) == "" || strings.Contains(text, ":") {
		return 0, wrong(quote(text)+" is not a duration", durationHint)
	}
	return sumOfUnits(text)
}

// sumOfUnits reads "2h30m": units in falling order, each once.
func sumOfUnits(text string) (int64, *SyntaxError) {
	units := durationUnits()
	total := new(big.Rat)
	next := 0 // units from here on may still come
	for rest := text; rest != ""; {
		m := durationPattern.FindStringSubmatchIndex(rest)
		if m == nil {
			return 0, wrong(quote(text)+" is not a duration", durationHint)
		}
		number, unit := rest[m[2]:m[3]], rest[m[4]:m[5]]
		col := utf8.RuneCountInString(text[:len(text)-len(rest)+m[4]]) + 1
		rest = rest[m[1]:]
		i := 0
		for i < len(units) && units[i].name != canonicalUnit(unit) {
			i++
		}
		switch {
		case unit == "" && strings.Trim(text, "0123456789.") == "":
			return 0, wrong(quote(text)+" has no unit",
				fmt.Sprintf("write a unit, as in %[1]ss, %[1]sm or %[1]sh", text))
		case unit == "":
			return 0, &SyntaxError{Col: col - len(number), Width: len(number), Message: number + " has no unit", Hint: durationHint}
		case i == len(units):
			return 0, &SyntaxError{
				Col: col, Width: utf8.RuneCountInString(unit),
				Message: quote(unit) + " is not a unit of time", Hint: "write d, h, m, s or ms",
			}
		case i < next:
			return 0, &SyntaxError{
				Col: col, Width: len(unit),
				Message: fmt.Sprintf("%q stands after a smaller or equal unit", unit), Hint: "write the largest unit first and each once, as in 1d2h30m",
			}
		}
		next = i + 1
		value, _ := new(big.Rat).SetString(number) // matches the pattern of a decimal
		total.Add(total, value.Mul(value, big.NewRat(units[i].millis, 1)))
	}
	if !total.IsInt() {
		return 0, wrong(quote(text)+" is finer than a millisecond", durationHint)
	}
	if !total.Num().IsInt64() {
		return 0, wrong(quote(text)+" is too long", durationHint)
	}
	return total.Num().Int64(), nil
}

// canonicalUnit maps the longer names people write to the short one.
func canonicalUnit(unit string) string {
	switch unit {
	case "day", "days":
		return "d"
	case "hour", "hours", "hr", "hrs":
		return "h"
	case "min", "mins", "minute", "minutes":
		return "m"
	case "sec", "secs", "second", "seconds":
		return "s"
	}
	return unit
}

// formatDuration is the inverse of ParseDuration.
func formatDuration(millis int64) string {
	if millis == 0 {
		return "0s"
	}
	var b strings.Builder
	for _, unit := range durationUnits() {
		if n := millis / unit.millis; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, unit.name)
			millis %= unit.millis
		}
	}
	return b.String()
}
