package cgroup_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"caravan/agent/cgroup"
)

// node makes a device node. No driver has these numbers: whoever may open it is told that there
// is no such device, and who may not is told so.
func node(t *testing.T, name string, major, minor uint32) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(major, minor))); err != nil { //nolint:gosec // small numbers
		t.Fatal(err)
	}
	return path
}

// Answers of the kernel to an open.
const (
	allowed = "No such device"
	refused = "Operation not permitted"
)

// openIn opens a file for reading and writing in the group and returns what the shell says.
func openIn(t *testing.T, g *cgroup.Group, file string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", `read go; exec 3<>"$1" && echo opened`, "sh", file)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its exit says the same as its output
	return out.String()
}

func TestAWallLetsInWhatIsNamedAndWhatIsStandard(t *testing.T) {
	mine, others := node(t, "mine", 240, 7), node(t, "others", 240, 8)
	g := create(t, cgroup.Limits{DeviceWall: true, Devices: []cgroup.DeviceRule{{Type: 'c', Major: 240, Minor: 7, Permissions: "rw"}}})
	for file, want := range map[string]string{
		mine: allowed, others: refused, "/dev/null": "opened", "/dev/zero": "opened", "/dev/full": "opened", "/dev/urandom": "opened",
		"/dev/ptmx": "opened", node(t, "kmsg", 1, 11): refused,
	} {
		if got := openIn(t, g, file); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	open := createOpen(t)
	if got := openIn(t, open, others); !strings.Contains(got, allowed) {
		t.Errorf("a group without a wall: %q", got)
	}
}

// createOpen makes a group without a wall beside the test's own.
func createOpen(t *testing.T) *cgroup.Group {
	t.Helper()
	g, err := cgroup.Create(testGroup+"/"+t.Name()+"-open", cgroup.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Destroy(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func TestAWallStandsWhenTheGroupIsMadeAgain(t *testing.T) {
	others := node(t, "others", 240, 8)
	rules := []cgroup.DeviceRule{{Type: 'c', Major: 240, Minor: 7, Permissions: "r"}}
	g := create(t, cgroup.Limits{DeviceWall: true, Devices: rules})
	again, err := cgroup.Create(g.Path(), cgroup.Limits{DeviceWall: true, Devices: rules})
	if err != nil {
		t.Fatal(err)
	}
	if got := openIn(t, again, others); !strings.Contains(got, refused) {
		t.Errorf("%q", got)
	}
	if _, err := os.Stat("/sys/fs/cgroup/devices"); err == nil {
		opened, err := cgroup.Open(g.Path())
		if err != nil {
			t.Fatal(err)
		}
		if got := openIn(t, opened, others); !strings.Contains(got, refused) {
			t.Errorf("a command beside the task: %q", got)
		}
	}
}

func TestABadDeviceRuleIsRefused(t *testing.T) {
	for _, r := range []cgroup.DeviceRule{{Type: 'x', Permissions: "r"}, {Type: 'c', Permissions: ""}, {Type: 'c', Permissions: "rx"}, {Type: 'c', Major: -2, Permissions: "r"}} {
		if _, err := cgroup.Create(testGroup+"/bad", cgroup.Limits{DeviceWall: true, Devices: []cgroup.DeviceRule{r}}); err == nil || !strings.Contains(err.Error(), "device rule") {
			t.Errorf("%v: %v", r, err)
		}
	}
}
