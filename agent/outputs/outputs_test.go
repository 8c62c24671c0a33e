package outputs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"caravan/agent/driver"
	"caravan/agent/outputs"
)

// tree writes files; a value "-> x" is a symbolic link to x.
func tree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			if err := os.Symlink(target, file); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(file, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

// list returns all regular files below a directory with their content.
func list(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		found[rel] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestResolveMapsFilesToDestinations(t *testing.T) {
	work := t.TempDir()
	tree(t, work, map[string]string{
		"movie.mp4": "m", "frames/f_1.png": "1", "frames/f_2.png": "2", "frames/log.txt": "l",
		"frames/deep/f_3.png": "3", "a [1].txt": "bracket", "link.mp4": "-> movie.mp4", "dangling": "-> nothing",
	})
	for _, tc := range []struct {
		name string
		out  driver.Output
		want []string // source>destination
	}{
		{"file to a name", driver.Output{Path: "movie.mp4", To: "/pub/x.mp4"}, []string{"movie.mp4>/pub/x.mp4"}},
		{"file into a directory", driver.Output{Path: "movie.mp4", To: "/pub/"}, []string{"movie.mp4>/pub/movie.mp4"}},
		{"deep file into a directory", driver.Output{Path: "frames/f_1.png", To: "/pub/"}, []string{"frames/f_1.png>/pub/f_1.png"}},
		{"relative destination", driver.Output{Path: "movie.mp4", To: "x.mp4"}, []string{"movie.mp4>/base/x.mp4"}},
		{"only checked", driver.Output{Path: "movie.mp4"}, []string{"movie.mp4>"}},
		{"glob", driver.Output{Path: "frames/f_*.png", To: "/pub/"}, []string{"frames/f_1.png>/pub/f_1.png", "frames/f_2.png>/pub/f_2.png"}},
		{"glob without a slash", driver.Output{Path: "frames/f_*.png", To: "/pub"}, []string{"frames/f_1.png>/pub/f_1.png", "frames/f_2.png>/pub/f_2.png"}},
		{"glob over directories keeps them", driver.Output{Path: "*/f_1.png", To: "/pub/"}, []string{"frames/f_1.png>/pub/frames/f_1.png"}},
		{"directory", driver.Output{Path: "frames", To: "/pub"}, []string{"frames/deep/f_3.png>/pub/deep/f_3.png", "frames/f_1.png>/pub/f_1.png", "frames/f_2.png>/pub/f_2.png", "frames/log.txt>/pub/log.txt"}},
		{"escaped bracket", driver.Output{Path: `a \[1].txt`, To: "/pub/"}, []string{"a [1].txt>/pub/a [1].txt"}},
		{"link within", driver.Output{Path: "link.mp4", To: "/pub/"}, []string{"link.mp4>/pub/link.mp4"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files, err := outputs.Resolve(work, "/base", []driver.Output{tc.out})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range files {
				got = append(got, f.Source+">"+f.Dest)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestResolveRefuses(t *testing.T) {
	work := t.TempDir()
	tree(t, work, map[string]string{"a": "1", "b": "2", "out": "-> /etc/passwd", "up": "-> ../../etc", "d/x": "3", "dangling": "-> nothing"})
	for _, tc := range []struct {
		name string
		outs []driver.Output
		hint string
	}{
		{"empty path", []driver.Output{{Path: ""}}, "below the work directory"},
		{"absolute path", []driver.Output{{Path: "/etc/passwd"}}, "below the work directory"},
		{"parent", []driver.Output{{Path: "../x"}}, "below the work directory"},
		{"link out", []driver.Output{{Path: "out"}}, "symbolic link"},
		{"link out by glob", []driver.Output{{Path: "o*"}}, "symbolic link"},
		{"through a link out", []driver.Output{{Path: "up/passwd"}}, "symbolic link"},
		{"bad pattern", []driver.Output{{Path: "[x"}}, "pattern"},
		{"dangling link", []driver.Output{{Path: "dangling"}}, "missing outputs"},
		{"all that are missing", []driver.Output{{Path: "no1"}, {Path: "a"}, {Path: "no2*"}}, "no1, no2*"},
		{"same destination", []driver.Output{{Path: "a", To: "/p"}, {Path: "b", To: "/p"}}, "same destination"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := outputs.Resolve(work, "/base", tc.outs); err == nil || !strings.Contains(err.Error(), tc.hint) {
				t.Errorf("got %v, want %q", err, tc.hint)
			}
		})
	}
	if _, err := outputs.Resolve(work, "", []driver.Output{{Path: "a", To: "relative"}}); err == nil {
		t.Error("a relative destination without a base was accepted")
	}
}

// newRequest is a request in fresh directories, and its destination.
func newRequest(t *testing.T, move bool, files map[string]string) (outputs.Request, string) {
	t.Helper()
	root := t.TempDir()
	req := outputs.Request{ID: "alloc-1", WorkDir: filepath.Join(root, "work"), Staging: filepath.Join(root, "out"), Move: move}
	for _, dir := range []string{req.WorkDir, req.Staging} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tree(t, req.WorkDir, files)
	return req, filepath.Join(root, "pub")
}

func TestPublishPutsWholeFilesInPlace(t *testing.T) {
	for _, move := range []bool{false, true} {
		t.Run(fmt.Sprintf("move=%v", move), func(t *testing.T) {
			req, pub := newRequest(t, move, map[string]string{"f/1": "one", "f/2": "two", "m": "movie", "l": "-> m"})
			tree(t, pub, map[string]string{"m": "an older one"})
			req.Outputs = []driver.Output{{Path: "f/*", To: filepath.Join(pub, "deep/dir") + "/"}, {Path: "m", To: filepath.Join(pub, "m")}, {Path: "l", To: pub + "/"}}
			if move {
				req.Outputs = slices.Delete(req.Outputs, 2, 3) // the link would dangle
			}
			report, err := outputs.Publish(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"deep/dir/1": "one", "deep/dir/2": "two", "m": "movie"}
			if !move {
				want["l"] = "movie"
			}
			if diff := cmp.Diff(want, list(t, pub)); diff != "" {
				t.Error(diff)
			}
			if report.Again || len(report.Files) != len(want) {
				t.Errorf("report %+v", report)
			}
			left := list(t, req.WorkDir)
			if moved := len(left) == 0; moved != move {
				t.Errorf("left in the work directory: %v", left)
			}
			if st, err := os.Stat(filepath.Join(pub, "m")); err != nil || st.Mode().Perm() != 0o640 {
				t.Errorf("mode %v, %v", st.Mode(), err)
			}
		})
	}
}

func TestPublishTwiceTouchesNothing(t *testing.T) {
	req, pub := newRequest(t, false, map[string]string{"a": "mine"})
	req.Outputs = []driver.Output{{Path: "a", To: filepath.Join(pub, "a")}}
	if _, err := outputs.Publish(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	tree(t, pub, map[string]string{"a": "published by a later allocation"})
	report, err := outputs.Publish(t.Context(), req)
	if err != nil || !report.Again {
		t.Errorf("got %+v, %v", report, err)
	}
	if got := list(t, pub)["a"]; got != "published by a later allocation" {
		t.Errorf("got %q", got)
	}
}

// stopAfter is a context that ends after its error was asked for n times: Publish looks once
// per file, so this is a crash between two files.
type stopAfter struct {
	context.Context
	n *int
}

func (s stopAfter) Err() error {
	if *s.n--; *s.n < 0 {
		return context.Canceled
	}
	return nil
}

func TestPublishCompletesAfterACrashAtAnyPoint(t *testing.T) {
	files := map[string]string{"1": "one", "2": "two", "3": "three"}
	for _, move := range []bool{false, true} {
		for crash := range len(files) {
			for _, loseJournal := range []bool{false, true} {
				t.Run(fmt.Sprintf("move=%v/after=%d/journal-lost=%v", move, crash, loseJournal), func(t *testing.T) {
					req, pub := newRequest(t, move, files)
					req.Outputs = []driver.Output{{Path: "*", To: pub + "/"}}
					left := crash
					_, err := outputs.Publish(stopAfter{t.Context(), &left}, req)
					if !errors.Is(err, context.Canceled) || len(listIfAny(t, pub)) != crash {
						t.Fatalf("%v with %d files in place", err, len(listIfAny(t, pub)))
					}
					// A file that appears later is not part of what was promised.
					tree(t, req.WorkDir, map[string]string{"4": "late"})
					if loseJournal {
						if err := os.Truncate(filepath.Join(req.Staging, "published.journal"), 0); err != nil {
							t.Fatal(err)
						}
					}
					report, err := outputs.Publish(t.Context(), req)
					if err != nil || report.Again {
						t.Fatalf("got %+v, %v", report, err)
					}
					if diff := cmp.Diff(files, list(t, pub)); diff != "" {
						t.Error(diff)
					}
				})
			}
		}
	}
}

func listIfAny(t *testing.T, dir string) map[string]string {
	if _, err := os.Stat(dir); err != nil {
		return nil
	}
	return list(t, dir)
}

func TestPublishReplacesTheTemporaryFileOfACrash(t *testing.T) {
	req, pub := newRequest(t, false, map[string]string{"a": "whole"})
	tree(t, pub, map[string]string{".alloc-1.0.caravan-tmp": "torn"})
	req.Outputs = []driver.Output{{Path: "a", To: pub + "/"}}
	if _, err := outputs.Publish(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "whole"}, list(t, pub)); diff != "" {
		t.Error(diff)
	}
}

func TestPublishStaysWithinItsRoots(t *testing.T) {
	outside := t.TempDir()
	for _, tc := range []struct {
		name string
		to   func(pub string) string
		ok   bool
	}{
		{"inside", func(pub string) string { return filepath.Join(pub, "new/a") }, true},
		{"link within", func(pub string) string { return filepath.Join(pub, "inner/a") }, true},
		{"outside", func(string) string { return filepath.Join(outside, "a") }, false},
		{"dots", func(pub string) string { return pub + "/../a" }, false},
		{"link out", func(pub string) string { return filepath.Join(pub, "outer/a") }, false},
		{"below a link out", func(pub string) string { return filepath.Join(pub, "outer/new/a") }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, pub := newRequest(t, false, map[string]string{"a": "x"})
			tree(t, pub, map[string]string{"d/keep": "", "inner": "-> d", "outer": "-> " + outside})
			req.Roots = []string{pub}
			req.Outputs = []driver.Output{{Path: "a", To: tc.to(pub)}}
			_, err := outputs.Publish(t.Context(), req)
			if (err == nil) != tc.ok || (err != nil && !strings.Contains(err.Error(), "allowed roots")) {
				t.Errorf("got %v", err)
			}
			if left := list(t, outside); len(left) > 0 {
				t.Errorf("written outside: %v", left)
			}
		})
	}
}

func TestPublishRefusesWhatIsNoRegularFileAnyMore(t *testing.T) {
	for name, swap := range map[string]func(file string) error{
		"symbolic link out": func(f string) error { return os.Symlink("/etc/passwd", f) },
		"fifo":              func(f string) error { return syscall.Mkfifo(f, 0o644) },
		"directory":         func(f string) error { return os.Mkdir(f, 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			req, pub := newRequest(t, false, map[string]string{"a": "x", "b": "y"})
			req.Outputs = []driver.Output{{Path: "a", To: pub + "/"}, {Path: "b", To: pub + "/"}}
			left := 1 // stop before b
			if _, err := outputs.Publish(stopAfter{t.Context(), &left}, req); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			file := filepath.Join(req.WorkDir, "b")
			if err := errors.Join(os.Remove(file), swap(file)); err != nil {
				t.Fatal(err)
			}
			if _, err := outputs.Publish(t.Context(), req); err == nil {
				t.Error("published")
			}
			if diff := cmp.Diff(map[string]string{"a": "x"}, list(t, pub)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPublishOntoADirectoryNamesTheRemedy(t *testing.T) {
	req, pub := newRequest(t, false, map[string]string{"a": "x"})
	tree(t, pub, map[string]string{"dir/keep": ""})
	req.Outputs = []driver.Output{{Path: "a", To: filepath.Join(pub, "dir")}}
	if _, err := outputs.Publish(t.Context(), req); err == nil || !strings.Contains(err.Error(), "end the destination with '/'") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(map[string]string{"dir/keep": ""}, list(t, pub)); diff != "" {
		t.Error(diff)
	}
}

func TestPublishCrossesFileSystems(t *testing.T) {
	const other = "/dev/shm"
	dest, err := os.MkdirTemp(other, "caravan-outputs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dest) })
	req, _ := newRequest(t, true, map[string]string{"a": "x"})
	req.Outputs = []driver.Output{{Path: "a", To: dest + "/"}}
	if _, err := outputs.Publish(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "x"}, list(t, dest)); diff != "" {
		t.Error(diff)
	}
}
