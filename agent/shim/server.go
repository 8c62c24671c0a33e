package shim

import (
	"bufio"
	"encoding/json"
	"net"
	"sync"
	"syscall"
	"time"

	"caravan/agent/driver"
	"caravan/agent/shim/spawn"
)

// maxClients bounds the connections served at once; more wait in the kernel's queue.
const maxClients = 16

// clientIdle closes a connection that sends nothing.
const clientIdle = 30 * time.Second

// control is what the socket's clients see of the shim. It is safe for concurrent use.
type control struct {
	dir string
	// endings carries requests to end the task to supervise.
	endings chan ending
	// over is closed when nothing can end the task any more, because it has ended.
	over chan struct{}

	mu     sync.Mutex // guards what follows
	status driver.Status
	proc   *spawn.Process
}

// update changes the status and publishes it.
func (c *control) update(change func(*driver.Status)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.status)
	return writeStatus(c.dir, c.status)
}

// snapshot returns the status as last published.
func (c *control) snapshot() driver.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// setProcess says which process signals go to; nil for none.
func (c *control) setProcess(p *spawn.Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proc = p
}

// serve answers clients until the listener is closed.
func (c *control) serve(l *net.UnixListener) {
	slots := make(chan struct{}, maxClients)
	for {
		slots <- struct{}{}
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { <-slots }()
			defer conn.Close()
			c.converse(conn)
		}()
	}
}

func (c *control) converse(conn net.Conn) {
	in, out := bufio.NewReaderSize(conn, maxMessage), json.NewEncoder(conn)
	for {
		_ = conn.SetDeadline(time.Now().Add(clientIdle))
		var req request
		if err := readLine(in, &req); err != nil {
			return
		}
		if err := out.Encode(c.answer(req)); err != nil {
			return
		}
	}
}

func (c *control) answer(req request) response {
	switch req.Op {
	case opStop:
		return c.stop(req)
	case opSignal:
		return c.signal(syscall.Signal(req.Signal))
	case opStatus:
		s := c.snapshot()
		return response{OK: true, Status: &s}
	}
	return response{Error: "unknown operation " + req.Op + " (is the agent newer than this shim?)"}
}

// stop hands the request to supervise and returns when it is accepted, or when it is moot.
func (c *control) stop(req request) response {
	sig := syscall.Signal(req.Signal)
	if sig == 0 {
		sig = syscall.SIGTERM
	}
	e := ending{
		reason: driver.ReasonStopped, detail: "stopped on request", signal: sig,
		grace: time.Duration(max(req.GraceMs, 0)) * time.Millisecond,
	}
	select {
	case c.endings <- e:
	case <-c.over:
	}
	return response{OK: true}
}

func (c *control) signal(sig syscall.Signal) response {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc == nil {
		return response{NotRunning: true}
	}
	if err := c.proc.Signal(sig); err != nil {
		return response{NotRunning: true, Error: err.Error()}
	}
	return response{OK: true}
}
