package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// Listed is a package as go list describes it.
type Listed struct {
	ImportPath     string
	Dir            string
	Doc            string
	GoFiles        []string
	CgoFiles       []string
	IgnoredGoFiles []string
	Imports        []string
	TestImports    []string
	XTestImports   []string
}

// List runs go list for patterns in a folder. Flags come before the patterns, such as -overlay=FILE.
// A package that does not compile is listed all the same: compiling is for others to check.
func List(root string, args ...string) ([]Listed, error) {
	args = append([]string{
		"list", "-e",
		"-json=ImportPath,Dir,Doc,GoFiles,CgoFiles,IgnoredGoFiles,Imports,TestImports,XTestImports",
	}, args...)
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, &stderr)
	}
	var packages []Listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p Listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		packages = append(packages, p)
	}
}

// Package returns what the import check needs, with the imports of files that this platform's build
// tags leave out added.
func (l Listed) Package() (Package, error) {
	p := Package{
		ImportPath:  l.ImportPath,
		Imports:     slices.Clone(l.Imports),
		TestImports: slices.Concat(l.TestImports, l.XTestImports),
	}
	for _, name := range l.IgnoredGoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(l.Dir, name), nil, parser.ImportsOnly)
		if err != nil {
			return Package{}, fmt.Errorf("imports of a file left out by build tags: %w", err)
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return Package{}, fmt.Errorf("%s: %w", name, err)
			}
			p.Imports = append(p.Imports, path)
		}
	}
	return p, nil
}

// ReadRules reads the lists of pure packages and of imports banned in them from the source of the
// vet analyzers' package rules. That module is separate, so the lists cannot be imported; reading
// them keeps them in one place.
func ReadRules(path string) (Rules, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return Rules{}, err
	}
	rules := Rules{Banned: map[string]string{}}
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.VAR {
			continue
		}
		for _, spec := range gen.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if !ok || len(v.Names) != 1 || len(v.Values) != 1 {
				continue
			}
			texts := stringLiterals(v.Values[0])
			switch v.Names[0].Name {
			case "Stateless", "Replicated":
				rules.Pure = append(rules.Pure, texts...)
			case "Imports":
				for pair := range slices.Chunk(texts, 2) {
					rules.Banned[pair[0]] = pair[len(pair)-1]
				}
			}
		}
	}
	if len(rules.Pure) == 0 || len(rules.Banned) == 0 {
		return Rules{}, fmt.Errorf("%s: the lists Stateless, Replicated and Imports are not where they were", path)
	}
	return rules, nil
}

func stringLiterals(x ast.Expr) []string {
	var texts []string
	ast.Inspect(x, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				texts = append(texts, text)
			}
		}
		return true
	})
	return texts
}
