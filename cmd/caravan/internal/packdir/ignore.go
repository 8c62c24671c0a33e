package packdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// ignore is what stays behind, in the language of gitignore(5). Only the files at the top of
// the directory are read.
type ignore struct{ rules []rule }

type rule struct {
	pattern *regexp.Regexp
	keep    bool // written with '!'
	dirs    bool // written with '/' at its end
}

// readIgnore reads .gitignore, then .caravanignore, whose rules win.
func readIgnore(dir string) (*ignore, error) {
	g := &ignore{}
	if err := g.add(".git/"); err != nil {
		return nil, err
	}
	for _, name := range []string{".gitignore", ".caravanignore"} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for i, line := range strings.Split(string(raw), "\n") {
			if err := g.add(strings.TrimRight(line, " \t\r")); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", filepath.Join(dir, name), i+1, err)
			}
		}
	}
	return g, nil
}

func (g *ignore) add(line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	var r rule
	line, r.keep = strings.CutPrefix(line, "!")
	line, r.dirs = strings.CutSuffix(line, "/")
	anchored := strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	text := translate(line)
	if !anchored {
		text = "(?:.*/)?" + text
	}
	var err error
	r.pattern, err = regexp.Compile("^" + text + "$")
	if err != nil {
		return fmt.Errorf("pattern %q: %w", line, err)
	}
	g.rules = append(g.rules, r)
	return nil
}

// matches says whether an entry stays behind: the last rule that matches it decides.
func (g *ignore) matches(name string, isDir bool) bool {
	for i := len(g.rules) - 1; i >= 0; i-- {
		if r := &g.rules[i]; (isDir || !r.dirs) && r.pattern.MatchString(name) {
			return !r.keep
		}
	}
	return false
}

// translate turns a glob into a regular expression.
func translate(glob string) string {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		rest := glob[i:]
		switch {
		case strings.HasPrefix(rest, "**/"):
			b.WriteString("(?:.*/)?")
			i += 2
		case strings.HasPrefix(rest, "**"):
			b.WriteString(".*")
			i++
		case rest[0] == '*':
			b.WriteString("[^/]*")
		case rest[0] == '?':
			b.WriteString("[^/]")
		case rest[0] == '[' && strings.Contains(rest[1:], "]"):
			end := 1 + strings.Index(rest[1:], "]")
			b.WriteString("[" + strings.Replace(strings.ReplaceAll(rest[1:end], `\\`, `\\\\`), "!", "^", 1) + "]")
			i += end
		case rest[0] == '\\' && len(rest) > 1:
			b.WriteString(regexp.QuoteMeta(rest[1:2]))
			i++
		default:
			b.WriteString(regexp.QuoteMeta(rest[:1]))
		}
	}
	return b.String()
}
