package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/grpc/codes"

	pb "caravan/api/caravanv1"
	"caravan/api/client/clienttest"
)

// Each file is a session against the fixture: a command line, what it reads
// below it, and what it prints; lines of stderr behind "! ", then an exit code
// other than 0. Other directives:
//
//	file NAME          writes a file for the commands that follow
//	refuse METHOD KIND makes the server refuse the next call
func TestSessions(t *testing.T) {
	sessions, err := filepath.Abs("testdata/sessions")
	if err != nil {
		t.Fatal(err)
	}
	datadriven.Walk(t, sessions, func(t *testing.T, path string) {
		t.Chdir(t.TempDir())
		b := newBench(t, fixture())
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "file":
				if err := os.WriteFile(d.CmdArgs[0].Key, []byte(d.Input+"\n"), 0o600); err != nil {
					d.Fatalf(t, "%v", err)
				}
				return ""
			case "refuse":
				b.server.Fail(d.CmdArgs[0].Key, 1, refusal(d.CmdArgs[1].Key))
				return ""
			case "caravan":
				line, input, _ := strings.Cut(d.Input, "\n<\n")
				out, errs, code := b.run(input, strings.Fields(line)...)
				return transcript(out, errs, code)
			}
			d.Fatalf(t, "no directive %s", d.Cmd)
			return ""
		})
	})
}

func refusal(kind string) error {
	code := map[string]codes.Code{
		"invalid": codes.InvalidArgument, "not-found": codes.NotFound, "conflict": codes.FailedPrecondition,
		"overloaded": codes.ResourceExhausted, "denied": codes.PermissionDenied, "internal": codes.Internal,
	}[kind]
	if kind == "invalid" {
		return clienttest.Refuse(code, kind, "the job has faults", &pb.FieldViolation{
			Path: "groups[0].variants[0].resources.cpu_milli", Message: "no node has so many cores", Hint: "at most 56",
		})
	}
	return clienttest.Refuse(code, kind, "refused as "+kind)
}

// transcript puts what a command did into one text.
func transcript(out, errs string, code int) string {
	var b strings.Builder
	b.WriteString(out)
	if out != "" && !strings.HasSuffix(out, "\n") {
		b.WriteString("(no newline)\n")
	}
	for line := range strings.Lines(errs) {
		b.WriteString("! " + strings.TrimSuffix(line, "\n") + "\n")
	}
	if code != 0 {
		fmt.Fprintf(&b, "exit code %d\n", code)
	}
	return b.String()
}
