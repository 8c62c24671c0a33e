package blackhole

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"caravan/scheduler/model"
)

// Policy says when a place is held for a black hole.
type Policy struct {
	// Jobs different ones must have failed quickly, of the last Of different ones that ended there.
	Jobs, Of int
	// Fast is the longest that a task may have run for its failure to be a quick one.
	Fast model.Duration
	// Within is how long ends are remembered.
	Within model.Duration
}

// Default returns the built-in policy.
//
//	jobs    3    two users may well err at the same time; a third in the same place is a pattern
//	of      4    one success among four: some work does not need what is broken
//	fast    1m   a broken library or device shows when the program begins; a real failure mostly takes longer
//	within  30m  a black hole eats a queue in minutes; ends of hours ago say little of now
func Default() Policy {
	return Policy{Jobs: 3, Of: 4, Fast: model.Minute, Within: 30 * model.Minute}
}

// Off reports whether nothing is looked for.
func (p Policy) Off() bool { return p.Jobs == 0 }

// Parse reads "jobs=3,of=4,fast=1m,within=30m"; what is left out is as in Default, and "off" looks
// for nothing.
func Parse(text string) (Policy, error) {
	p := Default()
	if text == "off" {
		return Policy{}, nil
	}
	for word := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "":
		case "jobs":
			p.Jobs, err = strconv.Atoi(value)
		case "of":
			p.Of, err = strconv.Atoi(value)
		case "fast":
			p.Fast, err = span(value)
		case "within":
			p.Within, err = span(value)
		default:
			err = fmt.Errorf("there are jobs, of, fast and within")
		}
		if err != nil {
			return Policy{}, fmt.Errorf("black hole: %q: %w", word, err)
		}
	}
	if p.Jobs < 2 || p.Of < p.Jobs || p.Of > maxOf || p.Fast <= 0 || p.Within <= 0 {
		return Policy{}, fmt.Errorf("black hole %q: jobs must be 2 or more, of jobs to %d, fast and within more than nothing", text, maxOf)
	}
	return p, nil
}

// maxOf bounds what is remembered of a place.
const maxOf = 64

func span(text string) (model.Duration, error) {
	d, err := time.ParseDuration(text)
	return model.Duration(d.Milliseconds()), err
}
