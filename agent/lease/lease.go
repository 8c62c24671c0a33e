// Package lease is how the agent passes its node's lease on to the shims, so that a task is
// fenced also when its agent is dead, stopped or cut off; see C. Gray and D. Cheriton,
// "Leases" (SOSP 1989).
//
// The lease is a moment on a clock that runs during suspend, kept in a file of fixed size: the
// agent overwrites it with each renewal, which needs no room on the disk, and each shim reads
// it. Nobody has to be alive for a lease to end.
//
// Invariants:
//
//   - the file never says more than the servers granted, counted from when the agent asked;
//   - a reader sees a whole record or an error, never half of one;
//   - Await returns only when the lease has ended by its own clock.
package lease

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Clock reads a time that only grows. Leases are counted on it.
type Clock interface {
	// Now is the time since some fixed moment.
	Now() time.Duration
}

// BootClock counts since boot and, unlike package time, also while the host is suspended
// (CLOCK_BOOTTIME, clock_gettime(2)): a suspended host must not wake up with a valid lease.
type BootClock struct{}

// Now returns the time since boot.
func (BootClock) Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		// The clock exists since Linux 2.6.39; without it no lease can be judged.
		panic("clock_gettime(CLOCK_BOOTTIME): " + err.Error())
	}
	return time.Duration(ts.Nano())
}

// Term is what a node has been granted.
type Term struct {
	// Until is when the lease ends.
	Until time.Duration
	// Grace is how long what must not run twice may take to end after that.
	Grace time.Duration
}

// size of the file, in bytes: the two times, the boot that they are of, and their check.
const size = 32

// salt makes a file of zeros no record.
const salt = 0x6361_7261_7661_6e31

func (t Term) encode(boot uint64) []byte {
	b := make([]byte, 0, size)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Until))
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Grace))
	b = binary.LittleEndian.AppendUint64(b, boot)
	return binary.LittleEndian.AppendUint64(b, t.check(boot))
}

func (t Term) check(boot uint64) uint64 { return uint64(t.Until)*31 ^ uint64(t.Grace) ^ boot ^ salt }

// thisBoot tells this boot of the kernel, whose clock began at 0, from others; see random(4).
func thisBoot() (uint64, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return 0, fmt.Errorf("boot id: %w", err)
	}
	h := fnv.New64a()
	h.Write(raw)
	return h.Sum64(), nil
}

// Writer keeps the file up to date. It is not safe for concurrent use.
type Writer struct {
	file *os.File
	boot uint64
	last Term
}

// NewWriter opens the file, or makes it. What it says stays true: tasks of an earlier agent
// live by it.
func NewWriter(path string) (*Writer, error) {
	boot, err := thisBoot()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lease file: %w", err)
	}
	w := &Writer{file: f, boot: boot}
	if t, err := Read(path); err == nil {
		w.last = t
	}
	return w, nil
}

// Renew notes a grant. One that ends earlier than an earlier one changes nothing.
func (w *Writer) Renew(t Term) error {
	if t.Until <= w.last.Until {
		return nil
	}
	if _, err := w.file.WriteAt(t.encode(w.boot), 0); err != nil {
		return fmt.Errorf("lease file: %w", err)
	}
	w.last = t
	return nil
}

// Close closes the file.
func (w *Writer) Close() error { return w.file.Close() }

// readTries bounds how often a record is read that is being overwritten.
const readTries = 10

// Read returns what the file says of this boot.
func Read(path string) (Term, error) {
	boot, err := thisBoot()
	if err != nil {
		return Term{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return Term{}, fmt.Errorf("lease file: %w", err)
	}
	defer f.Close()
	b := make([]byte, size)
	for range readTries {
		if _, err := f.ReadAt(b, 0); err != nil {
			return Term{}, fmt.Errorf("lease file %s: %w", path, err)
		}
		t := Term{Until: time.Duration(binary.LittleEndian.Uint64(b)), Grace: time.Duration(binary.LittleEndian.Uint64(b[8:]))}
		if binary.LittleEndian.Uint64(b[24:]) == t.check(boot) {
			return t, nil
		}
	}
	return Term{}, fmt.Errorf("lease file %s: %w", path, errors.New("it holds no lease of this boot"))
}

// lookEvery is the longest pause between two looks at the clock and the file. Timers may run
// on a clock that stops during suspend, so one that waits for the whole lease would come late
// by as long as the host slept.
const lookEvery = 500 * time.Millisecond

// Await blocks until the lease that read tells of has ended, and returns the last term. It
// returns false when stop is closed before. What cannot be read is not renewed.
func Await(stop <-chan struct{}, clock Clock, read func() (Term, error)) (last Term, ended bool) {
	for {
		if t, err := read(); err == nil {
			last = t
		}
		left := last.Until - clock.Now()
		if left <= 0 {
			return last, true
		}
		timer := time.NewTimer(min(left, lookEvery))
		select {
		case <-stop:
			timer.Stop()
			return last, false
		case <-timer.C:
		}
	}
}
