package fakenvml

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing" //nolint:depguard // a package for tests alone
)

// StateEnv names the file of the state to the library.
const StateEnv = "CARAVAN_FAKE_NVML"

// Generation is of which time a library is.
type Generation string

// Generations of libraries.
const (
	// Current has every function that the plugin may use.
	Current Generation = "CURRENT_DRIVER"
	// Old lacks what came after R390, the last driver of Fermi cards.
	Old Generation = "OLD_DRIVER"
)

// Bench is a directory with what an end-to-end test needs.
type Bench struct{ dir string }

// NewBench builds the plugin's program and a library of each generation into a directory. It needs
// gcc.
func NewBench(ctx context.Context, dir string) (*Bench, error) {
	b := &Bench{dir: dir}
	const program = "caravan/cmd/caravan-nvidia"
	if err := run(exec.CommandContext(ctx, "go", "build", "-o", b.Program(), program), "CGO_ENABLED=1", "CGO_CFLAGS=-O1 -Wno-deprecated-declarations"); err != nil {
		return nil, err
	}
	header, err := folder(ctx, "github.com/NVIDIA/go-nvml/pkg/nvml")
	if err != nil {
		return nil, err
	}
	own, err := folder(ctx, "caravan/plugins/device/nvidia/fakenvml")
	if err != nil {
		return nil, err
	}
	sources, err := filepath.Glob(filepath.Join(own, "src", "*.c"))
	if err != nil {
		return nil, err
	}
	for _, g := range []Generation{Current, Old} {
		if err := os.MkdirAll(b.libraries(g), 0o755); err != nil {
			return nil, err
		}
		args := []string{"-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-DNVML_NO_UNVERSIONED_FUNC_DEFS", "-D" + string(g), "-I" + header, "-o", filepath.Join(b.libraries(g), "libnvidia-ml.so.1")}
		if err := run(exec.CommandContext(ctx, "gcc", append(args, sources...)...)); err != nil {
			return nil, fmt.Errorf("the fake library (is gcc there? tools/install gcc): %w", err)
		}
	}
	if err := os.WriteFile(b.SMI(), []byte(smi), 0o700); err != nil { //nolint:gosec // a program
		return nil, err
	}
	return b, nil
}

// smi resets a GPU as nvidia-smi --gpu-reset -i UUID does, on the state of the fake library.
const smi = `#!/bin/sh
state="$CARAVAN_FAKE_NVML"
[ "$1 $2" = "--gpu-reset -i" ] || { echo "unknown arguments $*"; exit 2; }
n=$(sed -n "s/^gpu\\.\\([0-9]*\\)\\.uuid=$3\$/\\1/p" "$state")
[ -n "$n" ] || { echo "No devices were found"; exit 6; }
key() { cat "$state" "$state.changes" 2>/dev/null | sed -n "s/^$1=//p" | tail -n 1; }
for open in $(sed -n 's/^open\.\([0-9]*\)=.*/\1/p' "$state.changes" | sort -u); do
	[ -n "$(key "open\\.$open")" ] && kill -0 "$open" 2>/dev/null && { echo "GPU $3 is in use by process $open"; exit 255; }
done
[ -z "$(key "gpu\\.$n\\.process\\.0")" ] || { echo "GPU $3 is in use by a process"; exit 255; }
[ -z "$(key "gpu\\.$n\\.reset_fails")" ] || { echo "Unable to reset GPU $3"; exit 255; }
{
	for what in fail handle hang remap recovery ecc_uncorrected retire_pending; do echo "gpu.$n.$what="; done
	for i in 1 2 3 4 5 6 7; do echo "gpu.$n.instance.$i="; echo "gpu.$n.instance.$i.compute="; done
	echo "gpu.$n.resets=$(($(key "gpu\\.$n\\.resets") + 1))"
} >> "$state.changes"
`

// SMI is a stand-in for nvidia-smi.
func (b *Bench) SMI() string { return filepath.Join(b.dir, "nvidia-smi") }

func run(cmd *exec.Cmd, env ...string) error {
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// folder is where a package's source is. No file of the package itself is compiled.
func folder(ctx context.Context, pkg string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-find", "-e", "-f", "{{.Dir}}", pkg).Output()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", pkg, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Program is the plugin.
func (b *Bench) Program() string { return filepath.Join(b.dir, "caravan-nvidia") }

// Env is what the plugin needs in its environment to load a library.
func (b *Bench) Env(g Generation) string { return "LD_LIBRARY_PATH=" + b.libraries(g) }

func (b *Bench) libraries(g Generation) string { return filepath.Join(b.dir, string(g)) }

// Keys are a part of a state.
type Keys map[string]string

// State is the file that a library reads.
type State struct {
	t    testing.TB
	path string
	keys Keys
}

// NewState writes a state with these keys.
func NewState(t testing.TB, parts ...Keys) *State {
	t.Helper()
	s := &State{t: t, path: filepath.Join(t.TempDir(), "nvml"), keys: make(Keys)}
	s.Set(parts...)
	return s
}

// Env is what the process that loads the library needs in its environment.
func (s *State) Env() string { return StateEnv + "=" + s.path }

// Set changes keys; an empty value removes one. It wins over what the library was told to set before.
func (s *State) Set(parts ...Keys) {
	s.t.Helper()
	s.override(merged(parts))
	for _, keys := range parts {
		for key, value := range keys {
			s.keys[key] = value
			if value == "" {
				delete(s.keys, key)
			}
		}
	}
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(s.keys)) {
		fmt.Fprintf(&text, "%s=%s\n", key, s.keys[key])
	}
	// Renamed, so that no call sees half of it.
	if err := os.WriteFile(s.path+".new", []byte(text.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(s.path+".new", s.path); err != nil {
		s.t.Fatal(err)
	}
}

func merged(parts []Keys) Keys {
	all := make(Keys)
	for _, keys := range parts {
		maps.Copy(all, keys)
	}
	return all
}

// override appends keys to the library's own file where that has them.
func (s *State) override(keys Keys) {
	s.t.Helper()
	raw, err := os.ReadFile(s.path + ".changes")
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	var lines strings.Builder
	for key, value := range keys {
		if strings.Contains("\n"+string(raw), "\n"+key+"=") {
			fmt.Fprintf(&lines, "%s=%s\n", key, value)
		}
	}
	if lines.Len() == 0 {
		return
	}
	f, err := os.OpenFile(s.path+".changes", os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(lines.String())
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Changed is what the library was told to change of a key last, "" for nothing.
func (s *State) Changed(key string) string {
	s.t.Helper()
	raw, err := os.ReadFile(s.path + ".changes")
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	last := ""
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, key+"="); ok {
			last = strings.TrimSpace(value)
		}
	}
	return last
}
