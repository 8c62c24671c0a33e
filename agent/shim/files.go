package shim

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"caravan/agent/driver"
	"caravan/agent/sandbox"
	"caravan/agent/shim/spawn"
)

// A task may have its input from a file and its output copied to files. They are the user's:
// opened with the user's rights, and where the task itself would find them.

// openFiles opens the files of the spec. What cannot be opened is the job's fault.
func (s *shim) openFiles() error {
	f := s.spec.Files
	if f == nil {
		return nil
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if !f.Append {
		flags |= os.O_TRUNC
	}
	var err error
	open := func(name string, flags int) *os.File {
		if name == "" || err != nil {
			return nil
		}
		var file *os.File
		if file, err = s.openAsTask(name, flags); err != nil {
			err = &spawn.LaunchError{Code: 126, Err: err}
		}
		return file
	}
	s.stdin = open(f.Stdin, os.O_RDONLY)
	s.stdout.copy = open(f.Stdout, flags)
	if !s.merged() {
		s.stderr.copy = open(f.Stderr, flags)
	}
	return err
}

// merged reports whether stderr goes where stdout goes, through the same pipe, so that the
// order of lines is kept.
func (s *shim) merged() bool {
	f := s.spec.Files
	return f != nil && f.Stdout != "" && (f.Stderr == "" || f.Stderr == f.Stdout)
}

// openAsTask opens a file on a thread of its own, which for that takes on the user and the
// sandbox of the task, and then ends.
func (s *shim) openAsTask(name string, flags int) (file *os.File, err error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(s.spec.workDir(), name)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread is fit for nothing else
		if err = s.becomeTask(); err == nil {
			file, err = os.OpenFile(name, flags, 0o666)
		}
	}()
	<-done
	if err != nil {
		return nil, fmt.Errorf("file of the task: %w (it is opened as the task's user %d, where the task would find it)", err, s.spec.uid())
	}
	return file, nil
}

// becomeTask gives the calling thread the task's sandbox, umask and rights on files.
func (s *shim) becomeTask() error {
	if s.sandbox != nil {
		if err := sandbox.Enter(s.sandbox.PID()); err != nil {
			return err
		}
	} else if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare(CLONE_FS): %w", err)
	}
	umask := driver.DefaultUmask
	if s.spec.Umask != nil {
		umask = *s.spec.Umask
	}
	syscall.Umask(umask)
	u := s.spec.User
	if u == nil {
		return nil
	}
	// Raw calls change this thread alone; the wrappers of package syscall change all.
	groups := append(u.Groups[:len(u.Groups):len(u.Groups)], u.GID)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0); errno != 0 { //nolint:gosec // the kernel reads so many
		return fmt.Errorf("take the user's groups: %w", errno)
	}
	syscall.RawSyscall(syscall.SYS_SETFSGID, uintptr(u.GID), 0, 0) // these two report nothing
	syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(u.UID), 0, 0) // and take the rights of root away
	return nil
}

// input is what the command reads.
func (s *shim) input() *os.File {
	if s.stdin != nil {
		return s.stdin
	}
	return s.null
}

// warn sends the command a signal before its time limit, if the spec says so.
func (s *shim) warn(p *spawn.Process) {
	w := s.spec.Warning
	if w == nil || s.spec.TimeLimitMs <= 0 {
		return
	}
	t := time.NewTimer(time.Duration(max(0, s.spec.TimeLimitMs-w.BeforeMs)) * time.Millisecond)
	defer t.Stop()
	select {
	case <-p.Done():
	case <-t.C:
		if err := p.Signal(syscall.Signal(w.Signal)); err != nil {
			s.log.Warn("cannot warn the command of its time limit", "error", err)
		}
	}
}
