// Package sysfs reads what the kernel tells of PCI devices and their class devices, below a root
// that tests choose; see Documentation/ABI/testing/sysfs-bus-pci of the Linux kernel.
//
// It reads leniently: a host of any age lacks some attribute or writes it in another way (kernels
// before 5.6 say "8 GT/s" where later ones say "8.0 GT/s PCIe"), and one odd device must not hide
// the others. A missing or unreadable number is no number, never an error. Nothing is cached.
package sysfs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"caravan/plugins/sdk/pluginv1"
)

// Root is where sysfs is mounted, usually /sys.
type Root string

// path is a file below the root.
func (r Root) path(parts ...string) string {
	return filepath.Join(append([]string{string(r)}, parts...)...)
}

// Dir is a directory of sysfs, without links: what it lies in is what it hangs on.
type Dir string

// List returns the directories that entries of a class or bus stand for, in the order of their
// names' numbers; none if there is no such class.
func (r Root) List(parts ...string) []Dir {
	at := r.path(parts...)
	entries, err := os.ReadDir(at)
	if err != nil {
		return nil
	}
	var dirs []Dir
	for _, e := range entries {
		if target, err := filepath.EvalSymlinks(filepath.Join(at, e.Name())); err == nil {
			dirs = append(dirs, Dir(target))
		}
	}
	slices.SortFunc(dirs, func(a, b Dir) int { return natural(a.Name(), b.Name()) })
	return dirs
}

// natural orders names by their leading words and then by the numbers behind, so that card10
// follows card9.
func natural(a, b string) int {
	wa, na := splitNumber(a)
	wb, nb := splitNumber(b)
	if wa != wb || na == nb {
		return strings.Compare(a, b)
	}
	return na - nb
}

func splitNumber(s string) (word string, n int) {
	word = strings.TrimRight(s, "0123456789")
	n, err := strconv.Atoi(s[len(word):])
	if err != nil {
		return s, 0
	}
	return word, n
}

// Name is the last element.
func (d Dir) Name() string { return filepath.Base(string(d)) }

// Sub is a directory or file below.
func (d Dir) Sub(parts ...string) Dir {
	return Dir(filepath.Join(append([]string{string(d)}, parts...)...))
}

// Exists reports whether there is such a file or directory.
func (d Dir) Exists(parts ...string) bool {
	_, err := os.Stat(string(d.Sub(parts...)))
	return err == nil
}

// Glob returns what matches below, in the order of the names' numbers.
func (d Dir) Glob(pattern string) []Dir {
	names, err := filepath.Glob(filepath.Join(string(d), pattern))
	if err != nil {
		return nil // a mistake in the pattern, which the tests find
	}
	slices.SortFunc(names, func(a, b string) int { return natural(filepath.Base(a), filepath.Base(b)) })
	dirs := make([]Dir, len(names))
	for i, n := range names {
		dirs[i] = Dir(n)
	}
	return dirs
}

// Text returns an attribute without the white space around it, "" if there is none.
func (d Dir) Text(parts ...string) string {
	raw, _ := os.ReadFile(string(d.Sub(parts...))) // what cannot be read says nothing
	return strings.TrimSpace(string(raw))
}

// Number returns an attribute that is a number, decimal or with 0x.
func (d Dir) Number(parts ...string) (int64, bool) {
	text := d.Text(parts...)
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil {
		u, uerr := strconv.ParseUint(text, 0, 64)
		return int64(u), uerr == nil
	}
	return n, true
}

// Unreadable reports whether an attribute is there and cannot be read, as when the device behind
// it does not answer.
func (d Dir) Unreadable(parts ...string) bool {
	if !d.Exists(parts...) {
		return false
	}
	_, err := os.ReadFile(string(d.Sub(parts...)))
	return err != nil
}

// Node returns the device node that a directory with a dev attribute stands for. path is the node
// in the host's /dev.
func (d Dir) Node(path string) (*pluginv1.DeviceNode, bool) {
	major, minor, ok := strings.Cut(d.Text("dev"), ":")
	a, err1 := strconv.ParseInt(major, 10, 64)
	b, err2 := strconv.ParseInt(minor, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return nil, false
	}
	return &pluginv1.DeviceNode{Path: path, Type: "c", Major: a, Minor: b, Permissions: "rw"}, true
}

// PCI is one function on the PCI bus.
type PCI struct {
	Dir
	// Vendor and Device are the ids, Class the class code.
	Vendor, Device, Class int64
}

// PCI returns all PCI functions.
func (r Root) PCI() []PCI {
	var all []PCI
	for _, d := range r.List("bus", "pci", "devices") {
		p := PCI{Dir: d}
		var ok [3]bool
		p.Vendor, ok[0] = d.Number("vendor")
		p.Device, ok[1] = d.Number("device")
		p.Class, ok[2] = d.Number("class")
		if ok == [3]bool{true, true, true} {
			all = append(all, p)
		}
	}
	return all
}

// ID is "vendor:device" in hexadecimal.
func (p PCI) ID() string { return fmt.Sprintf("%04x:%04x", p.Vendor, p.Device) }

// Address is where it sits, as in 0000:3b:00.0.
func (p PCI) Address() string { return p.Name() }

// Driver is the driver bound to it, "" for none.
func (p PCI) Driver() string {
	to, err := os.Readlink(string(p.Sub("driver")))
	if err != nil {
		return ""
	}
	return filepath.Base(to)
}

// NUMANode is the memory node it is near to, -1 if there is none.
func (p PCI) NUMANode() int64 {
	n, ok := p.Number("numa_node")
	if !ok {
		return -1
	}
	return n
}

// Physical is the address of the function that a virtual one belongs to, "" for any other.
func (p PCI) Physical() string {
	to, err := os.Readlink(string(p.Sub("physfn")))
	if err != nil {
		return ""
	}
	return filepath.Base(to)
}

// generations are PCI Express generations by their speed in tenths of GT/s.
func generation(speed string) int64 {
	number, _, _ := strings.Cut(speed, " ")
	whole, tenth, _ := strings.Cut(number, ".")
	n, err := strconv.ParseInt(whole+(tenth + "0")[:1], 10, 64)
	if err != nil {
		return 0
	}
	for g, least := range map[int64]int64{1: 25, 2: 50, 3: 80, 4: 160, 5: 320, 6: 640} {
		if n == least {
			return g
		}
	}
	return 0
}

// Link returns the generation and width that the link has and could have; 0 for what is not told.
func (p PCI) Link() (gen, width, maxGen, maxWidth int64) {
	width, _ = p.Number("current_link_width")
	maxWidth, _ = p.Number("max_link_width")
	if maxWidth == 255 { // a virtual function does not know
		maxWidth = 0
	}
	return generation(p.Text("current_link_speed")), width, generation(p.Text("max_link_speed")), maxWidth
}
