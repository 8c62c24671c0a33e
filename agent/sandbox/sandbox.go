package sandbox

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Config says what a task sees. All paths are absolute and clean.
type Config struct {
	// ReadOnly keeps the task from writing to the host's files, but for Share and Keep.
	ReadOnly bool
	// Tmp is the directory behind /tmp and /var/tmp; "" keeps the host's.
	Tmp string
	// Share are directories that the task finds as the host has them, with Hide below them.
	Share []string
	// Hide are directories that the task finds empty, but for Keep.
	Hide []string
	// Keep are directories that the task finds in their place. These and Share it may write to,
	// as far as their permissions let it. No link is followed to get there.
	Keep []string
	// Binds are what the task finds of the host elsewhere, or only to read. They cover whatever else
	// would be there.
	Binds []Bind
	// OwnDevices gives the task a /dev with the standard devices and Devices alone.
	OwnDevices bool
	Devices    []Device
	// Root is what the task has instead of the host's files; nil for those. Nothing is hidden then,
	// Tmp and OwnDevices must be set, and ReadOnly keeps the task from writing to Root, and to its
	// binds.
	Root *Root
	// Place is called with the PID of the first process, for example to move it to a control
	// group; nil does nothing.
	Place func(pid int) error
}

// Device is a device node in the task's /dev.
type Device struct {
	Path         string // below /dev
	Block        bool
	Major, Minor uint32
	Write        bool
}

// Bind brings a file or directory of the host to a place in the sandbox. What is in that place is
// covered, and must be there: a sandbox makes nothing in the host's directories. It may be missing
// where the task has a directory of its own, as below /tmp.
type Bind struct {
	From, To string
	ReadOnly bool
}

func (c Config) validate() error {
	paths := slices.Concat(c.Share, c.Hide, c.Keep)
	for _, b := range c.Binds {
		paths = append(paths, b.From, b.To)
		for _, kernel := range []string{"/dev", "/proc", "/sys"} {
			if b.To == kernel || below(b.To, kernel) {
				return fmt.Errorf("sandbox: nothing can be put at %s, %s is the kernel's", b.To, kernel)
			}
		}
	}
	if c.Tmp != "" {
		paths = append(paths, c.Tmp)
	}
	if c.Root != nil {
		if c.Tmp == "" || !c.OwnDevices {
			return errors.New("sandbox: a root of its own needs a /tmp and devices of its own")
		}
		if err := c.Root.validate(); err != nil {
			return err
		}
	}
	return cleanPaths(paths)
}

func cleanPaths(paths []string) error {
	for _, p := range paths {
		if !filepath.IsAbs(p) || filepath.Clean(p) != p || p == "/" {
			return fmt.Errorf("sandbox: path %q must be absolute, clean and not the root", p)
		}
	}
	return nil
}

// Sandbox is a set of namespaces that is held open. It is safe for concurrent use.
type Sandbox struct {
	pid   int
	close chan struct{}
	gone  chan struct{}
}

// New makes a sandbox. It needs root.
func New(cfg Config) (*Sandbox, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Sandbox{close: make(chan struct{}), gone: make(chan struct{})}
	made := make(chan error, 1)
	go func() {
		defer close(s.gone)
		// Never unlocked: the thread is the tracer, and its end is the sandbox's.
		runtime.LockOSThread()
		err := s.make(cfg)
		made <- err
		if err == nil {
			<-s.close
		}
		s.end()
	}()
	if err := <-made; err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	return s, nil
}

// PID is the first process, by which the sandbox is entered.
func (s *Sandbox) PID() int { return s.pid }

// Close begins to kill everything inside. It may be called once.
func (s *Sandbox) Close() { close(s.close) }

// Gone is closed when nothing is left inside. A process that survives SIGKILL, because a
// system call of its does not return, holds that up.
func (s *Sandbox) Gone() <-chan struct{} { return s.gone }

// make runs on the tracing thread.
func (s *Sandbox) make(cfg Config) error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("make namespaces: %w (this needs root)", err)
	}
	if err := arrange(cfg); err != nil {
		return err
	}
	f, err := newFirst()
	if err != nil {
		return err
	}
	if s.pid, err = f.start(); err != nil {
		return err
	}
	if err := unix.PtraceSetOptions(s.pid, unix.PTRACE_O_EXITKILL); err != nil {
		return fmt.Errorf("tie the first process to this one: %w", err)
	}
	if err := protectProc(); err != nil {
		return err
	}
	if cfg.Place == nil {
		return nil
	}
	// Elsewhere: control groups are files of the host, which this thread may not see any more.
	placed := make(chan error, 1)
	go func() { placed <- cfg.Place(s.pid) }()
	return <-placed
}

// end kills the first process and with it all others, and collects it, unless that has
// happened already.
func (s *Sandbox) end() {
	if s.pid == 0 {
		return
	}
	_ = syscall.Kill(s.pid, syscall.SIGKILL)
	var ws syscall.WaitStatus
	for {
		if _, err := wait4(s.pid, &ws, 0); err != nil || !ws.Stopped() {
			return
		}
	}
}

func wait4(pid int, ws *syscall.WaitStatus, options int) (int, error) {
	for {
		got, err := syscall.Wait4(pid, ws, options, nil)
		if !errors.Is(err, syscall.EINTR) {
			return got, err
		}
	}
}

// Enter moves the calling thread, and the processes that it starts, into the sandbox whose
// first process is pid. The thread must be locked to its goroutine for good.
func Enter(pid int) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("enter the sandbox: %w", err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("enter the sandbox of process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNS|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS|unix.CLONE_NEWPID); err != nil {
		return fmt.Errorf("enter the sandbox of process %d: %w (this needs root and Linux 5.8)", pid, err)
	}
	return nil
}

// Available reports why sandboxes cannot be made here, nil if they can.
func Available(cfg Config) error {
	s, err := New(cfg)
	if err == nil {
		s.Close()
		<-s.Gone()
	}
	return err
}
