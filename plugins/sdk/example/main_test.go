package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"caravan/plugins/sdk/client"
	"caravan/plugins/sdk/conformance"
)

// TestItKeepsTheContract builds the plugin and holds it against every rule, on a fake /sys with two
// render nodes.
func TestItKeepsTheContract(t *testing.T) {
	program := filepath.Join(t.TempDir(), "example")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	root := t.TempDir()
	write := func(name, text string) error {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(text+"\n"), 0o600)
	}
	if err := os.MkdirAll(filepath.Join(root, "class/drm"), 0o755); err != nil {
		t.Fatal(err)
	}
	for node, function := range map[string]string{"renderD128": "0000:01:00.0", "renderD129": "0000:02:00.0"} {
		dir := "devices/pci0000:00/" + function
		if err := write(dir+"/drm/"+node+"/dev", "226:"+node[len("renderD"):]); err != nil {
			t.Fatal(err)
		}
		for link, target := range map[string]string{
			"class/drm/" + node: "../../" + dir + "/drm/" + node, dir + "/drm/" + node + "/device": "../../../" + function,
		} {
			if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
				t.Fatal(err)
			}
		}
	}
	conformance.Test(t, conformance.Config{
		Client: client.Config{Command: []string{program, "-sysfs-root", root}},
		Fault: func(_ context.Context, ill bool) error {
			state := "D0"
			if ill {
				state = "error"
			}
			return write("devices/pci0000:00/0000:01:00.0/power_state", state)
		},
	})
}

// The documentation shows the example as it is.
func TestTheDocumentationShowsIt(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(page, append(append([]byte("```go\n"), source...), "```\n"...)) {
		t.Error("docs/plugins.md shows another program than main.go: copy it there")
	}
	if n := bytes.Count(source, []byte("\n")); n > 110 {
		t.Errorf("it has %d lines: about a hundred are promised", n)
	}
}
