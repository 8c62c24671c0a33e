package nvidia

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// xidLine is a line of the NVIDIA kernel module. Old drivers write the address as 0000:3b:00, new
// ones too; some add ".0".
var xidLine = regexp.MustCompile(`NVRM: Xid \(PCI:([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.[0-7])?\): ([0-9]{1,4}),? ?(.*)`)

// switchLine is a line of the NVSwitch kernel module about an error that ends work.
var switchLine = regexp.MustCompile(`nvidia-nvswitch[0-9]*: SXid \(PCI:[^)]*\): ([0-9]{1,6}), Fatal`)

// xid is an error that the kernel's log tells of.
type xid struct {
	// pci is domain:bus:device in lower case, without the function.
	pci    string
	code   uint64
	detail string
}

// maxDetail bounds what is kept of a line.
const maxDetail = 200

// parseXid reads a record of the kernel's log; false for any other record.
func parseXid(record string) (xid, bool) {
	m := xidLine.FindStringSubmatch(record)
	if m == nil {
		return xid{}, false
	}
	code, err := strconv.ParseUint(m[2], 10, 32)
	if err != nil {
		return xid{}, false
	}
	detail := strings.TrimSpace(m[3])
	detail = strings.ToValidUTF8(detail[:min(maxDetail, len(detail))], "?")
	return xid{pci: pciDevice(m[1]), code: code, detail: detail}, true
}

// pciDevice is an address without its function, in the kernel's form: 0000:3b:00 of
// 00000000:3B:00.0.
func pciDevice(address string) string {
	address, _, _ = strings.Cut(strings.ToLower(address), ".")
	domain, rest, ok := strings.Cut(address, ":")
	if !ok {
		return address
	}
	for len(domain) > 4 && domain[0] == '0' {
		domain = domain[1:]
	}
	return domain + ":" + rest
}

// fatalSwitch reads a record that tells of a fatal error of an NVSwitch.
func fatalSwitch(record string) (code string, ok bool) {
	m := switchLine.FindStringSubmatch(record)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// followKernel hands each new record of the kernel's log to tell until ctx ends. The records that
// are there already are skipped: what they tell of has been told, or was mended by a boot.
func followKernel(ctx context.Context, path string, tell func(record string)) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("the kernel's log: %w", err)
	}
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { _ = f.Close() }) // a read that waits returns
	defer stop()
	if _, err := f.Seek(0, io.SeekEnd); err != nil && !errors.Is(err, unix.ESPIPE) {
		return fmt.Errorf("the end of the kernel's log: %w", err)
	}
	buf := make([]byte, 8<<10) // a record fits, by Documentation/ABI/testing/dev-kmsg
	for {
		n, err := f.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.EPIPE):
			continue // records were overwritten before they were read
		case err != nil:
			return fmt.Errorf("the kernel's log: %w", err)
		}
		for line := range bytes.Lines(buf[:n]) {
			tell(string(line))
		}
	}
}
