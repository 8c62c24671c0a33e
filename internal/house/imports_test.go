package house

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func readRules(t *testing.T) Rules {
	t.Helper()
	rules, err := ReadRules(filepath.Join(root, "tools/vet/rules/rules.go"))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func listTree(t *testing.T, args ...string) []Listed {
	t.Helper()
	listed, err := List(root, append(args, "./...")...)
	if err != nil {
		t.Fatal(err)
	}
	return listed
}

func checkListed(t *testing.T, listed []Listed) []string {
	t.Helper()
	packages := make([]Package, 0, len(listed))
	for _, l := range listed {
		p, err := l.Package()
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	return CheckImports(packages, Table(), Reservations(), readRules(t))
}

// Every package of the tree imports only what the import table allows.
func TestTheTreeKeepsToTheImportTable(t *testing.T) {
	listed := listTree(t)
	if len(listed) < 3 {
		t.Fatalf("go list finds only %d packages: the check would prove nothing", len(listed))
	}
	for _, fault := range checkListed(t, listed) {
		t.Error(fault)
	}
}

// Files planted into the real tree are caught, so the check above does look where it should.
func TestPlantedImportsAreCaught(t *testing.T) {
	base, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for name, source := range map[string]string{
		"scheduler/model/planted.go":         "package model\n\nimport (\n\t_ \"os\"\n\t_ \"caravan/scheduler/state\"\n)\n",
		"scheduler/resource/planted.go":      "package resource\n\nimport _ \"github.com/tidwall/btree\"\n",
		"scheduler/core/planted/planted.go":  "package planted\n\nimport _ \"google.golang.org/grpc\"\n",
		"scheduler/planted/planted.go":       "package planted\n",
		"scheduler/state/planted_test.go":    "package state\n\nimport _ \"caravan/cmd/caravan\"\n",
		"plugins/device/planted/planted.go":  "package planted\n\nimport _ \"caravan/scheduler/model\"\n",
		"api/planted/planted.go":             "package planted\n\nimport _ \"caravan/scheduler/model\"\n",
		"scheduler/server/planted_import.go": "package server\n\nimport \"C\"\n",
	} {
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(base, name)] = file
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	faults := strings.Join(checkListed(t, listTree(t, "-overlay="+overlayFile)), "\n")
	for _, want := range []string{
		"scheduler/model imports os, which is banned in pure packages",
		"scheduler/model imports scheduler/state, which its row does not allow",
		"scheduler/resource imports github.com/tidwall/btree, which its row does not allow",
		"scheduler/core/planted imports google.golang.org/grpc, which is banned in pure packages",
		"scheduler/planted has no row in the import table",
		"tests of scheduler/state import cmd/caravan: nobody imports cmd",
		"plugins/device/planted imports scheduler/model, which its row does not allow",
		"api/planted imports scheduler/model, which its row does not allow",
		"scheduler/server imports C, which is reserved for",
	} {
		if !strings.Contains(faults, want) {
			t.Errorf("not caught: %s\nfaults:\n%s", want, faults)
		}
	}
}

// A file that build tags leave out on this platform is held to the table as well.
func TestImportsBehindBuildTagsCount(t *testing.T) {
	dir := t.TempDir()
	source := "//go:build never\n\npackage model\n\nimport _ \"net/http\"\n"
	if err := os.WriteFile(filepath.Join(dir, "never.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	listed := Listed{ImportPath: "caravan/scheduler/model", Dir: dir, IgnoredGoFiles: []string{"never.go"}}
	if faults := checkListed(t, []Listed{listed}); len(faults) != 1 || !strings.Contains(faults[0], "imports net/http") {
		t.Errorf("faults: %q, want one for net/http", faults)
	}
}

// The rules of the check, one at a time, on a small made-up tree.
func TestImportRules(t *testing.T) {
	table := []Room{
		{Path: "a/...", Ours: []string{"a/..."}, Why: "a stands alone"},
		{Path: "a/special", Ours: []string{"b"}, Third: []string{"x.org/lib"}, Why: "special may use b"},
		{Path: "b", Third: []string{"..."}, Why: "b stands alone"},
		{Path: "cmd/...", Ours: []string{"..."}, Third: []string{"..."}, Why: "wiring"},
	}
	reserved := []Reserved{{Import: "y.org/rare", Rooms: []string{"cmd/one/..."}, Why: "it is rare"}}
	rules := Rules{Pure: []string{"caravan/a"}, Banned: map[string]string{"os": "no files"}}
	for _, tc := range []struct {
		name  string
		p     Package
		fault string // "" for none
	}{
		{"std is free", pkg("a", "fmt"), ""},
		{"own subtree", pkg("a/x", "caravan/a/y"), ""},
		{"not in the row", pkg("a/x", "caravan/b"), "a/x imports b, which its row does not allow: a stands alone"},
		{"the most specific row wins", pkg("a/special", "caravan/b"), ""},
		{"and replaces the wider one", pkg("a/special", "caravan/a/x"), "does not allow"},
		{"a name that only begins alike", pkg("ab"), "ab has no row"},
		{"third party, not listed", pkg("a", "x.org/lib"), "a imports x.org/lib, which its row does not allow"},
		{"third party, listed with its subtree", pkg("a/special", "x.org/lib/sub"), ""},
		{"third party that only begins alike", pkg("a/special", "x.org/library"), "does not allow"},
		{"third party, any", pkg("b", "z.org/other"), ""},
		{"banned in pure packages", pkg("a", "os"), "a imports os, which is banned in pure packages: no files"},
		{"banned with its subtree", pkg("a/special", "os/exec"), "which is banned"},
		{"free elsewhere", pkg("b", "os"), ""},
		{"reserved", pkg("b", "y.org/rare/sub"), "b imports y.org/rare/sub, which is reserved for cmd/one/...: it is rare"},
		{"reserved for this one", pkg("cmd/one", "y.org/rare"), ""},
		{"reserved holds for tests", testPkg("b", "y.org/rare"), "reserved"},
		{"cmd from outside", pkg("b", "caravan/cmd/one"), "b imports cmd/one: nobody imports cmd"},
		{"cmd from another command", pkg("cmd/two", "caravan/cmd/one/inner"), "nobody imports cmd"},
		{"cmd from the same command", pkg("cmd/one", "caravan/cmd/one/inner"), ""},
		{"cmd from a test", testPkg("b", "caravan/cmd/one"), "tests of b import cmd/one"},
		{"tests look further", testPkg("a", "caravan/b", "os", "z.org/other"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := CheckImports([]Package{tc.p}, table, reserved, rules)
			switch {
			case tc.fault == "" && len(got) > 0:
				t.Errorf("faults: %q, want none", got)
			case tc.fault != "" && (len(got) != 1 || !strings.Contains(got[0], tc.fault)):
				t.Errorf("faults: %q, want one with %q", got, tc.fault)
			}
		})
	}
}

// Every row says why, no row is there twice, and what a row allows has a row itself.
func TestTheTableIsWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Table() {
		if r.Why == "" || seen[r.Path] {
			t.Errorf("the row of %s is double or has no reason", r.Path)
		}
		seen[r.Path] = true
	}
	for _, r := range Table() {
		for _, to := range r.Ours {
			c := importCheck{table: Table()}
			if _, found := c.room(strings.TrimSuffix(to, "/...")); !found && to != "..." {
				t.Errorf("%s may import %s, which has no row", r.Path, to)
			}
		}
	}
	for _, pure := range readRules(t).Pure {
		c := importCheck{table: Table()}
		room, found := c.room(relative(pure))
		if !found || slices.Contains(room.Third, "...") {
			t.Errorf("%s is pure, but its row allows any foreign package", pure)
		}
	}
}

func pkg(path string, imports ...string) Package {
	return Package{ImportPath: "caravan/" + path, Imports: imports}
}

func testPkg(path string, imports ...string) Package {
	return Package{ImportPath: "caravan/" + path, TestImports: imports}
}
