package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// openLock opens the lock file of an allocation without locking it.
func openLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("shim lock: %w", err)
	}
	return f, nil
}

// tryLock takes the lock; false means that somebody else holds it: a living shim, or for a
// moment a process that finishes what a dead one left.
func tryLock(f *os.File) (bool, error) {
	err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// waitLock blocks until the lock is free and takes it. It blocks the calling thread and
// cannot be interrupted.
func waitLock(f *os.File) error { return flock(f, syscall.LOCK_EX) }

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
				return fmt.Errorf("shim lock %s: %w", f.Name(), err)
			}
			return err
		}
	}
}

// locked reports whether a shim lives in the directory.
func locked(dir string) (bool, error) {
	f, err := openLock(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	got, err := tryLock(f)
	return !got, err
}
