package shim

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"caravan/agent/driver"
	"caravan/agent/logs"
)

const (
	// pipeBytes is asked of the kernel, so that a chatty task wakes us seldom.
	pipeBytes = 1 << 20
	// drainLimit bounds the wait for the end of a pipe once no process of the task is left. It
	// only matters if a process escaped (no control group) and keeps the pipe open.
	drainLimit = 5 * time.Second
)

// capture copies one of the task's streams into its log until every writer has closed it.
type capture struct {
	writer *logs.Writer
	read   *os.File
	// write is the task's end. It is kept open for the verify command.
	write *os.File
	// copy takes what is read too; nil for no copy. It is set before the task begins.
	copy  *os.File
	done  chan struct{}
	bytes int64 // read so far; valid after done
	// last is when something was read last, in nanoseconds since the Unix epoch.
	last atomic.Int64
	err  error // why bytes were not stored; valid after done
}

// newCapture begins a stream's log and makes the pipe into it.
func newCapture(dir, stream string, policy driver.LogPolicy) (*capture, error) {
	cfg := logs.Config{
		Dir: filepath.Join(dir, LogDir), Stream: stream, SegmentBytes: policy.SegmentBytes, Keep: policy.Segments,
	}
	if cfg.SegmentBytes == 0 {
		cfg.SegmentBytes = driver.DefaultSegment
	}
	if cfg.Keep == 0 {
		cfg.Keep = driver.DefaultSegments
	}
	w, err := logs.NewWriter(cfg)
	if err != nil {
		return nil, err
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	// Best effort: an unprivileged user may be over its pipe quota, and 64 KiB work as well.
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeBytes)
	// Only our end is non-blocking; the task expects an ordinary pipe.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, errors.Join(err, w.Close(), unix.Close(fds[0]), unix.Close(fds[1]))
	}
	c := &capture{
		writer: w, done: make(chan struct{}),
		read: os.NewFile(uintptr(fds[0]), stream), write: os.NewFile(uintptr(fds[1]), stream),
	}
	go c.run()
	return c, nil
}

// run never stops reading because of a full disk: a task must not hang on its log.
func (c *capture) run() {
	defer close(c.done)
	buf := make([]byte, 256<<10)
	for {
		n, err := c.read.Read(buf)
		c.bytes += int64(n)
		if n > 0 {
			c.last.Store(time.Now().UnixNano())
		}
		if _, werr := c.writer.Write(buf[:n]); werr != nil && c.err == nil {
			c.err = werr
		}
		c.store(buf[:n])
		if err != nil {
			return
		}
	}
}

// store adds to the copy.
func (c *capture) store(p []byte) {
	if c.copy == nil || len(p) == 0 {
		return
	}
	if _, err := c.copy.Write(p); err != nil && c.err == nil {
		c.err = err
	}
}

// finish waits for the end of the stream and closes its log. No process of the task is left.
func (c *capture) finish() (bytes int64, err error) {
	closeErr := c.write.Close()
	_ = c.read.SetReadDeadline(time.Now().Add(drainLimit))
	<-c.done
	if c.copy != nil {
		closeErr = errors.Join(closeErr, c.copy.Close())
	}
	return c.bytes, errors.Join(c.err, closeErr, c.read.Close(), c.writer.Close())
}
