package workspace

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func archive(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte("x"), int(h.Size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(name string, mode int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: 3}
}

func link(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
}

func TestNothingInAnArchiveLeadsOutOfTheDirectory(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []tar.Header
		want    string
	}{
		{"files, directories and links", []tar.Header{file("a/b", 0o644), link("a/c", "b"), {Typeflag: tar.TypeDir, Name: "d/"}}, ""},
		{"a path upwards", []tar.Header{file("../evil", 0o644)}, "leads out"},
		{"a path upwards in the middle", []tar.Header{file("a/../../evil", 0o644)}, "leads out"},
		{"an absolute path", []tar.Header{file("/tmp/evil", 0o644)}, "leads out"},
		{"a link upwards", []tar.Header{link("a", "../..")}, "leads out"},
		{"an absolute link", []tar.Header{link("a", "/etc")}, "leads out"},
		{"a file through a link, which is no directory", []tar.Header{link("a", "b"), file("a/evil", 0o644)}, "a"},
		{"a device", []tar.Header{{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}}, "neither"},
		{"a pipe", []tar.Header{{Typeflag: tar.TypeFifo, Name: "p"}}, "neither"},
		{"a hard link", []tar.Header{{Typeflag: tar.TypeLink, Name: "h", Linkname: "/etc/shadow"}}, "neither"},
		{"a file twice", []tar.Header{file("a", 0o644), file("a", 0o644)}, "exists"},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := t.TempDir()
			dir := filepath.Join(base, "in")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			err := Unpack(bytes.NewReader(archive(t, c.entries...)), dir)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if left, err := os.ReadDir(base); err != nil || len(left) != 1 {
				t.Errorf("beside the directory there are %v, %v", left, err)
			}
		})
	}
}

func TestAFileKeepsItsModeButGivesNoRightsAway(t *testing.T) {
	dir := t.TempDir()
	if err := Unpack(bytes.NewReader(archive(t, file("run.sh", 0o4755))), dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "run.sh"))
	if err != nil || info.Mode() != 0o755 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestADirectoryIsFetchedOnceAndCopiedForEachTask(t *testing.T) {
	data := archive(t, file("train.py", 0o644))
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	var fetched atomic.Int32
	base := t.TempDir()
	c, err := New(Config{Dir: filepath.Join(base, "cache"), Fetch: func(context.Context, string) (io.ReadCloser, error) {
		fetched.Add(1)
		return io.NopCloser(bytes.NewReader(data)), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, task := range []string{"a", "b", "c"} {
		wg.Go(func() {
			for range 2 { // again, as after the death of the agent in the middle
				if err := c.Place(t.Context(), digest, filepath.Join(base, task)); err != nil {
					t.Error(err)
				}
			}
			if err := os.WriteFile(filepath.Join(base, task, "train.py"), []byte(task), 0o644); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if raw, err := os.ReadFile(filepath.Join(base, "a", "train.py")); err != nil || string(raw) != "a" {
		t.Errorf("one task's copy is %q, %v", raw, err)
	}
	if fetched.Load() != 1 {
		t.Errorf("it was fetched %d times", fetched.Load())
	}
	if err := c.Place(t.Context(), strings.Repeat("0", 64), filepath.Join(base, "d")); err == nil {
		t.Error("other data than asked for was taken")
	}
}
