package shim_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
			argv := []string{"/bin/sh", "-c", "echo >" + fifo}
			var total time.Duration
			for i := 0; b.Loop(); i++ {
				if tc.spares > 0 {
					<-time.After(250 * time.Millisecond) // as long as it takes to have a spare
				}
				begin := time.Now()
				wait := func() error { return nil }
				if tc.bare {
					cmd := exec.Command(argv[0], argv[1:]...)
					if err := cmd.Start(); err != nil {
						b.Fatal(err)
					}
					wait = cmd.Wait
				} else {
					id := fmt.Sprintf("bench-%s-%d", tc.name, i)
					h, err := l.Launch(b.Context(), driver.AllocSpec{ID: id, Dir: filepath.Join(root, id), Argv: argv})
					if err != nil {
						b.Fatal(err)
					}
					wait = func() error { _, err := h.Wait(b.Context()); return err }
				}
				// Opening blocks until the command opens the other end.
				f, err := os.Open(fifo)
				if err != nil {
					b.Fatal(err)
				}
				total += time.Since(begin)
				if _, err := f.Read(make([]byte, 1)); err != nil {
					b.Fatal(err)
				}
				f.Close()
				if err := wait(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(total.Microseconds())/float64(b.N)/1000, "ms/first-instruction")
		})
	}
}
