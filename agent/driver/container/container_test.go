package container

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"caravan/agent/driver"
	"caravan/agent/driver/container/store"
)

func TestVariablesOfTheImageLieBelowTheJobs(t *testing.T) {
	got := withImage(
		[]string{"HOME=/work", "LANG=C.UTF-8", "PATH=/usr/bin", "X=job"},
		[]string{"PATH=/bin", "X=image", "Y=image", "broken"},
		[]string{"PATH", "LANG"})
	want := []string{"HOME=/work", "LANG=C.UTF-8", "PATH=/bin", "X=job", "Y=image"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatMayBeMounted(t *testing.T) {
	d := &Driver{Config{Hide: []string{"/var/lib/agent"}, Share: []string{"/tmp/shared", "/var"}}}
	for path, want := range map[string]bool{
		"/data": true, "/data/../tmp": false, "/tmp": false, "/tmp/x": false, "/tmp/shared/x": true, "/tmp/shared-not": false,
		"/var/lib/agent": false, "/var/lib/agent/allocs": false, "/var/lib": false, "/var/log": true, "/proc/1": false, "/dev/shm": false, "/": false,
	} {
		for _, spec := range []driver.AllocSpec{
			{Container: &driver.Container{Mounts: []driver.Mount{{HostPath: path}}}},
			{Container: &driver.Container{}, WorkDir: path},
		} {
			err := d.allowed(spec)
			if _, refused := errors.AsType[*driver.Refusal](err); refused == want {
				t.Errorf("%s: %v, may be mounted: %v", path, err, want)
			}
		}
	}
}

func TestWhatIsRun(t *testing.T) {
	image := store.Prepared{Entrypoint: []string{"tini"}, Command: []string{"serve"}}
	for _, tt := range []struct{ entrypoint, command, want string }{
		{"", "", "tini serve"}, {"", "a b", "a b"}, {"sh -c", "a", "sh -c a"}, {"sh", "", "sh"},
	} {
		spec := driver.AllocSpec{Argv: strings.Fields(tt.command), Container: &driver.Container{Entrypoint: strings.Fields(tt.entrypoint)}}
		got, err := furnished(spec, image)
		if err != nil || strings.Join(got.Argv, " ") != tt.want {
			t.Errorf("%+v: %q, %v", tt, got.Argv, err)
		}
	}
	if _, err := furnished(driver.AllocSpec{Container: &driver.Container{}}, store.Prepared{}); err == nil {
		t.Error("nothing to run was accepted")
	}
}

// failing is a store that fails in one way.
type failing struct{ err error }

func (f failing) Check(context.Context) (store.Runtime, error) { return store.Runtime{}, f.err }
func (f failing) Prepare(context.Context, store.Request) (store.Prepared, error) {
	return store.Prepared{}, f.err
}
func (f failing) Remove(context.Context, string) error { return f.err }

func TestWhoseFaultAFailureIs(t *testing.T) {
	for kind, want := range map[store.Kind]string{store.KindImage: "refusal", store.KindRegistry: "neither", store.KindRuntime: "fault"} {
		d := &Driver{Config{Store: failing{&store.Failure{Kind: kind, Detail: "x"}}}}
		err := d.Prepare(t.Context(), driver.AllocSpec{ID: "a", Container: &driver.Container{Image: "i"}})
		got := "neither"
		if _, ok := errors.AsType[*driver.Refusal](err); ok {
			got = "refusal"
		}
		if _, ok := errors.AsType[*driver.Fault](err); ok {
			got = "fault"
		}
		if err == nil || got != want {
			t.Errorf("%s: %v is a %s, want %s", kind, err, got, want)
		}
	}
}
