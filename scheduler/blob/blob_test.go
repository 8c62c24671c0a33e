package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func digestOf(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func put(s *Store, text string) error {
	return s.Put(digestOf(text), int64(len(text)), strings.NewReader(text))
}

func TestABlobIsThereWholeAndRightOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, unfinished+"1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, digest, data string
		size               int64
		want               string
	}{
		{"other data", digestOf("a"), "b", 1, "arrived"},
		{"cut short", digestOf("abc"), "ab", 3, "arrived"},
		{"too much", digestOf("abc"), "abcd", 3, "arrived"},
		{"a path", "../../etc/passwd", "a", 1, "no SHA-256"},
		{"capitals", strings.ToUpper(digestOf("a")), "a", 1, "no SHA-256"},
		{"too large", digestOf("a"), "a", 1 << 40, "at most"},
		{"right", digestOf("abc"), "abc", 3, ""},
	} {
		err := s.Put(c.digest, c.size, strings.NewReader(c.data))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if s.Has(c.digest) != (c.want == "") {
			t.Errorf("%s: it is there: %v", c.name, s.Has(c.digest))
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left are %v, %v", entries, err)
	}
	f, err := s.Open(digestOf("abc"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if raw, err := io.ReadAll(f); err != nil || string(raw) != "abc" {
		t.Errorf("%q, %v", raw, err)
	}
	if _, err := s.Open(digestOf("b")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a blob that is not there: %v", err)
	}
}

func TestWhatWasUsedLongestAgoGoesAndWhatIsNeededStays(t *testing.T) {
	needed := map[string]bool{digestOf("old, needed"): true}
	s, err := New(Config{Dir: t.TempDir(), MaxBytes: 30, Needed: func() map[string]bool { return needed }})
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"old, needed", "old", "newer"} {
		if err := put(s, text); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(s.path(digestOf(text)), at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(s, "twelve bytes"); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"old, needed": true, "old": false, "newer": true, "twelve bytes": true} {
		if s.Has(digestOf(text)) != want {
			t.Errorf("%q is there: %v", text, !want)
		}
	}
	if err := put(s, strings.Repeat("x", 25)); !errors.Is(err, ErrFull) {
		t.Errorf("more than there is room for: %v", err)
	}
}
