package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Hard limits on form. What to aim at is lower: files of 500 lines, functions of 60.
const (
	maxFileLines     = 800
	maxFunctionLines = 120
)

// unfinished matches the marks of work left for later. They rot: an open end belongs into an issue.
var unfinished = regexp.MustCompile(`\b(TODO|FIXME)\b`)

// skippedDirs are not source of ours, or are read by tests and may look as they like.
var skippedDirs = []string{".git", "testdata", "node_modules", "vendor", "bin", "build", "dist"}

// CheckTree checks the form of every source file below a folder and returns one line per fault.
func CheckTree(root string) ([]string, error) {
	var faults []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains(skippedDirs, entry.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch filepath.Ext(path) {
		case ".go", ".proto", ".sh":
		default:
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found, err := CheckFile(name, source)
		faults = append(faults, found...)
		return err
	})
	return faults, err
}

// CheckFile checks the form of one source file and returns one line per fault. Generated Go files
// are left alone.
func CheckFile(name string, source []byte) ([]string, error) {
	if filepath.Ext(name) != ".go" {
		var faults []string
		for i, line := range strings.Split(string(source), "\n") {
			if unfinished.MatchString(line) {
				faults = append(faults, fmt.Sprintf("%s:%d: unfinished work: finish it or open an issue", name, i+1))
			}
		}
		return faults, nil
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	if ast.IsGenerated(file) {
		return nil, nil
	}
	c := formCheck{name: name, fset: fset}
	c.size(file)
	c.comments(file)
	if strings.HasSuffix(name, "_test.go") {
		c.tests(file)
	}
	return c.faults, nil
}

type formCheck struct {
	name   string
	fset   *token.FileSet
	faults []string
}

func (c *formCheck) fault(pos token.Pos, format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf("%s:%d: %s", c.name, c.line(pos), fmt.Sprintf(format, args...)))
}

func (c *formCheck) line(pos token.Pos) int { return c.fset.Position(pos).Line }

func (c *formCheck) size(file *ast.File) {
	if lines := c.fset.File(file.FileStart).LineCount(); lines > maxFileLines {
		c.fault(file.FileStart, "file has %d lines, more than %d: a file is a chapter, split it", lines, maxFileLines)
	}
	for _, decl := range file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok {
			if lines := c.line(fn.End()) - c.line(fn.Pos()) + 1; lines > maxFunctionLines {
				c.fault(fn.Pos(), "%s has %d lines, more than %d: a function is a paragraph, split it", fn.Name.Name, lines, maxFunctionLines)
			}
		}
	}
}

func (c *formCheck) comments(file *ast.File) {
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if unfinished.MatchString(comment.Text) {
				c.fault(comment.Pos(), "unfinished work: finish it or open an issue")
			}
		}
	}
}

// tests reports sleeping and skipping. Inside of synctest.Test sleeping moves the fake clock, and is
// how a test there lets time pass.
func (c *formCheck) tests(file *ast.File) {
	var bubbles []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		on, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		inBubble := slices.ContainsFunc(bubbles, func(b ast.Node) bool { return b.Pos() <= n.Pos() && n.Pos() < b.End() })
		switch {
		case on.Name == "synctest" && sel.Sel.Name == "Test":
			bubbles = append(bubbles, n)
		case on.Name == "time" && sel.Sel.Name == "Sleep" && !inBubble:
			c.fault(n.Pos(), "a test sleeps: use testing/synctest, a channel, or polling with a deadline")
		case slices.Contains([]string{"t", "b", "tb", "f"}, on.Name) && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name):
			c.fault(n.Pos(), "a test skips itself: a test that cannot run here belongs where it can")
		}
		return true
	})
}

// CheckDocs returns one line for every package without a package comment. Packages that hold only
// generated files or only tests have no reader who would look for one.
func CheckDocs(packages []Listed) ([]string, error) {
	var faults []string
	for _, p := range packages {
		files := slices.Concat(p.GoFiles, p.CgoFiles)
		if p.Doc != "" || len(files) == 0 {
			continue
		}
		generated, err := allGenerated(p.Dir, files)
		if err != nil {
			return nil, err
		}
		if !generated {
			faults = append(faults, relative(p.ImportPath)+" has no package comment: say its purpose, its invariants and who calls it")
		}
	}
	return faults, nil
}

func allGenerated(dir string, files []string) (bool, error) {
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return false, err
		}
		if !ast.IsGenerated(file) {
			return false, nil
		}
	}
	return true, nil
}
