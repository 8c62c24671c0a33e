package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fake prepares whatever is asked for, but not "absent".
type fake struct{ removed []string }

func (*fake) Check(context.Context) (Runtime, error) { return Runtime{"fake", "1"}, nil }
func (*fake) Prepare(_ context.Context, r Request) (Prepared, error) {
	if r.Image == "absent" {
		return Prepared{}, &Failure{KindImage, "no such image"}
	}
	return Prepared{Image: r.Image, Env: []string{"FOR=" + r.ID}}, nil
}

func (f *fake) Remove(_ context.Context, id string) error {
	f.removed = append(f.removed, id)
	return errors.New("stuck")
}

func TestServeAnswersWhatIsAsked(t *testing.T) {
	s := &fake{}
	for _, tt := range []struct{ op, in, want string }{
		{"check", "", `{"runtime":{"name":"fake","version":"1"}}`},
		{"prepare", `{"id":"a","image":"i"}`, `{"prepared":{"image":"i","file_systems":null,"env":["FOR=a"]}}`},
		{"prepare", `{"id":"a","image":"absent"}`, `{"failure":{"kind":"image","detail":"no such image"}}`},
		{"prepare", `{`, `{"failure":{"kind":"runtime","detail":"read the request: unexpected EOF"}}`},
		{"remove", `{"id":"a"}`, `{"failure":{"kind":"runtime","detail":"stuck"}}`},
		{"dance", `{}`, `{"failure":{"kind":"runtime","detail":"unknown word \"dance\" (is the agent newer than this program?)"}}`},
	} {
		var out bytes.Buffer
		if err := Serve(t.Context(), func() (Store, error) { return s, nil }, tt.op, strings.NewReader(tt.in), &out); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(out.String()); got != tt.want {
			t.Errorf("%s %s:\n%s\nwant\n%s", tt.op, tt.in, got, tt.want)
		}
	}
	if len(s.removed) != 1 || s.removed[0] != "a" {
		t.Errorf("removed %q", s.removed)
	}
}

// script is a program that is asked instead of a real one.
func script(t *testing.T, text string) Program {
	t.Helper()
	file := filepath.Join(t.TempDir(), "store")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return Program{Command: []string{"/bin/sh", file, "-flag"}}
}

func TestAProgramIsAskedByWordAndRequest(t *testing.T) {
	p := script(t, `read request; printf '{"prepared":{"image":"%s %s","env":[%s]}}' "$1" "$2" "$(printf %s "$request" | sed 's/.*"image":\("[^"]*"\).*/\1/')"`)
	got, err := p.Prepare(t.Context(), Request{ID: "a", Image: "debian:12"})
	if err != nil || got.Image != "-flag prepare" || len(got.Env) != 1 || got.Env[0] != "debian:12" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAProgramThatFailsIsTheRuntimesFault(t *testing.T) {
	refusal, err := json.Marshal(Answer{Failure: &Failure{KindImage, "no such image"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		text, want string
		kind       Kind
	}{
		{"echo broken >&2; exit 3", "broken", KindRuntime},
		{"echo nonsense", "invalid character", KindRuntime},
		{"echo '{}'", "without an answer", KindRuntime},
		{"echo '" + string(refusal) + "'", "no such image", KindImage},
	} {
		_, err := script(t, tt.text).Prepare(t.Context(), Request{ID: "a"})
		f, ok := errors.AsType[*Failure](err)
		if !ok || f.Kind != tt.kind || !strings.Contains(f.Detail, tt.want) {
			t.Errorf("%s: %v, want %s of kind %s", tt.text, err, tt.want, tt.kind)
		}
	}
}
