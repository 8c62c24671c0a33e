package model

// Time is an instant in milliseconds since the Unix epoch, UTC. Zero means
// "not yet".
type Time int64

// Duration is a span in milliseconds.
type Duration int64

// Common spans.
const (
	Millisecond Duration = 1
	Second               = 1000 * Millisecond
	Minute               = 60 * Second
	Hour                 = 60 * Minute
	Day                  = 24 * Hour
)

// Add returns the instant d later.
func (t Time) Add(d Duration) Time { return t + Time(d) }

// Sub returns the span from u to t.
func (t Time) Sub(u Time) Duration { return Duration(t - u) }
