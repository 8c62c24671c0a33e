package packing

import (
	"time"

	"golang.org/x/sys/unix"
)

// ThreadCPUTime returns the CPU time that the calling thread has used, 0 when the kernel does not
// say. The caller locks its goroutine to its thread for as long as it compares readings.
func ThreadCPUTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
