package view

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	pb "caravan/api/caravanv1"
)

// enum is a state of the contract.
type enum interface{ String() string }

// Word returns a state as people write it: JOB_STATE_RUNNING is "running".
func Word(e enum) string {
	name := e.String()
	if i := strings.Index(name, "_STATE_"); i >= 0 {
		name = name[i+len("_STATE_"):]
	}
	return strings.ToLower(name)
}

// ago returns how long before now a time was, or "" for a time not set.
func (s Style) ago(ms int64) string {
	if ms == 0 {
		return ""
	}
	d := s.Now.Sub(time.UnixMilli(ms))
	if d < time.Second {
		return "just now"
	}
	return Duration(d) + " ago"
}

// clock returns a time of day, with the date unless it is today.
func (s Style) clock(ms int64) string {
	t := time.UnixMilli(ms).In(s.Now.Location())
	if t.YearDay() == s.Now.YearDay() && t.Year() == s.Now.Year() {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04:05")
}

// span returns the time from start to end, or to now while it has no end.
func (s Style) span(startMS, endMS int64) string {
	if startMS == 0 {
		return ""
	}
	end := s.Now
	if endMS != 0 {
		end = time.UnixMilli(endMS)
	}
	return Duration(end.Sub(time.UnixMilli(startMS)))
}

// Duration returns a length of time in at most two units: 12s, 3m05s, 2h, 4d03h.
func Duration(d time.Duration) string {
	d = max(0, d)
	sec := int64(d / time.Second)
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case sec < 60:
		return fmt.Sprintf("%ds", sec)
	case sec < 3600:
		return two(sec/60, "m", sec%60, "s")
	case sec < 86400:
		return two(sec/3600, "h", sec/60%60, "m")
	default:
		return two(sec/86400, "d", sec/3600%24, "h")
	}
}

// two writes an amount in two units, the smaller one only if there is any.
func two(big int64, bigUnit string, small int64, smallUnit string) string {
	if small == 0 {
		return fmt.Sprintf("%d%s", big, bigUnit)
	}
	return fmt.Sprintf("%d%s%02d%s", big, bigUnit, small, smallUnit)
}

// milli returns thousandths as a decimal: 1500 is "1.5".
func milli(v int64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%d.%03d", v/1000, v%1000), "0"), ".")
}

// mib returns an amount of memory in the largest unit that keeps it above 1.
func mib(v int64) string {
	switch {
	case v >= 1<<20:
		return tenths(v, 1<<20) + " TiB"
	case v >= 1<<10:
		return tenths(v, 1<<10) + " GiB"
	default:
		return strconv.FormatInt(v, 10) + " MiB"
	}
}

// size returns an amount of bytes.
func size(bytes int64) string {
	switch {
	case bytes >= 1<<20:
		return mib(bytes >> 20)
	case bytes >= 1<<10:
		return strconv.FormatInt(bytes>>10, 10) + " KiB"
	default:
		return strconv.FormatInt(bytes, 10) + " B"
	}
}

func tenths(v, unit int64) string {
	return strings.TrimSuffix(fmt.Sprintf("%d.%d", v/unit, v%unit*10/unit), ".0")
}

// price returns millionths of the currency unit per hour; "" when unknown.
func price(micro int64) string {
	if micro == 0 {
		return ""
	}
	if micro < 10_000 {
		return fmt.Sprintf("%d.%06d/h", micro/1_000_000, micro%1_000_000)
	}
	return fmt.Sprintf("%d.%03d/h", micro/1_000_000, micro%1_000_000/1000)
}

// Count returns a number with its noun.
func Count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(n, 10) + " " + noun + "s"
}

// exit returns an exit code and, where the code alone does not tell, the reason.
func exit(e *pb.Exit) string {
	if e == nil {
		return ""
	}
	if e.Reason == "" || e.Reason == "exited" {
		return strconv.Itoa(int(e.Code))
	}
	return fmt.Sprintf("%d %s", e.Code, e.Reason)
}

// attribute returns the value of an attribute.
func attribute(v *pb.AttributeValue) string {
	if n, ok := v.GetValue().(*pb.AttributeValue_Milli); ok {
		return milli(n.Milli)
	}
	return v.GetText()
}

// some joins at most n texts and counts the rest.
func some(texts []string, n int) string {
	if len(texts) <= n {
		return strings.Join(texts, ", ")
	}
	return fmt.Sprintf("%s, %d more", strings.Join(texts[:n], ", "), len(texts)-n)
}

// Ending says in words how an attempt ended: "exit code 137 (oom): killed at 2 GiB".
func Ending(e *pb.Exit) string {
	if e == nil {
		return "never ran"
	}
	text := "exit code " + strconv.Itoa(int(e.Code))
	if e.Reason != "" && e.Reason != "exited" {
		text += " (" + e.Reason + ")"
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}
