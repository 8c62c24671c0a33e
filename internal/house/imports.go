package house

import (
	"fmt"
	"slices"
	"strings"
)

// module is the path of our module: its packages are imported as caravan/...
const module = "caravan"

// Package is what the import check needs to know of one package.
type Package struct {
	ImportPath  string   // "caravan/scheduler/core"
	Imports     []string // of the package proper, under all build tags
	TestImports []string // of its tests, internal and external
}

// Rules are the parts of the import check that the vet analyzers enforce as well.
type Rules struct {
	Pure   []string          // import paths, each with its subtree
	Banned map[string]string // import path, with its subtree -> why a pure package may not import it
}

// CheckImports returns one line for every import that the table, the reservations or the rules for
// pure packages do not allow, sorted.
func CheckImports(packages []Package, table []Room, reserved []Reserved, rules Rules) []string {
	c := importCheck{table: table, reserved: reserved, rules: rules}
	for _, p := range packages {
		c.check(p)
	}
	slices.Sort(c.faults)
	return slices.Compact(c.faults)
}

type importCheck struct {
	table    []Room
	reserved []Reserved
	rules    Rules
	faults   []string
}

func (c *importCheck) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func (c *importCheck) check(p Package) {
	from := relative(p.ImportPath)
	room, found := c.room(from)
	if !found {
		c.fault("%s has no row in the import table: decide what it may import (internal/house/table.go)", from)
		return
	}
	for _, path := range p.Imports {
		switch {
		case isOurs(path):
			c.ours(from, room, relative(path))
		case path == "C" || strings.Contains(firstElement(path), "."):
			c.third(from, room, path)
		}
		c.pure(p.ImportPath, path)
		c.reservation(from, path)
	}
	for _, path := range p.TestImports {
		if isOurs(path) && inCmd(relative(path)) && !sameCommand(from, relative(path)) {
			c.fault("tests of %s import %s: nobody imports cmd, build and run the command instead", from, relative(path))
		}
		c.reservation(from, path)
	}
}

func (c *importCheck) ours(from string, room Room, to string) {
	if inCmd(to) {
		if !sameCommand(from, to) {
			c.fault("%s imports %s: nobody imports cmd", from, to)
		}
		return
	}
	if !slices.ContainsFunc(room.Ours, func(pattern string) bool { return covers(pattern, to) }) {
		c.fault("%s imports %s, which its row does not allow: %s", from, to, room.Why)
	}
}

func (c *importCheck) third(from string, room Room, to string) {
	if !slices.ContainsFunc(room.Third, func(path string) bool { return path == "..." || within(path, to) }) {
		c.fault("%s imports %s, which its row does not allow: %s", from, to, room.Why)
	}
}

func (c *importCheck) pure(importPath, to string) {
	if !slices.ContainsFunc(c.rules.Pure, func(root string) bool { return within(root, importPath) }) {
		return
	}
	for banned, why := range c.rules.Banned {
		if within(banned, to) {
			c.fault("%s imports %s, which is banned in pure packages: %s", relative(importPath), to, why)
		}
	}
}

func (c *importCheck) reservation(from, to string) {
	for _, r := range c.reserved {
		if within(r.Import, to) && !slices.ContainsFunc(r.Rooms, func(room string) bool { return covers(room, from) }) {
			c.fault("%s imports %s, which is reserved for %s: %s", from, to, strings.Join(r.Rooms, ", "), r.Why)
		}
	}
}

// room returns the most specific row that covers a package.
func (c *importCheck) room(from string) (Room, bool) {
	best, found := Room{}, false
	for _, r := range c.table {
		if covers(r.Path, from) && (!found || len(r.Path) > len(best.Path)) {
			best, found = r, true
		}
	}
	return best, found
}

// covers reports whether a pattern of the table covers a package of ours.
func covers(pattern, path string) bool {
	if pattern == "..." {
		return true
	}
	root, subtree := strings.CutSuffix(pattern, "/...")
	return path == root || subtree && within(root, path)
}

// within reports whether a path is a root or lies below it.
func within(root, path string) bool {
	return path == root || strings.HasPrefix(path, root+"/")
}

func isOurs(path string) bool { return within(module, path) }

func relative(path string) string { return strings.TrimPrefix(path, module+"/") }

func firstElement(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}

func inCmd(path string) bool { return within("cmd", path) }

// sameCommand reports whether two packages belong to the same command: cmd/x/... is one command.
func sameCommand(a, b string) bool {
	return inCmd(a) && inCmd(b) && commandOf(a) == commandOf(b)
}

func commandOf(path string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "cmd/"), "/")
	return name
}
