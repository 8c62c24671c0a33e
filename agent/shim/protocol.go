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
// still starting it waits; when there is none it returns errEnded.
func call(ctx context.Context, dir string, req request) (response, error) {
	for wait := time.Millisecond; ; wait = min(wait*2, 20*time.Millisecond) {
		conn, err := dial(ctx, dir)
		if err == nil {
			return exchange(ctx, conn, req)
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

func exchange(ctx context.Context, conn net.Conn, req request) (response, error) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var resp response
	err := json.NewEncoder(conn).Encode(req)
	if err == nil {
		err = readLine(bufio.NewReaderSize(conn, maxMessage), &resp)
	}
	if err != nil {
		return resp, fmt.Errorf("ask the shim to %s: %w", req.Op, errors.Join(ctx.Err(), err))
	}
	switch {
	case resp.NotRunning:
		return resp, fmt.Errorf("%s: %w", req.Op, driver.ErrNotRunning)
	case !resp.OK:
		return resp, fmt.Errorf("%s: %s", req.Op, resp.Error)
	}
	return resp, nil
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
