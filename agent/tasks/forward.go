package tasks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// dialTimeout bounds connecting to a port of the same host.
const dialTimeout = 5 * time.Second

// forward connects the caller to a port of a running task. Tasks are in the host's network, so
// this is a port of the host's loopback, which the task could reach as well.
func (s *Server) forward(stream grpc.BidiStreamingServer[pb.ExecRequest, pb.ExecResponse], start *pb.ExecStart) error {
	if start.Port < 0 || start.Port > math.MaxUint16 {
		return invalid("port", fmt.Sprintf("there is no port %d", start.Port), "give 1 to 65535")
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(start.Port)))
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(stream.Context(), "tcp", address)
	if err != nil {
		return wire.ErrorToStatus(model.Conflict(start.AllocationId, err.Error(), "does the task listen on the port, on 127.0.0.1 or all addresses?"))
	}
	s.cfg.Logger.Info("connection to a task", "allocation", start.AllocationId, "port", start.Port)
	c := &connection{TCPConn: conn.(*net.TCPConn), over: make(chan struct{})}
	e := &execution{session: c, stream: stream}
	return wire.ErrorToStatus(e.run(stream.Context()))
}

// connection is a connection to a task in the shape of a command beside it.
type connection struct {
	*net.TCPConn
	once sync.Once
	over chan struct{} // closed when the task has sent all it will
}

var _ driver.Session = (*connection)(nil)

func (c *connection) Stdin() io.WriteCloser { return half{c.TCPConn} }
func (c *connection) Stdout() io.Reader     { return c }
func (c *connection) Stderr() io.Reader     { return nothing{} }

// Read notices the end.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if err != nil {
		c.once.Do(func() { close(c.over) })
	}
	return n, err
}

// Wait blocks until the task has closed the connection.
func (c *connection) Wait(ctx context.Context) (int, error) {
	select {
	case <-c.over:
		return 0, nil
	case <-ctx.Done():
		return 0, errors.Join(ctx.Err(), c.TCPConn.Close())
	}
}

// Close ends the connection; it may have ended.
func (c *connection) Close() error {
	if err := c.TCPConn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Resize and Signal have no meaning for a connection.
func (c *connection) Resize(driver.TerminalSize) error { return driver.ErrUnsupported }
func (c *connection) Signal(syscall.Signal) error      { return driver.ErrUnsupported }

// half is the direction towards the task; closing it leaves the other open.
type half struct{ conn *net.TCPConn }

func (h half) Write(p []byte) (int, error) { return h.conn.Write(p) }
func (h half) Close() error                { return h.conn.CloseWrite() }

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }
