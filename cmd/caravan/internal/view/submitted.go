package view

import (
	"fmt"
	"io"

	pb "caravan/api/caravanv1"
)

// Submitted writes a new job's id, what the user should know of it, and what
// to type next.
func Submitted(w io.Writer, s Style, r *pb.SubmitJobResponse) {
	fmt.Fprintln(w, r.JobId)
	Warnings(w, s, r.Warnings)
	fmt.Fprintf(w, `
  caravan status %[1]s
  caravan logs -f %[1]s
  caravan why %[1]s
  caravan stop %[1]s
`, r.JobId)
}
