package slurmcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The steps of a script share its processors by locks on bytes of files beside its door: byte
// K of the file of a node is its processor K. The kernel gives a lock back when its holder
// dies, however it does (fcntl(2), open file description locks), so that nobody has to keep
// books. Only steps that are started from one node see each other.

// ledgerPause is how often a step that waits looks again.
const ledgerPause = 50 * time.Millisecond

// ledger is what a step holds. Closing it gives all back.
type ledger struct{ files []*os.File }

func (l *ledger) close() {
	for _, f := range l.files {
		_ = f.Close() // the locks go with it whatever it says
	}
	l.files = nil
}

func lockByte(f *os.File, at int64) (bool, error) {
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

// enter takes a number for a step and, unless it shares, waits until its processors are free.
// Steps that wait do so one behind the other: the first holds the lock of the queue. said is
// called once when there is a wait.
func enter(ctx context.Context, dir string, p plan, cpus int, said func()) (l *ledger, id int, err error) {
	l = &ledger{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	queue, err := os.OpenFile(filepath.Join(dir, "steps.queue"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return l, 0, fmt.Errorf("the list of steps: %w", err)
	}
	defer queue.Close()
	if err := poll(ctx, func() (bool, error) { return lockByte(queue, 0) }); err != nil {
		return l, 0, err
	}
	if id, err = count(queue); err != nil || p.shared {
		return l, id, err
	}
	waited := false
	err = poll(ctx, func() (bool, error) {
		ok, err := l.take(dir, p, cpus)
		if !ok && err == nil && !waited {
			waited = true
			said()
		}
		return ok, err
	})
	return l, id, err
}

// take locks all processors that the plan needs, or none.
func (l *ledger) take(dir string, p plan, cpus int) (bool, error) {
	for i, node := range p.nodes {
		f, err := os.OpenFile(filepath.Join(dir, "steps.node"+strconv.Itoa(node)), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			l.close()
			return false, err
		}
		l.files = append(l.files, f)
		// More than there are would wait for ever: the tasks then share what there is.
		wanted := min(p.layout[i]*p.slots, cpus)
		for k := int64(0); wanted > 0 && k < int64(cpus); k++ {
			ok, err := lockByte(f, k)
			if err != nil {
				l.close()
				return false, err
			}
			if ok {
				wanted--
			}
		}
		if wanted > 0 {
			l.close()
			return false, nil
		}
	}
	return true, nil
}

// count gives out the numbers of steps; the queue is locked.
func count(queue *os.File) (int, error) {
	raw, err := io.ReadAll(io.LimitReader(queue, 20))
	if err != nil {
		return 0, err
	}
	id, _ := strconv.Atoi(strings.TrimSpace(string(raw))) // empty at first
	_, err = queue.WriteAt([]byte(strconv.Itoa(id+1)+"\n"), 0)
	return id, err
}

// poll asks until it is told yes, or ctx ends.
func poll(ctx context.Context, ask func() (bool, error)) error {
	tick := time.NewTicker(ledgerPause)
	defer tick.Stop()
	for {
		ok, err := ask()
		if err != nil || ok {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
