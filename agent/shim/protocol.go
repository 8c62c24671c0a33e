package shim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"caravan/agent/driver"
)

// Operations of the shim's socket.
const (
	opStop   = "stop"
	opSignal = "signal"
	opStatus = "status"
)

// maxMessage bounds a line of the protocol.
const maxMessage = 64 << 10

// request is one line from a client.
type request struct {
	Op      string `json:"op"`
	Signal  int    `json:"signal,omitempty"`
	GraceMs int64  `json:"grace_ms,omitempty"`
}

// response is the answer, one line.
type response struct {
	OK         bool           `json:"ok"`
	NotRunning bool           `json:"not_running,omitempty"`
	Error      string         `json:"error,omitempty"`
	Status     *driver.Status `json:"status,omitempty"`
}

// errEnded means that no shim lives in the directory any more.
var errEnded = errors.New("the allocation has ended")

// call sends a request to the shim of a directory and returns its answer. While the shim is
// still starting it waits; when there is none, or it dies over the request, the error is
// errEnded.
func call(ctx context.Context, dir string, req request) (response, error) {
	for wait := time.Millisecond; ; wait = min(wait*2, 20*time.Millisecond) {
		resp, err := exchange(ctx, dir, req)
		if err == nil {
			return resp, resp.err(req)
		}
		alive, lockErr := locked(dir)
		if lockErr != nil {
			return response{}, lockErr
		}
		if !alive {
			return response{}, errEnded
		}
		select {
		case <-ctx.Done():
			return response{}, fmt.Errorf("shim in %s does not answer (see %s there): %w: %w", dir, shimLog, ctx.Err(), err)
		case <-time.After(wait):
		}
	}
}

// err is the shim's refusal, nil if it agreed.
func (r response) err(req request) error {
	switch {
	case r.OK:
		return nil
	case r.NotRunning:
		return fmt.Errorf("%s: %w", req.Op, driver.ErrNotRunning)
	}
	return fmt.Errorf("%s: %s", req.Op, r.Error)
}

// exchange makes one try. Its errors are of the transport alone, and mean a shim that does
// not listen yet or that is dying, so the request may be sent again.
func exchange(ctx context.Context, dir string, req request) (response, error) {
	var resp response
	conn, err := dial(ctx, dir)
	if err != nil {
		return resp, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return resp, err
	}
	return resp, readLine(bufio.NewReaderSize(conn, maxMessage), &resp)
}

// readLine reads one JSON line of at most the reader's buffer.
func readLine(r *bufio.Reader, v any) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

// dial connects to shim.sock in a directory of any length.
func dial(ctx context.Context, dir string) (net.Conn, error) {
	var conn net.Conn
	err := withSocketPath(dir, func(path string) (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, "unix", path)
		return err
	})
	return conn, err
}

// listen makes shim.sock.
func listen(dir string) (*net.UnixListener, error) {
	var l *net.UnixListener
	err := withSocketPath(dir, func(path string) (err error) {
		if l, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}); err != nil {
			return err
		}
		l.SetUnlinkOnClose(false) // the path is only good here
		return os.Chmod(path, 0o600)
	})
	return l, err
}

// withSocketPath calls f with a short path to the directory's socket: the kernel takes at
// most 108 bytes (unix(7)), so the path leads through a descriptor of the directory.
func withSocketPath(dir string, f func(path string) error) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(fd)
	return f("/proc/self/fd/" + strconv.Itoa(fd) + "/" + socketName)
}
