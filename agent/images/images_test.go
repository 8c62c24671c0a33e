package images

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestImagesAreFoundByNameAndByWhatDevicesCallThem(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "aes.gbs", "bits")
	write(t, dir, IndexName, "- {name: sha, id: agfi-01}\n- {name: aes, file: aes.gbs, interface: F9B0-a5d8, id: 8B5F-21d0}\n")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.List()
	if err != nil || len(all) != 2 || all[0].Name != "aes" {
		t.Fatalf("list %v, %v", all, err)
	}
	for _, name := range []string{"aes", "8b5f21d0"} {
		i, err := s.Find(name)
		if err != nil || i.Path() != filepath.Join(dir, "aes.gbs") {
			t.Errorf("%s: %v, %v", name, i, err)
		}
	}
	aes := all[0]
	if !aes.Fits("f9b0a5d8") || !aes.Fits("") || aes.Fits("f9b0a5d9") || !aes.Is("8b5f21d0") || !aes.Is("aes") || aes.Is("") {
		t.Errorf("%v fits and is what it should not", aes)
	}
	if _, err := s.Find("rsa"); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown image: %v", err)
	}
}

func TestAnIndexThatChangesIsReadAgainAndABrokenOneTakesNothingAway(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, IndexName, "- {name: a}")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		text  string
		names string
		fails bool
	}{{"- {name: a}\n- {name: b}", "a b", false}, {"- {nam", "a b", true}, {"- {name: c}", "c", false}} {
		write(t, dir, IndexName, step.text)
		when := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(filepath.Join(dir, IndexName), when, when); err != nil {
			t.Fatal(err)
		}
		all, err := s.List()
		var names []string
		for _, i := range all {
			names = append(names, i.Name)
		}
		if got := strings.Join(names, " "); got != step.names || (err != nil) != step.fails {
			t.Errorf("%q gives %s, %v", step.text, got, err)
		}
	}
}

func TestWhatIsWrongWithAnIndexIsSaid(t *testing.T) {
	for text, want := range map[string]string{
		"- {name: a}\n- {name: a}":                  "two images",
		"- {name: 'a b'}":                           "letters",
		"- {name: a, file: ../etc}":                 "in the directory",
		"- {name: a, file: nosuch.gbs}":             "nosuch.gbs",
		"- {name: a, colour: red}":                  "colour",
		"- {name: " + strings.Repeat("x", 49) + "}": "1 to 48",
	} {
		dir := t.TempDir()
		write(t, dir, IndexName, text)
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no index: %v", err)
	}
	if _, err := Open("here"); err == nil {
		t.Error("a relative directory is taken")
	}
}
