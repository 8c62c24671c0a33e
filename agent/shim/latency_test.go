package shim_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"caravan/agent/driver"
	"caravan/agent/shim"
)

// BenchmarkFirstInstruction measures the time from Launch to the first system call of the
// command, next to a bare fork and exec of the same command.
func BenchmarkFirstInstruction(b *testing.B) {
	for _, tc := range []struct {
		name   string
		parent string
		spares int
		bare   bool
	}{{"bare", "", 0, true}, {"no-limits", "", 0, false}, {"cgroup", testGroup, 0, false}, {"cgroup-spare", testGroup, 1, false}} {
		b.Run(tc.name, func(b *testing.B) {
			l, err := shim.NewLauncher(shim.Config{Command: []string{os.Args[0], "shim"}, CgroupParent: tc.parent, Spares: tc.spares})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			root := b.TempDir()
			fifo := filepath.Join(root, "fifo")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				b.Fatal(err)
			}
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				if tc.spares > 0 {
					<-time.After(250 * time.Millisecond) // as long as it takes to have a spare
				}
				begin := time.Now()
				wait := startWriter(b, l, tc.bare, fmt.Sprintf("bench-%s-%d", tc.name, i), fifo)
				readByte(b, fifo)
				took = append(took, time.Since(begin))
				if err := wait(); err != nil {
					b.Fatal(err)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[0].Microseconds())/1000, "ms-min")
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
		})
	}
}

// startWriter starts a command that writes to a FIFO, as an allocation or by bare fork and
// exec, and returns how to wait for it.
func startWriter(b *testing.B, l *shim.Launcher, bare bool, id, fifo string) (wait func() error) {
	argv := []string{"/bin/sh", "-c", "echo >" + fifo}
	if bare {
		cmd := exec.Command(argv[0], argv[1:]...)
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		return cmd.Wait
	}
	h, err := l.Launch(b.Context(), driver.AllocSpec{ID: id, Dir: filepath.Join(filepath.Dir(fifo), id), Argv: argv})
	if err != nil {
		b.Fatal(err)
	}
	return func() error { _, err := h.Wait(b.Context()); return err }
}

// readByte blocks until the other side has opened the FIFO and written.
func readByte(b *testing.B, fifo string) {
	f, err := os.Open(fifo)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Read(make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
}
