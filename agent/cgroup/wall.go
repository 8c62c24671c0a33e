package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/cgroups"
	// It brings the device filter: rules of the v1 controller, or a program attached to a v2 group.
	_ "github.com/opencontainers/cgroups/devices"
	devices "github.com/opencontainers/cgroups/devices/config"
)

// AnyNumber stands for every major or minor number.
const AnyNumber = devices.Wildcard

// DeviceRule lets the processes of a group open one device, or one kind of device.
type DeviceRule struct {
	// Type is 'c' or 'b'.
	Type rune
	// Major and Minor are the device's numbers, or AnyNumber.
	Major, Minor int64
	// Permissions are any of r (read), w (write) and m (make the node).
	Permissions string
}

func (r DeviceRule) validate() error {
	if r.Type != 'c' && r.Type != 'b' || r.Major < AnyNumber || r.Minor < AnyNumber || r.Permissions == "" || strings.Trim(r.Permissions, "rwm") != "" {
		return fmt.Errorf("device rule %c %d:%d %s needs type c or b, numbers, and permissions of r, w and m", r.Type, r.Major, r.Minor, r.Permissions)
	}
	return nil
}

// StandardDevices are what every program expects to open: null, zero, full, random, urandom, tty,
// ptmx and the terminals behind it; see the kernel's Documentation/admin-guide/devices.txt.
func StandardDevices() []DeviceRule {
	var rules []DeviceRule
	for _, n := range [][2]int64{{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 2}, {136, AnyNumber}} {
		rules = append(rules, DeviceRule{Type: 'c', Major: n[0], Minor: n[1], Permissions: "rw"})
	}
	return rules
}

// deviceRules are the rules behind the wall: nothing, and then what is allowed.
func (l Limits) deviceRules() []*devices.Rule {
	rules := []*devices.Rule{{Type: devices.WildcardDevice, Major: AnyNumber, Minor: AnyNumber, Permissions: "rwm"}}
	for _, r := range append(StandardDevices(), l.Devices...) {
		rules = append(rules, &devices.Rule{
			Type: devices.Type(r.Type), Major: r.Major, Minor: r.Minor, Permissions: devices.Permissions(r.Permissions), Allow: true,
		})
	}
	return rules
}

// checkWall makes sure that the filter is there: the library leaves it out in silence where it
// cannot be, and a wall that is not there is worse than none that is promised.
func (g *Group) checkWall() error {
	if raw, err := os.ReadFile("/proc/self/uid_map"); err == nil && strings.Join(strings.Fields(string(raw)), " ") != "0 0 4294967295" {
		return g.unavailableWall("the agent runs in a user namespace")
	}
	if g.unified {
		return nil // loading the program has been refused or not
	}
	dir, ok := g.dirs["devices"]
	if !ok {
		return g.unavailableWall("the devices controller is not mounted")
	}
	list, err := cgroups.ReadFile(dir, "devices.list")
	if err != nil {
		return fmt.Errorf("cgroup %s: %w", g.path, err)
	}
	if strings.HasPrefix(list, "a ") {
		return g.unavailableWall("the kernel keeps " + filepath.Join(dir, "devices.list") + " open")
	}
	return nil
}

func (g *Group) unavailableWall(why string) error {
	return fmt.Errorf("cgroup %s: devices cannot be walled off: %w: %w", g.path, errors.New(why), ErrUnavailable)
}
