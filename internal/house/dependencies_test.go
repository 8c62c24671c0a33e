package house

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every direct dependency of both modules has a row with a licence and a reason, and no other has.
func TestDependenciesHaveReasons(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(root, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	for heading, dir := range map[string]string{"The product": root, "Tools": filepath.Join(root, "tools")} {
		mod, err := ReadModFile(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range CheckDependencies(mod, string(doc), heading) {
			t.Error(fault)
		}
	}
}

func TestDependencyRules(t *testing.T) {
	const doc = "\n## The product\n\n| Module | Licence | Reason |\n|---|---|---|\n" +
		"| `a.org/one` | MIT | it does the one thing |\n| `b.org/two` | MIT | it does another thing |\n\n## Tools\n\n| `z.org/z` | | |\n"
	for _, tc := range []struct {
		name   string
		mod    ModFile
		faults []string
	}{
		{"all agree", mod("a.org/one", "b.org/two", "c.org/three // indirect"), nil},
		{
			"one without a row", mod("a.org/one", "b.org/two", "c.org/three"),
			[]string{"The product: c.org/three is a direct dependency without a row"},
		},
		{
			"one not required", mod("a.org/one"),
			[]string{"The product: b.org/two has a row, but is no direct dependency"},
		},
		{
			"one only indirect", mod("a.org/one", "b.org/two // indirect"),
			[]string{"The product: b.org/two has a row, but is no direct dependency"},
		},
		{"never tidied", mod("a.org/one // indirect", "b.org/two // indirect", "c.org/three // indirect"), nil},
		{
			"never tidied, and not required", mod("a.org/one // indirect"),
			[]string{"The product: b.org/two has a row, but is no direct dependency"},
		},
		{
			"a tool is direct", mod("a.org/one", "b.org/two", "c.org/three // indirect", "tool c.org/three/cmd/x"),
			[]string{"The product: c.org/three is a direct dependency without a row"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := CheckDependencies(tc.mod, doc, "The product"); !slices.Equal(got, tc.faults) {
				t.Errorf("faults: %q, want %q", got, tc.faults)
			}
		})
	}
	if got := CheckDependencies(mod("z.org/z"), doc, "Tools"); len(got) != 1 || !strings.Contains(got[0], "needs a licence and a reason") {
		t.Errorf("a row without licence and reason: %q", got)
	}
	if got := CheckDependencies(mod(), doc, "Nothing"); len(got) != 1 || !strings.Contains(got[0], "no such heading") {
		t.Errorf("a missing heading: %q", got)
	}
}

// mod builds a go.mod from lines as it writes them.
func mod(lines ...string) ModFile {
	var m ModFile
	for _, line := range lines {
		if tool, ok := strings.CutPrefix(line, "tool "); ok {
			m.Tool = append(m.Tool, struct{ Path string }{tool})
			continue
		}
		path, indirect := strings.CutSuffix(line, " // indirect")
		m.Require = append(m.Require, struct {
			Path     string
			Indirect bool
		}{path, indirect})
	}
	return m
}
