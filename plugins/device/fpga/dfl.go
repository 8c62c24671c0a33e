package fpga

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"caravan/plugins/device/internal/sysfs"
	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// dfl returns the ports of a card that the DFL framework shows: each is one device. The card's
// management engine, which programs them, is the agent's alone.
func (p *Plugin) dfl(about part, f sysfs.PCI) []*region {
	var regions []*region
	for _, base := range f.Glob("fpga_region/region*") {
		var fme sysfs.Dir
		for _, d := range base.Glob("dfl-fme.*") {
			fme = d
		}
		for _, port := range base.Glob("dfl-port.*") {
			number, ok := port.Number("id")
			if !ok {
				continue
			}
			r := p.newRegion(about, f, fmt.Sprintf("fpga-%s-port%d", f.Address(), number))
			r.exclusive = true // the kernel lets one process open a port
			r.partOf, r.suffix = "fpga-"+cmp.Or(f.Physical(), f.Address()), ".gbs"
			if serial := boardSerial(fme); serial != "" {
				r.identity = fmt.Sprintf("%s.port%d", serial, number)
			}
			r.image = port.Text("afu_id")
			for _, k := range fme.Glob("dfl-fme-region.*/fpga_region/region*") {
				r.shell = k.Text("compat_id")
			}
			if node, ok := port.Node(p.cfg.DevRoot + "/" + port.Name()); ok {
				r.nodes = []*pluginv1.DeviceNode{node}
				r.reset = func(context.Context) error { return resetPort(node.Path, port) }
			}
			dflHealth(r, fme, port)
			if fme != "" {
				r.attributes["bitstream_id"] = sdk.Text(fme.Text("bitstream_id"))
				r.load = p.dflLoader(r, fme, uint32(number)) //nolint:gosec // a port number
			}
			regions = append(regions, r)
		}
	}
	return regions
}

// boardSerial is what the board's management controller, where the kernel shows it, says of the board:
// the address of its own network port, which no other board has (sysfs-driver-intel-m10-bmc).
func boardSerial(fme sysfs.Dir) string {
	if fme == "" {
		return ""
	}
	for _, pattern := range []string{"dfl_dev.*/spi_master/spi*/spi*/mac_address", "dfl_dev.*/*/spi_master/spi*/spi*/mac_address"} {
		for _, f := range fme.Glob(pattern) {
			return word(f.Text())
		}
	}
	return ""
}

// The ioctl that resets a port and what is loaded into it, and takes no argument.
const portReset = 0xb640

// resetPort resets a port and clears its error register. Who has the port open keeps others from it, so
// a port in use is not reset.
func resetPort(path string, port sysfs.Dir) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("a process has %s open: %w", path, err)
	}
	if err != nil {
		return fmt.Errorf("port: %w", err)
	}
	defer f.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), portReset, 0); errno != 0 {
		return fmt.Errorf("the driver does not reset the port: %w", errno)
	}
	if seen := port.Text("errors", "errors"); seen != "" {
		if err := os.WriteFile(string(port.Sub("errors", "errors")), []byte(seen), 0); err != nil {
			return fmt.Errorf("clear the errors of the port: %w", err)
		}
	}
	return nil
}

// dflHealth reads the error registers; see sysfs-platform-dfl-fme and -port.
func dflHealth(r *region, fme, port sysfs.Dir) {
	for _, file := range []string{"errors/catfatal_errors", "errors/nonfatal_errors"} {
		if n, ok := fme.Number(file); fme != "" && ok && n != 0 {
			r.say("fpga-"+strings.TrimSuffix(strings.TrimPrefix(strings.ReplaceAll(file, "_", "-"), "errors/"), "-errors"), "%s is %#x", file, n)
		}
	}
	if n, ok := port.Number("errors/errors"); ok && n != 0 {
		r.say("fpga-port-error", "errors of the port are %#x", n)
	}
	if fme == "" {
		return
	}
	for _, m := range fme.Glob("dfl-fme-mgr.*/fpga_manager/fpga*") {
		managerHealth(r, m)
	}
}

// The ioctl that programs a port: struct dfl_fpga_fme_port_pr of include/uapi/linux/fpga-dfl.h.
const portPR = 0xb680

type portPRRequest struct {
	size, flags, port, bytes uint32
	address                  uint64
}

// dflLoader programs a port through its card's management engine.
func (p *Plugin) dflLoader(r *region, fme sysfs.Dir, port uint32) func(context.Context, *pluginv1.ProgramRequest, func(int32, string)) error {
	return func(ctx context.Context, req *pluginv1.ProgramRequest, progress func(int32, string)) error {
		raw, err := os.ReadFile(req.Path)
		if err != nil {
			return fmt.Errorf("image %s: %w", req.Image, err)
		}
		bitstream, err := openGBS(raw, r.shell)
		if err != nil {
			return fmt.Errorf("image %s: %w", req.Image, err)
		}
		progress(100, "writing")
		engine, err := os.OpenFile(p.cfg.DevRoot+"/"+fme.Name(), os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("management engine: %w", err)
		}
		defer engine.Close()
		if err := ctx.Err(); err != nil {
			return err
		}
		arg := portPRRequest{port: port, bytes: uint32(len(bitstream)), address: uint64(uintptr(unsafe.Pointer(&bitstream[0])))} //nolint:gosec // the contract of the ioctl
		arg.size = uint32(unsafe.Sizeof(arg))
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, engine.Fd(), portPR, uintptr(unsafe.Pointer(&arg)))
		runtime.KeepAlive(bitstream)
		if errno != 0 {
			return fmt.Errorf("the driver refuses the image: %w", errno)
		}
		return nil
	}
}

// gbsMagic begins a file of OPAE's packager, before the length of its description.
const gbsMagic = "XeonFPGA\xb7GBSv001"

// maxDescription bounds what is read of a file's description.
const maxDescription = 1 << 20

// openGBS returns the bitstream of a packaged image after comparing what it was built for with
// the shell of the card: the hardware does not, and a wrong one hangs the host.
func openGBS(raw []byte, shell string) ([]byte, error) {
	rest, ok := bytes.CutPrefix(raw, []byte(gbsMagic))
	if !ok || len(rest) < 4 {
		return nil, errors.New("it is no image of OPAE's packager (a .gbs file)")
	}
	n := binary.LittleEndian.Uint32(rest)
	rest = rest[4:]
	if n > maxDescription || int(n) > len(rest) {
		return nil, errors.New("its description is cut off")
	}
	var about struct {
		Image struct {
			Interface string `json:"interface-uuid"`
		} `json:"afu-image"`
	}
	if err := json.Unmarshal(bytes.TrimRight(rest[:n], "\x00"), &about); err != nil {
		return nil, fmt.Errorf("its description: %w", err)
	}
	if built := strings.ReplaceAll(about.Image.Interface, "-", ""); !strings.EqualFold(built, shell) {
		return nil, fmt.Errorf("it was built for interface %s, the card has %s", built, shell)
	}
	if rest = rest[n:]; len(rest) == 0 {
		return nil, errors.New("it has no bitstream")
	}
	return rest, nil
}
