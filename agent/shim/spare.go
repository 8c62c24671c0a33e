package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"caravan/agent/cgroup"
)

// SpareDir is the directory argument that makes a shim a spare: it starts, moves to its
// control group, and then waits for a directory on descriptor 3. Starting a large Go program
// costs many page faults; a spare pays for them before anybody waits.
const SpareDir = "-"

// maxSpares bounds idle shims; each holds about 10 MiB.
const maxSpares = 16

// assignment is what a spare receives: first its control group, if it gets one, then, with the
// descriptors of the lock and of the log, its directory. One packet each, never an empty one.
type assignment struct {
	CgroupParent string `json:"cgroup_parent,omitempty"`
	Dir          string `json:"dir,omitempty"`
}

// spare is an idle shim. It ends by itself when the launcher's end of the socket is closed,
// also by the launcher's death.
type spare struct {
	conn *net.UnixConn
	cmd  *exec.Cmd
}

// pool keeps spares ready. The zero value keeps none.
type pool struct {
	launcher *Launcher
	want     int

	mu      sync.Mutex // guards what follows
	idle    []*spare
	filling bool
	closed  bool
	done    sync.WaitGroup
}

// take returns a spare, or nil when none is ready.
func (p *pool) take() *spare {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	s := p.idle[0]
	p.idle = p.idle[1:]
	return s
}

// refillDelay keeps the start of the next spare out of the way of the task that took the last.
const refillDelay = 100 * time.Millisecond

// refill starts what is missing, one after the other, in the background.
func (p *pool) refill(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.filling || p.closed || len(p.idle) >= p.want {
		return
	}
	p.filling = true
	p.done.Go(func() {
		<-time.After(delay)
		for p.addOne() {
		}
	})
}

// addOne starts one spare and reports whether to go on.
func (p *pool) addOne() bool {
	s, err := p.launcher.startSpare()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.launcher.cfg.Logger.Warn("cannot start a spare shim; tasks start slower", "error", err)
	} else {
		p.idle = append(p.idle, s)
	}
	if err == nil && !p.closed && len(p.idle) < p.want {
		return true
	}
	p.filling = false
	return false
}

// close ends all spares and waits for them.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.done.Wait()
	for s := p.take(); s != nil; s = p.take() {
		s.conn.Close()
		p.launcher.reap(SpareDir, s.cmd)
	}
}

// startSpare starts one idle shim.
func (l *Launcher) startSpare() (*spare, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "spare"), os.NewFile(uintptr(fds[1]), "spare")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err := errors.Join(err, ours.Close()); err != nil {
		return nil, err
	}
	s := &spare{conn: conn.(*net.UnixConn), cmd: l.command(SpareDir, theirs, nil)}
	// An empty packet would read as the end.
	if parent := l.cfg.CgroupParent; parent != "" {
		if err := s.send(assignment{CgroupParent: parent}); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

// acceptTimeout bounds how long a spare may take to accept its directory. It may have to load
// first.
const acceptTimeout = 10 * time.Second

// assign gives a spare its directory, with the lock and the log. After that it is a shim like
// any other and does not notice our death. A spare accepts before it begins, so an error means
// that it never began and never will: another shim may.
func (s *spare) assign(dir string, lock, log *os.File) error {
	defer s.conn.Close()
	err := s.send(assignment{Dir: dir}, int(lock.Fd()), int(log.Fd()))
	if err == nil {
		err = s.accepted(acceptTimeout)
	}
	if err == nil {
		return nil
	}
	_ = s.cmd.Process.Kill() // it may have ended already
	_ = s.cmd.Wait()
	if s.accepted(time.Second) == nil {
		return nil // it began after all; that it was killed is for the next waiter to find
	}
	return err
}

// accepted waits for the spare's word.
func (s *spare) accepted(timeout time.Duration) error {
	if err := s.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	n, err := s.conn.Read(make([]byte, 1))
	if err == nil && n == 0 {
		err = io.EOF
	}
	return err
}

func (s *spare) send(a assignment, fds ...int) error {
	raw, err := json.Marshal(a)
	if err != nil {
		return err
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	_, _, err = s.conn.WriteMsgUnix(raw, rights, nil)
	return err
}

// awaitAssignment is the life of a spare until it gets its directory; "" means that there is
// nothing to do because the launcher has gone. On return the lock is descriptor 3, as for a
// shim that was started for its directory.
func awaitAssignment() (dir string, err error) {
	for {
		a, fds, err := receive(lockFD)
		if err != nil || a == (assignment{}) {
			return "", err
		}
		if a.CgroupParent != "" {
			group := specFile{CgroupParent: a.CgroupParent}.shimGroup()
			// Again in vain or in earnest once there is a directory to report to.
			_ = cgroup.Join(group, os.Getpid())
		}
		if a.Dir == "" {
			continue
		}
		if len(fds) != 2 {
			return "", fmt.Errorf("assignment of %s came with %d descriptors, want the lock and the log", a.Dir, len(fds))
		}
		// Nobody may be left to read it: then the allocation is ours alone all the same.
		_, _ = unix.SendmsgN(lockFD, []byte{1}, nil, nil, unix.MSG_NOSIGNAL)
		lock, log := fds[0], fds[1]
		return a.Dir, errors.Join(move(lock, lockFD), unix.Dup3(log, 1, 0), move(log, 2))
	}
}

// move renumbers a descriptor.
func move(from, to int) error { return errors.Join(unix.Dup3(from, to, 0), unix.Close(from)) }

// receive returns the next packet, or the zero assignment at the end.
func receive(fd int) (assignment, []int, error) {
	buf, rights := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(2*4))
	n, rn, _, _, err := unix.Recvmsg(fd, buf, rights, unix.MSG_CMSG_CLOEXEC)
	for errors.Is(err, syscall.EINTR) {
		n, rn, _, _, err = unix.Recvmsg(fd, buf, rights, unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil || n == 0 {
		return assignment{}, nil, err
	}
	var a assignment
	if err := json.Unmarshal(buf[:n], &a); err != nil {
		return a, nil, fmt.Errorf("assignment: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rn])
	if err != nil || len(messages) == 0 {
		return a, nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	return a, fds, err
}
