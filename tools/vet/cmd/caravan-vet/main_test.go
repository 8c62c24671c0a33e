package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// planted breaks one rule of each analyzer.
const planted = `// Package planted exists only in an overlay.
package planted

import "time"

func when() int64 { return time.Now().Unix() }

func walk(m map[string]int, f func(string)) {
	for k := range m {
		f(k)
	}
}

func score(a, b int64) bool { return float64(a)/float64(b) > 0.5 }
`

// clean breaks none.
const clean = `// Package planted exists only in an overlay.
package planted

func ratio(a, b int64) int64 { return a * 1000 / b }
`

// A violation planted in the real tree, in a deciding package, makes go vet fail through the real
// tool, once for each analyzer; without it go vet passes.
func TestPlantedViolationsAreCaughtByGoVet(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "caravan-vet")
	if out, err := exec.Command("go", "build", "-o", tool, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if out, err := vet(t, tool, clean); err != nil {
		t.Fatalf("go vet fails on a clean package: %v\n%s", err, out)
	}
	out, err := vet(t, tool, planted)
	if err == nil {
		t.Fatalf("go vet passes in spite of the violations:\n%s", out)
	}
	for _, want := range []string{
		"planted.go:6:33: time.Now must not be used here",
		"planted.go:9:2: loop over a map in map order",
		"planted.go:14:38: floating-point value",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("go vet does not say %q:\n%s", want, out)
		}
	}
}

// overlaid is a folder in the tree of a deciding package that exists and holds no Go files. Go vet
// works inside the folder of a package, so an overlay alone cannot make one up.
const overlaid = "scheduler/family/testdata/scenarios"

// vet runs go vet in the project's module on a package that an overlay puts into that folder.
func vet(t *testing.T, tool, source string) (string, error) {
	t.Helper()
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "planted.go")
	overlay, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(root, overlaid, "planted.go"): file},
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{file: []byte(source), filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "vet", "-vettool="+tool, "-overlay="+filepath.Join(dir, "overlay.json"), "./"+overlaid)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}
