package jobspec

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/encoding/prototext"

	"caravan/api/caravanv1"
)

// protoText prints a message in a form that does not change from build to
// build: prototext adds spaces at random so that nobody relies on them.
func protoText(spec *caravanv1.JobSpec) string {
	text := prototext.MarshalOptions{Multiline: true, Indent: "  "}.Format(spec)
	return strings.ReplaceAll(text, ":  ", ": ")
}

// TestScenarios runs the files of testdata/scenarios. Commands:
//
//	parse           the message of a job file, or all its problems
//	render          the canonical form of a job file
//	locate          places of message paths (one per line) in the last file parsed
//	violations      lines "path | message | hint" as problems of the last file parsed
//	array, size, duration, cpu      each line by the function of that name
//
// In a file, \t stands for a tab, \0 for a NUL and \xff for that byte when the
// command has the argument "escaped".
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		var last *File
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			input := d.Input
			if d.HasArg("escaped") {
				input = strings.NewReplacer(`\t`, "\t", `\0`, "\x00", `\xff`, "\xff", `\r`, "\r").Replace(input)
			}
			switch d.Cmd {
			case "parse", "render":
				f, err := Parse("job.yaml", []byte(input+"\n"))
				if err != nil {
					return err.Error() + "\n"
				}
				last = f
				if d.Cmd == "render" {
					return string(Render(f.Spec))
				}
				return protoText(f.Spec)
			case "locate":
				return eachLine(input, func(line string) string {
					row, col, ok := last.Locate(line)
					return fmt.Sprintf("%s: %d:%d %v", line, row, col, ok)
				})
			case "violations":
				var violations []*caravanv1.FieldViolation
				for line := range strings.SplitSeq(input, "\n") {
					parts := strings.SplitN(line, " | ", 3)
					violations = append(violations, &caravanv1.FieldViolation{Path: parts[0], Message: parts[1], Hint: parts[2]})
				}
				return last.Problems(violations).Error() + "\n"
			case "array", "size", "duration", "cpu":
				return eachLine(input, scalarCommand(d.Cmd))
			}
			t.Fatalf("unknown command %q", d.Cmd)
			return ""
		})
	})
}

func eachLine(input string, answer func(string) string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(input, "\n") {
		b.WriteString(answer(line) + "\n")
	}
	return b.String()
}

// scalarCommand shows what a single value is read as, or its SyntaxError.
func scalarCommand(name string) func(string) string {
	show := func(text string, value any, err error) string {
		if err == nil {
			return fmt.Sprintf("%s = %v", text, value)
		}
		e, ok := errors.AsType[*SyntaxError](err)
		if !ok {
			return fmt.Sprintf("%s: %T", text, err)
		}
		return fmt.Sprintf("%s: col %d width %d: %s", text, e.Col, e.Width, e)
	}
	return func(text string) string {
		switch name {
		case "size":
			mib, err := ParseSize(text)
			return show(text, fmt.Sprintf("%d MiB, written %s", mib, formatSize(mib)), err)
		case "duration":
			millis, err := ParseDuration(text)
			return show(text, fmt.Sprintf("%d ms, written %s", millis, formatDuration(millis)), err)
		case "cpu":
			milli, err := ParseCPU(text)
			return show(text, fmt.Sprintf("%d thousandths, written %s", milli, formatMilli(milli)), err)
		}
		ranges, limit, err := ParseArray(text)
		return show(text, fmt.Sprintf("%d indices, limit %d, written %s", arrayLen(ranges), limit, formatArray(ranges)), err)
	}
}

// rewriting says whether golden files are to be written (-rewrite, a flag of
// the datadriven package).
func rewriting() bool { return flag.Lookup("rewrite").Value.String() == "true" }

func TestGeneratedFilesFollowTheSchema(t *testing.T) {
	for name, generate := range map[string]func() []byte{"job.schema.json": JSONSchema, "../../docs/job-file.md": Reference} {
		if rewriting() {
			if err := os.WriteFile(name, generate(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, generate()) {
			t.Errorf("%s is not what the schema generates: run go test ./api/jobspec -rewrite and read the difference", name)
		}
	}
}

func TestEveryExampleParses(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(filepath.Base(name), src); err != nil {
			t.Errorf("%v", err)
		}
	}
}
