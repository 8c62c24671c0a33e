// Package sysfstest builds trees in the shape of /sys for tests: devices hang where their bus puts
// them, and classes and buses are links to them, as in the kernel's Documentation/filesystems/sysfs.
package sysfstest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing" //nolint:depguard // a package for tests alone
)

// Tree is a fake /sys.
type Tree struct {
	t    testing.TB
	Root string
}

// New returns an empty tree, which is gone when the test ends.
func New(t testing.TB) *Tree {
	t.Helper()
	tree := &Tree{t: t, Root: t.TempDir()}
	tree.Mkdir("bus/pci/devices")
	tree.Mkdir("class")
	return tree
}

// Mkdir makes a directory.
func (tr *Tree) Mkdir(name string) {
	tr.t.Helper()
	if err := os.MkdirAll(filepath.Join(tr.Root, name), 0o755); err != nil {
		tr.t.Fatal(err)
	}
}

// Write writes an attribute; a newline is added, as the kernel does.
func (tr *Tree) Write(name, value string) {
	tr.t.Helper()
	tr.Mkdir(filepath.Dir(name))
	if err := os.WriteFile(filepath.Join(tr.Root, name), []byte(value+"\n"), 0o600); err != nil {
		tr.t.Fatal(err)
	}
}

// Remove removes a file or directory.
func (tr *Tree) Remove(name string) {
	tr.t.Helper()
	if err := os.RemoveAll(filepath.Join(tr.Root, name)); err != nil {
		tr.t.Fatal(err)
	}
}

// Link makes a relative link, as all of sysfs are.
func (tr *Tree) Link(name, target string) {
	tr.t.Helper()
	tr.Mkdir(filepath.Dir(name))
	rel, err := filepath.Rel(filepath.Dir(filepath.Join(tr.Root, name)), filepath.Join(tr.Root, target))
	if err == nil {
		err = os.Symlink(rel, filepath.Join(tr.Root, name))
	}
	if err != nil {
		tr.t.Fatal(err)
	}
}

// Attributes are files by name.
type Attributes map[string]string

// PCI adds a function behind bridges, as in "pci0000:00/0000:00:01.0", and returns its directory.
// id is "vendor:device", class as in 0x030000.
func (tr *Tree) PCI(bridges, address, id, class string, attributes Attributes) string {
	tr.t.Helper()
	dir := filepath.Join("devices", bridges, address)
	all := Attributes{
		"vendor": "0x" + id[:4], "device": "0x" + id[5:], "class": class, "numa_node": "0",
		"current_link_speed": "8.0 GT/s PCIe", "max_link_speed": "8.0 GT/s PCIe", "current_link_width": "16", "max_link_width": "16",
	}
	maps.Copy(all, attributes)
	for name, value := range all {
		tr.Write(filepath.Join(dir, name), value)
	}
	tr.Link("bus/pci/devices/"+address, dir)
	return dir
}

// Class adds a class device below a directory and its link in the class, and returns its
// directory. dev is its numbers, "" for none.
func (tr *Tree) Class(parent, class, name, dev string) string {
	tr.t.Helper()
	dir := filepath.Join(parent, class, name)
	tr.Mkdir(dir)
	if dev != "" {
		tr.Write(filepath.Join(dir, "dev"), dev)
	}
	tr.Link(filepath.Join("class", class, name), dir)
	tr.Link(filepath.Join(dir, "device"), parent)
	return dir
}

// Driver binds a function to a driver.
func (tr *Tree) Driver(dir, driver string) {
	tr.t.Helper()
	tr.Mkdir("bus/pci/drivers/" + driver)
	tr.Link(filepath.Join(dir, "driver"), "bus/pci/drivers/"+driver)
}

// AMD adds a GPU of AMD with driver and DRM nodes, cardN and renderD(128+N).
func (tr *Tree) AMD(n int, bridges, address, id string, attributes Attributes) string {
	tr.t.Helper()
	dir := tr.PCI(bridges, address, id, "0x030000", attributes)
	tr.Driver(dir, "amdgpu")
	tr.Class(dir, "drm", fmt.Sprintf("card%d", n), fmt.Sprintf("226:%d", n))
	tr.Class(dir, "drm", fmt.Sprintf("renderD%d", 128+n), fmt.Sprintf("226:%d", 128+n))
	return dir
}
