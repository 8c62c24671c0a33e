package slurm

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"caravan/api/caravanv1"
)

// number reads a count, with an optional k or m.
func number(v string) (int64, error) {
	factor := int64(1)
	digits := v
	if v != "" {
		switch v[len(v)-1] {
		case 'k', 'K':
			factor, digits = 1024, v[:len(v)-1]
		case 'm', 'M':
			factor, digits = 1024*1024, v[:len(v)-1]
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no number", v)
	}
	return n * factor, nil
}

// mebibytes reads a size: MiB unless K, M, G or T follows.
func mebibytes(v string) (int64, error) {
	bad := &hinted{fmt.Sprintf("%q is no size", v), "write 4096 or 4096M, 4G or 1T"}
	digits := strings.TrimRight(v, "KMGTkmgtBbi")
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || n < 0 || n > 1<<30 {
		return Unset, bad
	}
	unit := strings.ToUpper(strings.TrimRight(strings.ToUpper(v[len(digits):]), "IB"))
	switch unit {
	case "", "M":
	case "K":
		n /= 1024
	case "G":
		n *= 1024
	case "T":
		n *= 1024 * 1024
	default:
		return Unset, bad
	}
	whole := int64(n)
	if float64(whole) < n {
		whole++
	}
	return whole, nil
}

// duration reads a time limit: minutes, minutes:seconds, hours:minutes:seconds, days-hours,
// days-hours:minutes or days-hours:minutes:seconds. 0 and UNLIMITED are none.
func duration(v string) (ms int64, err error) {
	switch strings.ToUpper(v) {
	case "UNLIMITED", "INFINITE", "-1":
		return 0, nil
	}
	bad := &hinted{fmt.Sprintf("%q is no time", v), "write 90 (minutes), 1:30:00, 2-12 (days-hours) or 2-12:00:00"}
	days, clock, withDays := strings.Cut(v, "-")
	var total int64
	if withDays {
		d, err := strconv.ParseInt(days, 10, 32)
		if err != nil || d < 0 {
			return 0, bad
		}
		total = d * 24 * 3600
	} else {
		clock = v
	}
	parts := strings.Split(clock, ":")
	if len(parts) > 3 {
		return 0, bad
	}
	// With days the first is hours; else one or two begin at minutes.
	unit := []int64{3600, 60, 1}
	if !withDays && len(parts) < 3 {
		unit = unit[1:]
	}
	for i, p := range parts {
		n, err := strconv.ParseInt(p, 10, 32)
		if err != nil || n < 0 {
			return 0, bad
		}
		total += n * unit[i]
	}
	return total * 1000, nil
}

// StartTime reads when a job is to begin: now+1hour, 16:00, tomorrow, 2030-01-20T12:34:00. The
// zone is now's. The zero time means at once.
func StartTime(v string, now time.Time) (time.Time, error) {
	bad := &hinted{fmt.Sprintf("%q is no time", v), "write now+1hour, 16:00, tomorrow or 2030-01-20T12:34:00"}
	lower := strings.ToLower(v)
	if rest, ok := strings.CutPrefix(lower, "now"); ok {
		if rest == "" {
			return time.Time{}, nil
		}
		m := regexp.MustCompile(`^\+(\d{1,9})(s|se|second|seconds|m|mi|min|minute|minutes|h|hour|hours|d|day|days|w|week|weeks)?$`).FindStringSubmatch(rest)
		if m == nil {
			return time.Time{}, bad
		}
		n, _ := strconv.ParseInt(m[1], 10, 64) // at most 9 digits
		unit := time.Second
		if m[2] != "" {
			unit = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[m[2][0]]
		}
		return now.Add(time.Duration(n) * unit), nil
	}
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	for word, at := range map[string]time.Time{
		"today": day, "tomorrow": day.AddDate(0, 0, 1), "midnight": day.AddDate(0, 0, 1),
		"noon": day.Add(12 * time.Hour), "teatime": day.Add(16 * time.Hour), "fika": day.Add(15 * time.Hour),
	} {
		if lower == word {
			return later(at, now), nil
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02", "01/02/06-15:04:05", "01/02/06-15:04", "01/02/06"} {
		if at, err := time.ParseInLocation(layout, strings.ToUpper(v), now.Location()); err == nil {
			return at, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04", "3:04PM", "3:04:05PM"} {
		if at, err := time.ParseInLocation(layout, strings.ToUpper(v), now.Location()); err == nil {
			return later(day.Add(at.Sub(time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, at.Location()))), now), nil
		}
	}
	return time.Time{}, bad
}

// later is the time, or the same tomorrow when it has passed.
func later(at, now time.Time) time.Time {
	if at.Before(now) {
		return at.AddDate(0, 0, 1)
	}
	return at
}

// signals are the names that users write, with Linux's numbers.
func signals() map[string]int32 {
	return map[string]int32{
		"HUP": 1, "INT": 2, "QUIT": 3, "ABRT": 6, "KILL": 9, "USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14,
		"TERM": 15, "CHLD": 17, "CONT": 18, "STOP": 19, "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25,
	}
}

// Signal reads a signal's name, with or without SIG, or its number.
func Signal(v string) (int32, error) {
	if n, ok := signals()[strings.TrimPrefix(strings.ToUpper(v), "SIG")]; ok {
		return n, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 1 || n > 64 {
		return 0, &hinted{fmt.Sprintf("there is no signal %q", v), "write USR1, TERM or a number"}
	}
	return int32(n), nil
}

// setSignal reads [{R|B}:]<signal>[@seconds].
func (r *Request) setSignal(v string) (err error) {
	who, what, named := strings.Cut(v, ":")
	if !named {
		who, what = "", v
	}
	if strings.Trim(strings.ToUpper(who), "BR") != "" {
		return &hinted{fmt.Sprintf("%q is no addressee", who), "write B:USR1@60 for the script, or USR1@60 for its steps"}
	}
	if strings.Contains(strings.ToUpper(who), "R") {
		r.warn("R has no effect: there are no reservations")
	}
	r.SignalBatch = strings.Contains(strings.ToUpper(who), "B")
	name, seconds, timed := strings.Cut(what, "@")
	r.SignalBeforeMs = 60_000
	if timed {
		n, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil || n < 0 || n > 65535 {
			return fmt.Errorf("%q is no number of seconds from 0 to 65535", seconds)
		}
		r.SignalBeforeMs = n * 1000
	}
	r.Signal, err = Signal(name)
	return err
}

// setDependency reads conditions such as afterok:1:2,afterany:3,singleton.
func (r *Request) setDependency(v string) error {
	r.After, r.Singleton = nil, false
	if strings.Contains(v, "?") {
		return &hinted{"alternatives, separated by '?', cannot be waited for", "separate what must all hold by ','"}
	}
	seen := make(map[string]bool)
	for _, part := range strings.Split(v, ",") {
		kind, rest, _ := strings.Cut(part, ":")
		if strings.EqualFold(kind, "singleton") {
			r.Singleton = true
			continue
		}
		c, ok := map[string]caravanv1.DependencyCondition{
			"after":            caravanv1.DependencyCondition_DEPENDENCY_CONDITION_STARTED,
			"afterok":          caravanv1.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED,
			"aftercorr":        caravanv1.DependencyCondition_DEPENDENCY_CONDITION_SUCCEEDED,
			"afternotok":       caravanv1.DependencyCondition_DEPENDENCY_CONDITION_FAILED,
			"afterany":         caravanv1.DependencyCondition_DEPENDENCY_CONDITION_ENDED,
			"afterburstbuffer": caravanv1.DependencyCondition_DEPENDENCY_CONDITION_ENDED,
		}[strings.ToLower(kind)]
		if !ok {
			return &hinted{fmt.Sprintf("there is no dependency %q", kind), "write after, afterok, afterany, afternotok, aftercorr or singleton"}
		}
		if strings.EqualFold(kind, "aftercorr") {
			r.warn("aftercorr waits for the whole of the other array, not task by task")
		}
		for _, id := range strings.Split(rest, ":") {
			id, minutes, delayed := strings.Cut(id, "+")
			if delayed {
				r.warn("the wait of %s minutes after the start has no effect", minutes)
			}
			job, index, element := strings.Cut(id, "_")
			if element && index != "*" {
				r.warn("%s waits for all of job %s, not for one task of its array", id, job)
			}
			if job == "" {
				return &hinted{fmt.Sprintf("%q names no job", part), "write " + kind + ":JOBID"}
			}
			if !seen[job] {
				r.After = append(r.After, &caravanv1.JobDependency{Job: job, Condition: c})
			}
			seen[job] = true
		}
	}
	return nil
}

// plainName makes a name as queues and limits have them.
func plainName(v string) string {
	name := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(v), "-"), "-")
	if name != "" && (name[0] < 'a' || name[0] > 'z') {
		name = "j-" + name
	}
	if len(name) > 48 {
		name = strings.TrimRight(name[:48], "-")
	}
	return name
}
