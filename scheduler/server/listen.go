package server

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"sync"
	"time"
)

// preface is how an HTTP/2 connection without TLS begins (RFC 9113, section
// 3.4). gRPC clients send it; browsers and curl speak HTTP/1.1 here.
var preface = []byte("PRI ")

// sniffTimeout bounds how long a new connection may stay silent before it is
// dropped, so that idle connections cannot pile up.
const sniffTimeout = 10 * time.Second

// splitter hands the connections of one listener to two servers by their first
// bytes.
type splitter struct {
	net.Listener
	grpc, http *half
	done       chan struct{}
	once       sync.Once
}

// half is one of the two listeners that a splitter feeds.
type half struct {
	*splitter
	conns chan net.Conn
}

func newSplitter(l net.Listener) *splitter {
	s := &splitter{Listener: l, done: make(chan struct{})}
	s.grpc = &half{splitter: s, conns: make(chan net.Conn)}
	s.http = &half{splitter: s, conns: make(chan net.Conn)}
	return s
}

// run accepts until the listener is closed.
func (s *splitter) run() error {
	for {
		c, err := s.Listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		go s.sort(c) // ends with the first bytes, the deadline or Close
	}
}

func (s *splitter) sort(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(sniffTimeout))
	r := bufio.NewReaderSize(c, 4096)
	first, err := r.Peek(len(preface))
	if err != nil {
		_ = c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	to := s.http
	if bytes.Equal(first, preface) {
		to = s.grpc
	}
	select {
	case to.conns <- &peeked{Conn: c, r: r}:
	case <-s.done:
		_ = c.Close()
	}
}

// Close stops both halves.
func (s *splitter) Close() error {
	s.once.Do(func() { close(s.done) })
	return s.Listener.Close()
}

// Accept returns the next connection of this half.
func (h *half) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// peeked is a connection whose first bytes were read already.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }
