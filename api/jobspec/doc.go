// Package jobspec turns a job file, written by hand in YAML, into the
// caravanv1.JobSpec that is submitted, and back.
//
// One declarative schema (schema.go) is the only description of the format:
// the reader walks the file against it, and the JSON Schema for editors and
// the reference page are generated from it. A field is added there and nowhere
// else, apart from the line in build.go that puts its value into the message.
//
// Invariants:
//
//   - Parse reports every mistake of a file at once, each with its place, what
//     is wrong, and what to write instead. It never stops at the first, and
//     never reports one mistake twice.
//   - No value passes through floating point: cores are thousandths, memory is
//     MiB, durations are milliseconds, all int64.
//   - Every input is bounded (see the limits in limits.go); Parse does not
//     panic, whatever it is given.
//   - A message from Parse has every default filled in, and
//     Parse(Render(spec)) gives it back unchanged.
//
// The CLI and the Go SDK call this package; servers take the message only. All
// functions are pure and safe for concurrent use.
package jobspec
