package health

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Text is the built-in policy as a file: what an operator begins a policy of their own with.
func Text() []byte { return bytes.Clone(defaultPolicy) }

// Differences says in what a policy differs from the built-in one, a line for each code in their order:
// what is done about it there and here. No lines, no difference.
func (p *Policy) Differences() ([]string, error) {
	built, err := Default()
	if err != nil {
		return nil, err
	}
	codes := make(map[string]bool)
	for _, all := range []map[string]rule{built.rules, p.rules} {
		for code := range all {
			codes[code] = true
		}
	}
	var lines []string
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		before, listed := built.rules[code]
		after, still := p.rules[code]
		switch {
		case !listed:
			lines = append(lines, fmt.Sprintf("%s: %s, new", code, after))
		case !still:
			lines = append(lines, fmt.Sprintf("%s: %s, was %s (it has no row, so `unlisted` holds)", code, rule{do: p.unlisted}, before))
		case before != after:
			lines = append(lines, fmt.Sprintf("%s: %s, was %s", code, after, before))
		}
	}
	return lines, nil
}

// String is what a row says, in few words.
func (r rule) String() string {
	words := r.do.word()
	if r.reset {
		words += " with reset"
	}
	if r.finish {
		words += ", what runs finishes"
	}
	for name, scope := range scopeWords {
		if scope == r.scope && scope != OfDevice {
			words += ", of the " + name
		}
	}
	if r.repeat > 0 {
		words += fmt.Sprintf(", then %s after %d in %v", r.then.word(), r.repeat, time.Duration(r.within)*time.Millisecond)
	}
	return words
}

func (a Action) word() string {
	for word, action := range actionWords {
		if action == a {
			return word
		}
	}
	return "nothing"
}
