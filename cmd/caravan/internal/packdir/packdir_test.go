package packdir

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func pack(t *testing.T, dir string) (*Packed, []string) {
	t.Helper()
	p, err := Pack(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(p.File.Close(), os.Remove(p.File.Name())) })
	z, err := gzip.NewReader(p.File)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return p, names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

func TestTheSameFilesGiveTheSameArchive(t *testing.T) {
	files := map[string]string{"b": "2", "a/x": "1"}
	one, two := tree(t, files), tree(t, files)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(two, "b"), old, old); err != nil {
		t.Fatal(err)
	}
	p, names := pack(t, one)
	q, _ := pack(t, two)
	if p.Digest != q.Digest || p.Bytes != q.Bytes || p.Files != 2 {
		t.Errorf("%+v and %+v", p, q)
	}
	if got := strings.Join(names, " "); got != "a/ a/x b" {
		t.Errorf("packed %s", got)
	}
}

func TestWhatIsIgnoredStaysBehind(t *testing.T) {
	for _, c := range []struct{ ignore, name, want string }{
		{"*.ckpt", "a.ckpt", ""},
		{"*.ckpt", "runs/a.ckpt", "runs/"},
		{"/data", "data/x", ""},
		{"/data", "src/data", "src/ src/data"},
		{"data/", "src/data/x", "src/"},
		{"data/", "data", "data"},
		{"a/**/z", "a/b/c/z", "a/ a/b/ a/b/c/"},
		{"a/**/z", "a/z", "a/"},
		{"*.py\n!train.py", "train.py", "train.py"},
		{"*.py\n!train.py", "old.py", ""},
		{"# x\n\nx", "x", ""},
		{"[a-c]?", "b1", ""},
		{"[!a]1", "b1", ""},
		{"[!a]1", "a1", "a1"},
		{`\#x`, "#x", ""},
		{"(", "(", ""},
		{"", ".git/config", ""},
	} {
		dir := tree(t, map[string]string{".caravanignore": c.ignore + "\n.caravanignore", c.name: "x"})
		if _, names := pack(t, dir); strings.Join(names, " ") != c.want {
			t.Errorf("%q: %s is packed as %q, want %q", c.ignore, c.name, names, c.want)
		}
	}
}

func TestTheRulesOfCaravanignoreWinOverThoseOfGitignore(t *testing.T) {
	dir := tree(t, map[string]string{".gitignore": "*.bin\n", ".caravanignore": "!model.bin\n.*ignore\n", "model.bin": "", "old.bin": ""})
	if _, names := pack(t, dir); strings.Join(names, " ") != "model.bin" {
		t.Errorf("packed %q", names)
	}
}

func TestWhatCannotBeSentAlongIsNamed(t *testing.T) {
	for link, want := range map[string]string{"/etc/passwd": "links to /etc/passwd", "../../x": "links to ../../x"} {
		dir := tree(t, map[string]string{"a/b": "x"})
		if err := os.Symlink(link, filepath.Join(dir, "a", "l")); err != nil {
			t.Fatal(err)
		}
		if _, err := Pack(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("link to %s: %v", link, err)
		}
	}
	dir := tree(t, map[string]string{"train.py": "x", "data/small": "x"})
	f, err := os.Create(filepath.Join(dir, "data", "big"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(MaxBytes+1), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Pack(dir); err == nil || !strings.Contains(err.Error(), "data alone has 2048 MiB") {
		t.Errorf("a directory that is too large: %v", err)
	}
}
