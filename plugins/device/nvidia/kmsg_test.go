package nvidia

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestXidsAreReadFromTheKernelsLog(t *testing.T) {
	for record, want := range map[string]xid{
		"4,1165,4214563,-;NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.\n": {"0000:3b:00", 79, "pid='<unknown>', name=<unknown>, GPU has fallen off the bus."},
		"4,9,1,-;NVRM: Xid (PCI:0000:3B:00): 31, Ch 00000010, engmask 00000101":                                           {"0000:3b:00", 31, "Ch 00000010, engmask 00000101"},
		"6,1,2,-;NVRM: Xid (PCI:00000000:DA:00.0): 154, GPU recovery action changed from 0x0 (None) to 0x1":               {"0000:da:00", 154, "GPU recovery action changed from 0x0 (None) to 0x1"},
		"NVRM: Xid (PCI:10de0000:01:00): 13": {"10de0000:01:00", 13, ""},
	} {
		if got, ok := parseXid(record); !ok || got != want {
			t.Errorf("%q: %+v %v, want %+v", record, got, ok, want)
		}
	}
	for _, record := range []string{
		"", "NVRM: loading NVIDIA UNIX x86_64 Kernel Module", "NVRM: Xid (PCI:0000:3b:00): , pid", "NVRM: Xid (PCI:zz:3b:00): 79",
		"nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 12 LTSSM Fault Up", "NVRM: GPU at PCI:0000:3b:00: GPU-8f3c",
	} {
		if got, ok := parseXid(record); ok {
			t.Errorf("%q is taken for %+v", record, got)
		}
	}
}

func TestOnlyFatalErrorsOfSwitchesCount(t *testing.T) {
	if code, ok := fatalSwitch("3,1,1,-;nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 12 LTSSM Fault Up"); !ok || code != "20034" {
		t.Errorf("a fatal error is read as %q", code)
	}
	if _, ok := fatalSwitch("nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 11012, Non-fatal, Link 3"); ok {
		t.Error("a harmless one is taken for fatal")
	}
}

func FuzzXid(f *testing.F) {
	f.Add("4,1165,4214563,-;NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', GPU has fallen off the bus.\n")
	f.Fuzz(func(t *testing.T, record string) {
		x, ok := parseXid(record)
		if ok && (x.code > 9999 || len(x.detail) > 3*maxDetail || x.pci == "") {
			t.Errorf("%q is read as %+v", record, x)
		}
	})
}

func TestNewRecordsOfTheKernelsLogAreFollowedUntilTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kmsg")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(path, os.O_RDWR, 0) // both ends, so that neither waits for the other
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := log.WriteString("one\ntwo\n"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	if err := followKernel(ctx, path, func(record string) {
		if got = append(got, record); len(got) == 2 {
			cancel()
		}
	}); err != nil || len(got) != 2 || got[1] != "two\n" {
		t.Errorf("%q, %v", got, err)
	}
}
