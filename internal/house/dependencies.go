package house

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// ModFile is the part of a go.mod file that the dependency check needs.
type ModFile struct {
	Require []struct {
		Path     string
		Indirect bool
	}
	Tool []struct{ Path string }
}

// ReadModFile reads the go.mod of the module in a folder.
func ReadModFile(dir string) (ModFile, error) {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return ModFile{}, fmt.Errorf("go mod edit in %s: %w", dir, err)
	}
	var m ModFile
	if err := json.Unmarshal(out, &m); err != nil {
		return ModFile{}, fmt.Errorf("go mod edit in %s: %w", dir, err)
	}
	return m, nil
}

// CheckDependencies compares the table under a heading of docs/dependencies.md with a go.mod and
// returns one line per fault. Direct dependencies are those without "// indirect" and those that a
// tool line names; each has exactly one row, with a licence and a reason.
//
// A go.mod in which every requirement is indirect has not been tidied since its packages were added:
// then a row needs only a requirement of any kind.
func CheckDependencies(mod ModFile, doc, heading string) []string {
	rows, faults := dependencyRows(doc, heading)
	required, direct := map[string]bool{}, map[string]bool{}
	tidied := false
	for _, r := range mod.Require {
		required[r.Path] = true
		if !r.Indirect {
			direct[r.Path] = true
			tidied = true
		}
	}
	for _, tool := range mod.Tool {
		if m := moduleOf(tool.Path, required); m != "" {
			direct[m] = true
		}
	}
	for path := range direct {
		if !slices.Contains(rows, path) {
			faults = append(faults, fmt.Sprintf("%s: %s is a direct dependency without a row", heading, path))
		}
	}
	for _, path := range rows {
		if !required[path] || tidied && !direct[path] {
			faults = append(faults, fmt.Sprintf("%s: %s has a row, but is no direct dependency", heading, path))
		}
	}
	slices.Sort(faults)
	return faults
}

// dependencyRows returns the modules of the table under a heading, and what is wrong with its rows.
func dependencyRows(doc, heading string) (rows, faults []string) {
	_, section, found := strings.Cut(doc, "\n## "+heading+"\n")
	if !found {
		return nil, []string{heading + ": docs/dependencies.md has no such heading"}
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 2 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		path := strings.Trim(strings.TrimSpace(cells[1]), "`")
		if len(cells) != 5 || strings.TrimSpace(cells[2]) == "" || len(strings.TrimSpace(cells[3])) < 10 {
			faults = append(faults, fmt.Sprintf("%s: the row of %s needs a licence and a reason", heading, path))
		}
		if len(rows) > 0 && rows[len(rows)-1] >= path {
			faults = append(faults, fmt.Sprintf("%s: the row of %s is out of order, or double", heading, path))
		}
		rows = append(rows, path)
	}
	return rows, faults
}

// moduleOf returns the module that holds a package: the longest required path that leads to it.
func moduleOf(pkg string, required map[string]bool) string {
	for path := pkg; ; {
		if required[path] {
			return path
		}
		end := strings.LastIndexByte(path, '/')
		if end < 0 {
			return ""
		}
		path = path[:end]
	}
}
