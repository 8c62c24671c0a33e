package steps

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	pb "caravan/api/caravanv1"
)

// SocketName is the socket's name in the directory that is handed to Open.
const SocketName = "steps.sock"

// maxSessions bounds the tasks of all steps of one script.
const maxSessions = 8192

// Config describes a host of doors.
type Config struct {
	// Self is where this node's own agent answers.
	Self string
	// Dial connects to an agent; connections are kept. It must be safe for concurrent use.
	Dial   func(address string) (*grpc.ClientConn, error)
	Logger hclog.Logger
}

// Host keeps the doors of a node's allocations.
type Host struct {
	cfg Config

	mu    sync.Mutex // guards what follows
	doors map[string]*door
	conns map[string]*grpc.ClientConn
}

// New returns a host without doors.
func New(cfg Config) (*Host, error) {
	if cfg.Self == "" || cfg.Dial == nil || cfg.Logger == nil {
		return nil, errors.New("steps: Self, Dial and Logger must be set")
	}
	return &Host{cfg: cfg, doors: make(map[string]*door), conns: make(map[string]*grpc.ClientConn)}, nil
}

// Open makes an allocation's door in a directory that belongs to its task; one that is left of
// an earlier agent is replaced. Opening it again does nothing.
func (h *Host) Open(as *pb.Assignment, dir string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := as.GetAllocation().GetId()
	if h.doors[id] != nil {
		return nil
	}
	l, err := listen(dir)
	if err != nil {
		return fmt.Errorf("open the door for steps: %w", err)
	}
	d := &door{host: h, assignment: as, server: grpc.NewServer(grpc.MaxConcurrentStreams(maxSessions)), sessions: make(map[*session]struct{})}
	pb.RegisterTaskServiceServer(d.server, d)
	h.doors[id] = d
	go func() { _ = d.server.Serve(l) }() // ends with Close; it cannot fail before
	return nil
}

// Close ends an allocation's steps and its door, if it has one.
func (h *Host) Close(id string) {
	h.mu.Lock()
	d := h.doors[id]
	delete(h.doors, id)
	h.mu.Unlock()
	if d != nil {
		d.server.Stop()
	}
}

// Shut closes all doors and connections; scripts run on.
func (h *Host) Shut() {
	h.mu.Lock()
	doors, conns := h.doors, h.conns
	h.doors, h.conns = make(map[string]*door), make(map[string]*grpc.ClientConn)
	h.mu.Unlock()
	for _, d := range doors {
		d.server.Stop()
	}
	for _, c := range conns {
		_ = c.Close() // nothing is left that could use it
	}
}

// Signal sends every running step of an allocation a signal and returns how many tasks that
// reached.
func (h *Host) Signal(id string, sig syscall.Signal) int {
	h.mu.Lock()
	d := h.doors[id]
	h.mu.Unlock()
	if d == nil {
		return 0
	}
	return d.signal(sig)
}

func (h *Host) conn(address string) (*grpc.ClientConn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.conns[address]; c != nil {
		return c, nil
	}
	c, err := h.cfg.Dial(address)
	if err == nil {
		h.conns[address] = c
	}
	return c, err
}

// listen binds the socket. The directory is the task's, so nothing in it is trusted: names are
// resolved below it alone. The path may be longer than a socket's name can be (unix(7)), hence
// the way through a descriptor.
func listen(dir string) (net.Listener, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := root.Remove(SocketName); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	at, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer at.Close()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: ViaDescriptor(at, SocketName)})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // by then the descriptor may be another file's
	// The directory is closed to others; within it the task's user must get in.
	if err := root.Chmod(SocketName, 0o666); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// ViaDescriptor names a file by its open directory, which makes the shortest path there is.
func ViaDescriptor(dir *os.File, name string) string {
	return filepath.Join(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()), name)
}
