package jobspec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
)

// FuzzParse holds for any input: no panic; either a job that survives being
// rendered and read again, or problems that have a place inside the file, words
// to say, and nothing a terminal would act upon.
func FuzzParse(f *testing.F) {
	examples, err := filepath.Glob("../../examples/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range examples {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	for _, name := range []string{"spec", "errors_fields", "errors_groups", "errors_yaml"} {
		src, err := os.ReadFile(filepath.Join("testdata/scenarios", name))
		if err != nil {
			f.Fatal(err)
		}
		for part := range strings.SplitSeq(string(src), "\nparse") {
			input, _, _ := strings.Cut(part, "\n----\n")
			f.Add([]byte(input))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		file, err := Parse("job.yaml", src)
		if err == nil {
			again, err := Parse("job.yaml", Render(file.Spec))
			if err != nil || !proto.Equal(file.Spec, again.Spec) {
				t.Fatalf("%v\n%s", err, Render(file.Spec))
			}
			return
		}
		problems, ok := errors.AsType[*Errors](err)
		if !ok || len(problems.Problems) == 0 || len(problems.Problems) > MaxProblems {
			t.Fatalf("%T %v", err, err)
		}
		lines := strings.Split(strings.ReplaceAll(string(src), "\r\n", "\n"), "\n")
		for _, p := range problems.Problems {
			if p.Line < 1 || p.Line > len(lines) || p.Col < 1 || p.Col > utf8.RuneCountInString(lines[p.Line-1])+1 || p.Message == "" || p.Hint == "" {
				t.Errorf("a problem without place, message or hint: %+v", p)
			}
			if strings.ContainsFunc(p.String(), func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }) {
				t.Errorf("a control character in %q", p.String())
			}
		}
	})
}

// Files made to hurt are refused, and quickly: the tokens are counted before
// the parser, which is recursive and quadratic, sees them.
func TestHostileFilesAreRefused(t *testing.T) {
	for name, src := range map[string]string{
		"too large":           strings.Repeat("# x\n", MaxFileBytes/4+1),
		"many keys":           strings.Repeat("a: 1\n", maxTokens),
		"many distinct items": "name: x\nrun: echo\nlabels: [" + strings.Repeat("1,", maxTokens) + "]",
		"deep flow lists":     "a: " + strings.Repeat("[", maxTokens/2),
		"deep flow mappings":  strings.Repeat("{a: ", maxTokens/4),
		"deep block lists":    strings.Repeat("- ", maxTokens/2),
		"deep keys":           strings.Repeat("? ", maxTokens/2),
		"many tags":           strings.Repeat("!a ", maxTokens/2),
		"one long line":       strings.Repeat("x", MaxFileBytes),
		"unclosed quotes":     strings.Repeat(`"`, maxTokens-1),
		"nested aliases":      "name: x\nrun: echo\na: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nenv: *c\n",
		"merged into itself":  "name: x\nrun: echo\nenv: &e\n  <<: [*e, *e, *e, *e]\n",
		"a text too long":     "name: x\nrun: '" + strings.Repeat("x", maxTextLen+1) + "'\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse("job.yaml", []byte(src)); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestALongReportIsCut(t *testing.T) {
	src := "name: x\nrun: echo\n" + strings.Repeat("colour: red\n", MaxProblems+10)
	_, err := Parse("job.yaml", []byte(src))
	problems, ok := errors.AsType[*Errors](err)
	if !ok || len(problems.Problems) != MaxProblems || problems.More != 10 {
		t.Fatalf("%v", err)
	}
	if !strings.HasSuffix(err.Error(), "... and 10 more") {
		t.Errorf("%v", err)
	}
}
