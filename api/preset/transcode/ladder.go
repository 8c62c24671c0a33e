package transcode

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Rung is one size of the ladder.
type Rung struct {
	// Name is how the user wrote the size, and part of the file's name.
	Name string
	// Width and Height in pixels, both even.
	Width, Height int
	// Bitrate as ffmpeg reads it, such as 5M; empty for constant quality.
	Bitrate string
}

var (
	rungText  = regexp.MustCompile(`^([0-9]+p|[0-9]+x[0-9]+)(?:@([0-9]+(?:\.[0-9]+)?[kM]))?$`)
	errNoRung = errors.New("the ladder has no rung")
)

// Ladder reads rungs such as 1080p, 720p@3M or 1280x720, separated by commas. The p in 1080p counts
// the shorter side, so that upright videos get what one expects. Rungs that are larger than the
// source are left out and named in skipped, unless none were left.
func Ladder(text string, s Source) (rungs []Rung, skipped []string, err error) {
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		m := rungText.FindStringSubmatch(part)
		if m == nil {
			return nil, nil, fmt.Errorf("rung %q is none of 1080p, 1280x720 and either with a bit rate, as in 720p@3M", part)
		}
		r := Rung{Name: m[1], Bitrate: m[2]}
		if seen[r.Name] {
			return nil, nil, fmt.Errorf("rung %s is there twice", r.Name)
		}
		seen[r.Name] = true
		if err := r.size(s); err != nil {
			return nil, nil, err
		}
		if r.Width > s.Width+1 || r.Height > s.Height+1 {
			skipped = append(skipped, r.Name)
			continue
		}
		rungs = append(rungs, r)
	}
	switch {
	case len(skipped) > 0 && len(rungs) == 0:
		return nil, nil, fmt.Errorf("every rung is larger than the source, which is %dx%d", s.Width, s.Height)
	case len(rungs) == 0:
		return nil, nil, errNoRung
	}
	return rungs, skipped, nil
}

func (r *Rung) size(s Source) (err error) {
	if w, h, both := strings.Cut(r.Name, "x"); both {
		r.Width, err = strconv.Atoi(w)
		if err == nil {
			r.Height, err = strconv.Atoi(h)
		}
		if err == nil && (r.Width%2 != 0 || r.Height%2 != 0) {
			err = errors.New("encoders want even numbers")
		}
	} else {
		var short int
		if short, err = strconv.Atoi(strings.TrimSuffix(r.Name, "p")); err == nil {
			if s.Width >= s.Height {
				r.Width, r.Height = even(s.Width*short, s.Height), even(short, 1)
			} else {
				r.Width, r.Height = even(short, 1), even(s.Height*short, s.Width)
			}
		}
	}
	if err == nil && (r.Width < 16 || r.Height < 16 || r.Width > 16384 || r.Height > 16384) {
		err = errors.New("a side has 16 to 16384 pixels")
	}
	if err != nil {
		return fmt.Errorf("rung %s: %w", r.Name, err)
	}
	return nil
}

// even divides and rounds to the nearest even number.
func even(a, b int) int { return (a + b) / (2 * b) * 2 }
