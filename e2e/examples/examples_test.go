package examples

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"caravan/e2e/harness"
)

// example is a job file that runs, and what its tasks must have said by the end.
type example struct{ name, says string }

var (
	everyPush     = []example{{"virtual-reality", ""}}
	withMoreTools = []example{
		{"editing", ""},
		{"finance", `160000 paths: 5\.\d+ \+- 0\.0`},
		{"fluid-dynamics", `(?m)^main\[2\] \| End$`},
		{"genomics", `10 reads lie over a base on average`},
		{"image-processing", ""},
		{"molecular-modelling", `main\[2\] \| Loop time of`},
		{"seismic", `5 shots stacked, energy \d+`},
		{"training", `step 40: loss [0-3]\.`},
		{"weather", `ensemble \| +\d+\.\d+`},
	}
)

// shown are examples that are read and not run: what they need is yours, or the cluster's.
var shown = map[string]string{
	"array": "a Blender scene of yours", "container": "an image from a registry", "deps": "a scene of yours", "gang": "GPUs", "hello": "nothing: the README runs it",
	"placement": "simulated nodes", "prediction": "an FPGA and a service of yours", "rendering": "a Blender scene of yours",
	"sweep": "code of yours", "torchrun": "GPUs", "transcoding": "a film of yours", "variants": "a film of yours",
}

const folder = "../../examples"

// TestEveryExampleIsAccountedFor: a new example runs here, or it is said why it does not.
func TestEveryExampleIsAccountedFor(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, f := range files {
		there = append(there, strings.TrimSuffix(filepath.Base(f), ".yaml"))
	}
	var known []string
	for _, e := range slices.Concat(everyPush, withMoreTools) {
		known = append(known, e.name)
	}
	for name := range shown {
		known = append(known, name)
	}
	slices.Sort(known)
	slices.Sort(there)
	if !slices.Equal(there, known) {
		t.Errorf("there are the examples\n%v\nand known are\n%v", there, known)
	}
}

func TestExamplesRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	// Not t.TempDir: its path is too long for the sockets below it.
	dir, err := os.MkdirTemp("", "cv-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	bin, err := harness.Binary(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	settle(t, dir)
	c, err := harness.Start(ctx, harness.Options{Bin: bin, Dir: dir, Servers: 1, Agents: 1, ServerFlags: []string{"--timing", "lan"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	for _, e := range runs {
		t.Run(e.name, func(t *testing.T) {
			out, err := c.CLI(ctx, "run", filepath.Join(dir, "examples", e.name+".yaml")).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !regexp.MustCompile(e.says).Match(out) {
				t.Errorf("%q is not in\n%s", e.says, out)
			}
		})
	}
}

// settle copies the examples into a directory, where their /data is one below it.
func settle(t *testing.T, dir string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	// An operator makes the directory that a job's own programs write to.
	if err := os.MkdirAll(filepath.Join(dir, "data/training"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, e := range runs {
		path := filepath.Join(dir, "examples", e.name+".yaml")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text = []byte(strings.ReplaceAll(string(text), "/data/", filepath.Join(dir, "data")+"/"))
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
