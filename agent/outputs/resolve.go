package outputs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"caravan/agent/driver"
)

// MaxFiles bounds the files of one allocation.
const MaxFiles = 100_000

// File is one file that a declared output matched.
type File struct {
	// Source is relative to the work directory, with slashes.
	Source string `json:"source"`
	// Dest is the absolute path to publish to; "" for a file that is only checked.
	Dest string `json:"dest,omitempty"`
	// Bytes is its size when it was found.
	Bytes int64 `json:"bytes"`
}

// MissingError lists declared outputs that are not there.
type MissingError struct {
	WorkDir string
	Paths   []string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("missing outputs in %s: %s (the command must write them before it ends; paths are relative to the work directory)",
		e.WorkDir, strings.Join(e.Paths, ", "))
}

// EscapeError names an output that a symbolic link leads out of the work directory.
type EscapeError struct{ WorkDir, Path string }

func (e *EscapeError) Error() string {
	return fmt.Sprintf("output %s leaves the work directory %s through a symbolic link (copy the file into the work directory)", e.Path, e.WorkDir)
}

// Resolve finds the files of all declared outputs. An output is a file, a directory (all
// regular files below it) or a glob of path.Match; each must match at least one regular file,
// else the error is a *MissingError that lists all that do not. Relative destinations are
// taken below base; with base "" they are refused.
func Resolve(workDir, base string, declared []driver.Output) ([]File, error) {
	if len(declared) == 0 {
		return nil, nil
	}
	root, err := os.OpenRoot(workDir)
	if err != nil {
		return nil, fmt.Errorf("work directory: %w", err)
	}
	defer root.Close()
	r := resolver{root: root, workDir: workDir, base: base, dests: make(map[string]string)}
	missing := &MissingError{WorkDir: workDir}
	for _, out := range declared {
		found, err := r.add(out)
		if err != nil {
			return nil, err
		}
		if !found {
			missing.Paths = append(missing.Paths, out.Path)
		}
	}
	if len(missing.Paths) > 0 {
		return nil, missing
	}
	return r.files, nil
}

type resolver struct {
	root          *os.Root
	workDir, base string
	files         []File
	dests         map[string]string // destination -> source, to refuse collisions
}

// add appends the files of one output and reports whether there was one.
func (r *resolver) add(out driver.Output) (found bool, err error) {
	pattern := path.Clean(filepath.ToSlash(out.Path))
	if out.Path == "" || !fs.ValidPath(pattern) {
		return false, fmt.Errorf("output %q must be a path below the work directory, without '..'", out.Path)
	}
	names := []string{pattern}
	if isGlob(pattern) {
		if names, err = fs.Glob(r.root.FS(), pattern); err != nil {
			return false, fmt.Errorf("output %q: %w", out.Path, err)
		}
	}
	before := len(r.files)
	for _, name := range names {
		st, err := r.root.Stat(name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue // a dangling link is as good as nothing
		case err != nil:
			return false, r.statError(name, err)
		case st.IsDir():
			err = r.addTree(out, pattern, name)
		case st.Mode().IsRegular():
			err = r.addFile(out, pattern, name, st.Size())
		}
		if err != nil {
			return false, err
		}
	}
	return len(r.files) > before, nil
}

// addTree appends every regular file below a directory; links below it are not followed.
func (r *resolver) addTree(out driver.Output, pattern, dir string) error {
	return fs.WalkDir(r.root.FS(), dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		return r.addFile(out, pattern, name, st.Size())
	})
}

func (r *resolver) addFile(out driver.Output, pattern, name string, size int64) error {
	if len(r.files) >= MaxFiles {
		return fmt.Errorf("more than %d output files in %s (publish an archive, or split the task)", MaxFiles, r.workDir)
	}
	f := File{Source: name, Bytes: size}
	if out.To != "" {
		dest, err := r.destination(out, pattern, name)
		if err != nil {
			return err
		}
		if other, taken := r.dests[dest]; taken && other != name {
			return fmt.Errorf("outputs %s and %s have the same destination %s", other, name, dest)
		}
		r.dests[dest], f.Dest = name, dest
	}
	r.files = append(r.files, f)
	return nil
}

// destination maps a file to where it goes: To itself for a single file, else below To by its
// path from the last directory of the pattern that is not a glob.
func (r *resolver) destination(out driver.Output, pattern, name string) (string, error) {
	to := out.To
	if !filepath.IsAbs(to) {
		if r.base == "" {
			return "", fmt.Errorf("output %s: destination %q must be absolute", out.Path, out.To)
		}
		to = filepath.Join(r.base, to)
	}
	if name == pattern && !strings.HasSuffix(out.To, "/") {
		return filepath.Clean(to), nil
	}
	from := fixedDir(pattern)
	if strings.HasPrefix(name, pattern+"/") {
		from = pattern // the output is a directory: its content goes below To
	}
	rel, err := filepath.Rel(filepath.FromSlash(from), filepath.FromSlash(name))
	if err != nil {
		return "", fmt.Errorf("output %s: %w", out.Path, err)
	}
	return filepath.Join(to, rel), nil
}

// fixedDir returns the leading directories of a pattern that hold no glob.
func fixedDir(pattern string) string {
	dir := path.Dir(pattern)
	for isGlob(dir) {
		dir = path.Dir(dir)
	}
	return dir
}

func isGlob(pattern string) bool { return strings.ContainsAny(pattern, `*?[\`) }

// statError tells an escape from other failures; os.Root has no typed error for it.
func (r *resolver) statError(name string, err error) error {
	if strings.Contains(err.Error(), "escapes from parent") {
		return &EscapeError{WorkDir: r.workDir, Path: name}
	}
	return fmt.Errorf("output %s: %w", name, err)
}
