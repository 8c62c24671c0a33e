// Package hostlist reads and writes lists of host names in the short form that Slurm users and
// the programs they start know: node[1-3,7],login becomes node1,node2,node3,node7,login.
//
// It is pure. Agents write the form into the environment of batch scripts, and the command
// line expands it, as `scontrol show hostnames` does.
package hostlist

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxHosts bounds what Expand gives back.
const MaxHosts = 100_000

// Compress writes names in their order; neighbours that differ by one in a number at the end
// share a bracket. Leading zeros are kept.
func Compress(names []string) string {
	var out []string
	for i := 0; i < len(names); {
		stem, width, first := split(names[i])
		if width == 0 {
			out = append(out, names[i])
			i++
			continue
		}
		var runs []string
		from, last, n := first, first, 1
		for j := i + 1; j < len(names); j++ {
			s, _, at := split(names[j])
			if s != stem || names[j] != stem+pad(at, width) {
				break
			}
			if at != last+1 {
				runs = append(runs, run(from, last, width))
				from = at
			}
			last = at
			n++
		}
		runs = append(runs, run(from, last, width))
		if n == 1 {
			out = append(out, names[i])
		} else {
			out = append(out, stem+"["+strings.Join(runs, ",")+"]")
		}
		i += n
	}
	return strings.Join(out, ",")
}

// split takes the number off the end of a name; width is its length in digits, 0 for none.
func split(name string) (stem string, width int, n int64) {
	at := len(name)
	for at > 0 && len(name)-at < 15 && name[at-1] >= '0' && name[at-1] <= '9' {
		at--
	}
	if at == len(name) {
		return name, 0, 0
	}
	digits := name[at:]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return name, 0, 0
	}
	if digits[0] != '0' || digits == "0" {
		return name[:at], 1, n // a width of 1 pads nothing
	}
	return name[:at], len(digits), n
}

func run(from, to int64, width int) string {
	if from == to {
		return pad(from, width)
	}
	return pad(from, width) + "-" + pad(to, width)
}

func pad(n int64, width int) string { return fmt.Sprintf("%0*d", width, n) }

// Expand writes out a list. An error names what cannot be read.
func Expand(list string) ([]string, error) {
	var names []string
	for _, item := range splitOutside(list) {
		if item == "" {
			continue
		}
		more, err := expandOne(item)
		if err != nil {
			return nil, err
		}
		if names = append(names, more...); len(names) > MaxHosts {
			return nil, fmt.Errorf("%q names more than %d hosts", list, MaxHosts)
		}
	}
	return names, nil
}

// splitOutside splits at commas that stand in no bracket.
func splitOutside(list string) []string {
	depth := 0
	return strings.FieldsFunc(list, func(r rune) bool {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		}
		return (r == ',' || r == ' ' || r == '\n') && depth == 0
	})
}

func expandOne(item string) ([]string, error) {
	open := strings.IndexByte(item, '[')
	if open < 0 {
		if strings.ContainsRune(item, ']') {
			return nil, fmt.Errorf("%q: ']' without '['", item)
		}
		return []string{item}, nil
	}
	end := strings.IndexByte(item[open:], ']')
	if end < 0 {
		return nil, fmt.Errorf("%q: '[' without ']'", item)
	}
	end += open
	tails, err := expandOne(item[end+1:])
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range strings.Split(item[open+1:end], ",") {
		from, to, isRange := strings.Cut(r, "-")
		if !isRange {
			to = from
		}
		lo, err1 := strconv.ParseInt(from, 10, 64)
		hi, err2 := strconv.ParseInt(to, 10, 64)
		if err1 != nil || err2 != nil || lo < 0 || hi < lo || (hi-lo) > MaxHosts/int64(len(tails)) {
			return nil, fmt.Errorf("%q: %q is no range of numbers", item, r)
		}
		for n := lo; n <= hi; n++ {
			for _, tail := range tails {
				names = append(names, item[:open]+pad(n, len(from))+tail)
			}
		}
	}
	return names, nil
}
