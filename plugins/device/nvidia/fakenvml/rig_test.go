package fakenvml_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"caravan/plugins/device/nvidia/fakenvml"
	"caravan/plugins/device/sysfstest"
	"caravan/plugins/sdk"
	"caravan/plugins/sdk/client"
	"caravan/plugins/sdk/pluginv1"
)

// bench has the program under test and the libraries that it loads.
var bench *fakenvml.Bench //nolint:gochecknoglobals // built once for all tests

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "caravan-nvidia-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if bench, err = fakenvml.NewBench(context.Background(), dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// host is a host with a driver that is pretended.
type host struct {
	t          *testing.T
	state      *fakenvml.State
	generation fakenvml.Generation
	tree       *sysfstest.Tree
	dev, proc  string
	args       []string
}

// major is one that no driver has.
const major = 240

// newHost is a host with so many GPUs and their nodes.
func newHost(t *testing.T, gpus int, parts ...fakenvml.Keys) *host {
	t.Helper()
	h := &host{t: t, state: fakenvml.NewState(t, parts...), generation: fakenvml.Current, tree: sysfstest.New(t), dev: t.TempDir(), proc: t.TempDir()}
	for n := range gpus {
		bridge := fmt.Sprintf("pci0000:%02x/0000:%02x:00.0", 0x3a+n, 0x3a+n)
		h.tree.PCI(bridge, fakenvml.PCI(n), "10de:17fd", "0x030200", sysfstest.Attributes{"numa_node": "0"})
		h.node("nvidia"+strconv.Itoa(n), n)
	}
	h.node("nvidiactl", 255)
	h.node("nvidia-uvm", 254)
	return h
}

func (h *host) node(name string, minor int) {
	h.t.Helper()
	path := filepath.Join(h.dev, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(major, uint32(minor)))); err != nil { //nolint:gosec // small numbers
		h.t.Fatal(err)
	}
}

func (h *host) write(name, text string) {
	h.t.Helper()
	path := filepath.Join(h.proc, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// config starts the plugin as an agent does.
func (h *host) config() client.Config {
	command := []string{
		bench.Program(), "-sysfs-root", h.tree.Root, "-dev-root", h.dev, "-proc-root", h.proc, "-kmsg", "", "-smi", bench.SMI(),
		"-look-interval", "50ms", "-tend-interval", "50ms", "-settle", "1ns", "-event-hold", "1h",
	}
	return client.Config{
		Command: append(command, h.args...), CallTimeout: 30 * time.Second,
		Env: []string{h.state.Env(), bench.Env(h.generation)},
	}
}

func (h *host) start() *client.Client {
	h.t.Helper()
	c, err := client.Start(h.t.Context(), h.config())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(c.Stop)
	return c
}

// await waits for an inventory of which something holds.
func (h *host) await(c *client.Client, what string, holds func(*pluginv1.Inventory) bool) *pluginv1.Inventory {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	var last *pluginv1.Inventory
	seen := fmt.Errorf("seen")
	err := c.Watch(ctx, func(inv *pluginv1.Inventory) error {
		last = inv
		if err := sdk.CheckInventory(inv); err != nil {
			return err
		}
		if holds(inv) {
			return seen
		}
		return nil
	})
	if err != seen { //nolint:errorlint // this very value
		h.t.Fatalf("never %s: %v; last %v", what, err, last)
	}
	return last
}

// signals are the codes that a device has, with their counts.
func signals(inv *pluginv1.Inventory, device string) map[string]int64 {
	codes := make(map[string]int64)
	for _, d := range inv.Devices {
		for _, s := range d.Health.Signals {
			if d.Id == device {
				codes[s.Code] = s.Count
			}
		}
	}
	return codes
}

// well says that so many devices are there and nothing is wrong with any.
func well(n int) func(*pluginv1.Inventory) bool {
	return func(inv *pluginv1.Inventory) bool {
		for _, d := range inv.Devices {
			if len(d.Health.Signals) > 0 {
				return false
			}
		}
		return len(inv.Devices) == n
	}
}

// merged are the keys of several GPUs.
func merged(parts ...fakenvml.Keys) fakenvml.Keys {
	all := make(fakenvml.Keys)
	for _, p := range parts {
		maps.Copy(all, p)
	}
	return all
}
