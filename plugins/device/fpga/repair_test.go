package fpga

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/plugins/device/sysfstest"
	"caravan/plugins/sdk/pluginv1"
)

// toolbox is a directory of programs that note how they were called.
type toolbox struct {
	t         *testing.T
	dir, file string
}

func newToolbox(t *testing.T) *toolbox {
	return &toolbox{t: t, dir: t.TempDir(), file: filepath.Join(t.TempDir(), "calls")}
}

func (b *toolbox) add(name, script string) {
	b.t.Helper()
	text := fmt.Sprintf("#!/bin/sh\necho %s \"$@\" >> %s\n%s\n", name, b.file, script)
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o700); err != nil { //nolint:gosec // a program
		b.t.Fatal(err)
	}
}

// calls returns the calls since the last time, line by line.
func (b *toolbox) calls() string {
	b.t.Helper()
	raw, err := os.ReadFile(b.file)
	if err == nil {
		err = os.Remove(b.file)
	}
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	return string(raw)
}

func TestARegionIsPartOfItsBoard(t *testing.T) {
	tree := rack(t)
	tree.Write(pac+"/fpga_region/region0/dfl-fme.0/dfl_dev.1/spi_master/spi0/spi0.0/mac_address", "64:4c:36:f4:3c:10")
	tree.Write(alveo+"/xmc.u.19922944/serial_num", "2130048CA00H")
	// A port that was given to a virtual function is on the same board.
	vf := tree.PCI("pci0000:3a/0000:3a:00.0", "0000:3b:00.1", "8086:09c5", "0x120000", nil)
	tree.Link(vf+"/physfn", pac)
	tree.Write(vf+"/fpga_region/region5/dfl-port.9/id", "1")
	tree.Write(vf+"/fpga_region/region5/dfl-port.9/dev", "241:9")
	all := devices(t, plugin(t, tree))
	for id, want := range map[string]string{
		port0: "fpga-0000:3b:00.0 64:4c:36:f4:3c:10.port0", port1: "fpga-0000:3b:00.0 64:4c:36:f4:3c:10.port1",
		"fpga-0000:3b:00.1-port1": "fpga-0000:3b:00.0 ", u250: " 2130048CA00H", slot: " ", zynq: " ",
	} {
		if got := all[id].GetPartOf() + " " + all[id].GetIdentity(); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

func TestEachKindOfCardIsResetInItsWay(t *testing.T) {
	tools := newToolbox(t)
	tools.add("xbutil", "")
	tools.add("fpga-clear-local-image", "")
	tools.add("fpga-describe-local-image", "")
	dev := t.TempDir()
	tree := rack(t)
	p := plugin(t, tree, func(c *Config) { c.Tools, c.DevRoot, c.ProcRoot = tools.dir, dev, t.TempDir() })
	for id, want := range map[string]string{u250: "xbutil reset --device 0000:01:00.1 --force\n", slot: "fpga-clear-local-image -S 0\n"} {
		if err := p.Reset(t.Context(), id); err != nil {
			t.Error(err)
		}
		if got := strings.ReplaceAll(tools.calls(), "fpga-describe-local-image -S 0\n", ""); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	if err := p.Reset(t.Context(), zynq); status.Code(err) != codes.Unimplemented {
		t.Errorf("a bare manager: %v", err)
	}
	if err := p.Reset(t.Context(), gold); err == nil || !strings.Contains(err.Error(), "golden") {
		t.Errorf("a card with its golden image: %v", err)
	}
	// A plain file takes the call up to the driver, and has none.
	if err := os.WriteFile(filepath.Join(dev, "dfl-port.3"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Reset(t.Context(), port0); err == nil || !strings.Contains(err.Error(), "inappropriate ioctl") {
		t.Errorf("a port without a driver: %v", err)
	}
	if err := p.Reset(t.Context(), port1); err == nil || !strings.Contains(err.Error(), "dfl-port.4") {
		t.Errorf("a port without a node: %v", err)
	}
	tools.add("xbutil", "echo 'device is in use' >&2; exit 1")
	if err := p.Reset(t.Context(), u250); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a reset that fails: %v", err)
	}
}

// open has a made-up process 77 hold /dev/null, and gives the card's node its numbers.
func open(t *testing.T, tree *sysfstest.Tree, proc string) {
	t.Helper()
	tree.Write(alveo+"/drm/renderD140/dev", "1:3")
	fd := filepath.Join(proc, "77/fd")
	if err := os.MkdirAll(fd, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", filepath.Join(fd, "5")); err != nil {
		t.Fatal(err)
	}
}

func TestWhoHasARegionOpenIsToldAndNotResetAway(t *testing.T) {
	tools, proc, tree := newToolbox(t), t.TempDir(), rack(t)
	tools.add("xbutil", "")
	p := plugin(t, tree, func(c *Config) { c.Tools, c.ProcRoot, c.Blank = tools.dir, proc, t.TempDir() })
	open(t, tree, proc)
	left, err := p.Clean(t.Context(), u250)
	if err != nil || len(left.Pids) != 1 || left.Pids[0] != 77 || len(left.Modes) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := p.Reset(t.Context(), u250); err == nil || !strings.Contains(err.Error(), "process 77") || tools.calls() != "" {
		t.Errorf("a reset while a process has it open: %v", err)
	}
	if left, err := p.Clean(t.Context(), port0); err != nil || len(left.Pids) != 0 {
		t.Errorf("another region: %v, %v", left, err)
	}
	if left, err := p.Clean(t.Context(), gold); err != nil || len(left.Modes) != 0 {
		t.Errorf("a card that no task ever had: %v, %v", left, err)
	}
}

func TestWithoutAPolicyAnImageStays(t *testing.T) {
	tools := newToolbox(t)
	tools.add("xbutil", "")
	p := plugin(t, rack(t), func(c *Config) { c.Tools, c.ProcRoot = tools.dir, t.TempDir() })
	if left, err := p.Clean(t.Context(), u250); err != nil || len(left.Modes) != 0 || tools.calls() != "" {
		t.Errorf("%v, %v", left, err)
	}
	if d := devices(t, p)[u250]; d.Region.Image == "" {
		t.Error("the image is gone")
	}
}

const (
	userImage  = "8f2b3c4d-0000-4000-8000-000000000001" // what the rack's U250 runs
	blankImage = "00000000-0000-4000-8000-00000000b1a4"
	u250Shell  = "xilinx_u250_gen3x16_xdma_shell_4_1"
)

func TestARegionIsBlankAfterATaskWhereThePolicySaysSo(t *testing.T) {
	tree, tools, blank := rack(t), newToolbox(t), t.TempDir()
	image := filepath.Join(tree.Root, alveo, "xclbinuuid")
	tools.add("xbutil", "echo "+blankImage+" > "+image)
	file := filepath.Join(blank, u250Shell+".xclbin")
	if err := os.WriteFile(file, []byte("bits"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := plugin(t, tree, func(c *Config) { c.Tools, c.ProcRoot, c.Blank = tools.dir, t.TempDir(), blank })
	if got := cleaned(t, p, u250); !strings.Contains(got, "image "+userImage+" of the task before") || !strings.HasSuffix(got, ";") {
		t.Errorf("it was told %q", got)
	}
	if got, want := tools.calls(), "xbutil program --device 0000:01:00.1 --user "+file+"\n"; got != want {
		t.Errorf("called %q, want %q", got, want)
	}
	if d := devices(t, p)[u250]; d.Region.Image != "" || d.Region.State != pluginv1.RegionState_REGION_STATE_EMPTY || d.Attributes["image"] != nil {
		t.Errorf("the blank region is %v", d)
	}
	// A task that loaded nothing leaves nothing.
	if got := cleaned(t, p, u250); got != ";" || tools.calls() != "" {
		t.Errorf("clean again: %q", got)
	}
	// The next image is one, and is taken away too.
	tree.Write(alveo+"/xclbinuuid", userImage)
	if d := devices(t, p)[u250]; d.Region.Image != userImage || d.Region.State != pluginv1.RegionState_REGION_STATE_READY {
		t.Errorf("with an image again: %v", d)
	}
	if got := cleaned(t, p, u250); !strings.Contains(got, userImage) || strings.Count(tools.calls(), "\n") != 1 {
		t.Errorf("the second task: %q", got)
	}
}

// cleaned asks until nothing is left, and returns what was told on the way, each answer ended by ';'.
// It gives up when the same failure has been told twice.
func cleaned(t *testing.T, p *Plugin, id string) string {
	t.Helper()
	all := ""
	for {
		left, err := p.Clean(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		told := strings.Join(left.Modes, ",")
		if all += told + ";"; told == "" || strings.Count(all, "could not") == 2 {
			return all
		}
		p.wait(t, id)
	}
}

// wait waits until a region's image has been taken away, or not.
func (p *Plugin) wait(t *testing.T, id string) {
	t.Helper()
	for p.settled(id) != nil {
		if t.Context().Err() != nil {
			t.Fatal("it is never done")
		}
		runtime.Gosched()
	}
}

func TestASlotIsClearedAfterATaskWhereThePolicySaysSo(t *testing.T) {
	tools, loaded := newToolbox(t), filepath.Join(t.TempDir(), "loaded")
	if err := os.WriteFile(loaded, []byte("agfi-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tools.add("fpga-describe-local-image", `if [ -e `+loaded+` ]; then echo "AFI 0 $(cat `+loaded+`) loaded 0 ok"; else echo "AFI 0 none cleared 1 ok"; fi`)
	tools.add("fpga-clear-local-image", "rm "+loaded)
	p := plugin(t, rack(t), func(c *Config) { c.Tools, c.ProcRoot, c.Blank = tools.dir, t.TempDir(), t.TempDir() })
	if got := cleaned(t, p, slot); !strings.HasPrefix(got, "image agfi-1 of the task before;") || !strings.HasSuffix(got, ";") {
		t.Errorf("it was told %q", got)
	}
	if !strings.Contains(tools.calls(), "fpga-clear-local-image -S 0\n") {
		t.Error("the slot was not cleared")
	}
	if d := devices(t, p)[slot]; d.Region.Image != "" {
		t.Errorf("the slot runs %q", d.Region.Image)
	}
}

func TestAnImageThatCannotBeTakenAwayStaysTold(t *testing.T) {
	p := plugin(t, rack(t), func(c *Config) { c.Tools, c.ProcRoot, c.Blank = t.TempDir(), t.TempDir(), t.TempDir() })
	if got := cleaned(t, p, u250); strings.Count(got, "could not be taken away: there is no blank image for it") != 2 {
		t.Errorf("it was told %q", got)
	}
	if d := devices(t, p)[u250]; d.Region.Image != userImage {
		t.Errorf("it is shown as running %q", d.Region.Image)
	}
}

// While its image is being taken away, a region is neither handed out nor programmed nor reset.
func TestARegionIsLeftAloneUntilItIsBlank(t *testing.T) {
	tree := rack(t)
	synctest.Test(t, func(t *testing.T) {
		p := plugin(t, tree, func(c *Config) { c.Blank = t.TempDir() })
		r, err := p.region(t.Context(), u250)
		if err != nil {
			t.Fatal(err)
		}
		finish := make(chan struct{})
		r.clear = func(context.Context) error { <-finish; return nil }
		b := &blanking{}
		p.blank[u250] = b
		go p.makeBlank(context.WithoutCancel(t.Context()), r, b)
		synctest.Wait()
		share := []*pluginv1.Share{{DeviceId: u250, Thousandths: 1000}}
		_, edits := p.Edits(t.Context(), share)
		for what, err := range map[string]error{"handed out": edits, "programmed": program(t, p, u250, "x", ""), "reset": p.Reset(t.Context(), u250)} {
			if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "being taken away") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if left, err := p.Clean(t.Context(), u250); err != nil || len(left.Modes) != 1 || left.Modes[0] != "its image is being taken away" {
			t.Errorf("left: %v, %v", left, err)
		}
		close(finish)
		synctest.Wait()
		if _, err := p.Edits(t.Context(), share); err != nil {
			t.Error(err)
		}
	})
}

func TestTheDirectoryOfBlankImagesMustBeThere(t *testing.T) {
	if _, err := New(Config{Blank: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a directory that is not there is taken")
	}
}

func TestAManagerRunsWhatWasLoadedFromHere(t *testing.T) {
	tree := rack(t)
	p := plugin(t, tree)
	if err := program(t, p, zynq, "design.bin", ""); err != nil {
		t.Fatal(err)
	}
	if d := devices(t, p)[zynq]; d.Region.Image != "design.bin" || d.Region.State != pluginv1.RegionState_REGION_STATE_READY {
		t.Errorf("after a load: %v", d)
	}
	tree.Write(soc+"/fpga_manager/fpga1/state", "power off")
	if d := devices(t, p)[zynq]; d.Region.Image != "" {
		t.Errorf("without power: %v", d)
	}
}

func TestCardsAreMeasured(t *testing.T) {
	tree := rack(t)
	tree.Write(pac+"/fpga_region/region0/dfl-fme.0/hwmon/hwmon2/temp1_input", "51000")
	tree.Write(pac+"/fpga_region/region0/dfl-fme.0/hwmon/hwmon3/power1_input", "42000000")
	s, err := plugin(t, tree).Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range s.Devices {
		if d.DeviceId == port0 && (d.Values["temperature_millicelsius"] != 51000 || d.Values["power_milliwatts"] != 42000) {
			t.Errorf("%v", d)
		}
	}
}
