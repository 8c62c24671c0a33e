// Command example is a whole device plugin in about a hundred lines: it offers the render nodes
// that the kernel's DRM subsystem shows, of whatever vendor, as GPUs of the model RENDER. Copy it
// to begin a plugin of your own; docs/plugins.md explains it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

func main() {
	root := flag.String("sysfs-root", "/sys", "where sysfs is mounted")
	flag.Parse()
	if err := sdk.Serve(sdk.Config{Name: "example", Version: "1", Plugin: plugin{*root}}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// plugin looks below a root that tests choose.
type plugin struct{ root string }

// Inventory lists the render nodes. It is asked every few seconds; a host without any is no error,
// but says why.
func (p plugin) Inventory(context.Context) (*pluginv1.Inventory, error) {
	inv := &pluginv1.Inventory{}
	nodes, err := filepath.Glob(filepath.Join(p.root, "class/drm/renderD*"))
	if err != nil {
		return nil, err
	}
	for _, node := range nodes {
		// The link behind it leads to the function on the bus, whose address stays the same over
		// reboots; the number of the render node need not.
		function, err := filepath.EvalSymlinks(filepath.Join(node, "device"))
		if err != nil {
			inv.Reasons = append(inv.Reasons, filepath.Base(node)+" hangs on nothing: "+err.Error())
			continue
		}
		d := &pluginv1.Device{
			Id: "render-" + filepath.Base(function), Kind: "gpu", Vendor: "any", Model: "RENDER",
			Thousandths: sdk.Whole, ShareThousandths: 1, // any time slice of it
			Attributes: map[string]*pluginv1.Attribute{"node": sdk.Text(filepath.Base(node))},
			Health:     sdk.Seen(),
		}
		if raw, err := os.ReadFile(filepath.Join(function, "power_state")); err == nil && strings.TrimSpace(string(raw)) == "error" {
			d.Health = sdk.Seen(&pluginv1.Signal{Code: "device-power", Detail: "the function has no power"})
		}
		inv.Devices = append(inv.Devices, d)
	}
	if len(inv.Devices) == 0 && len(inv.Reasons) == 0 {
		inv.Reasons = append(inv.Reasons, "the kernel shows no render node (load the GPU's driver)")
	}
	return inv, nil
}

// Edits give a task the node of each of its devices. The server has checked before that the
// devices exist and have so much left.
func (p plugin) Edits(ctx context.Context, shares []*pluginv1.Share) (*pluginv1.Edits, error) {
	inv, err := p.Inventory(ctx)
	if err != nil {
		return nil, err
	}
	edits := &pluginv1.Edits{}
	var paths []string
	for _, share := range shares {
		for _, d := range inv.Devices {
			if d.Id != share.DeviceId {
				continue
			}
			name := d.Attributes["node"].GetText()
			major, minor, err := p.numbers(name)
			if err != nil {
				return nil, fmt.Errorf("device %s: %w", d.Id, err)
			}
			edits.DeviceNodes = append(edits.DeviceNodes, &pluginv1.DeviceNode{
				Path: "/dev/dri/" + name, Type: "c", Major: major, Minor: minor, Permissions: "rw",
			})
			paths = append(paths, "/dev/dri/"+name)
		}
	}
	edits.Env = []string{"RENDER_NODES=" + strings.Join(paths, ",")}
	return edits, nil
}

// numbers reads the numbers of a node, as in "226:128".
func (p plugin) numbers(node string) (major, minor int64, err error) {
	raw, err := os.ReadFile(filepath.Join(p.root, "class/drm", node, "dev"))
	if err != nil {
		return 0, 0, err
	}
	a, b, _ := strings.Cut(strings.TrimSpace(string(raw)), ":")
	if major, err = strconv.ParseInt(a, 10, 64); err == nil {
		minor, err = strconv.ParseInt(b, 10, 64)
	}
	return major, minor, err
}
