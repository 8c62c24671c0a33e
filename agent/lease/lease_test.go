package lease_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"caravan/agent/lease"
)

// bootClock is a clock of its own: it may have slept, and run slow or fast.
type bootClock struct {
	start    time.Time
	slept    atomic.Int64 // nanoseconds
	permille int64        // 1000 for a right one
}

func newClock(permille int64) *bootClock {
	c := &bootClock{start: time.Now(), permille: permille}
	c.slept.Store(int64(time.Hour))
	return c
}

func (c *bootClock) Now() time.Duration {
	return time.Duration(c.slept.Load()) + time.Since(c.start)*time.Duration(c.permille)/1000
}

func TestALeaseEndsWhenItIsNotRenewed(t *testing.T) {
	for name, permille := range map[string]int64{"right": 1000, "slow": 980, "fast": 1020} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := newClock(permille)
				begin := time.Now()
				term := lease.Term{Until: clock.Now() + 15*time.Second, Grace: 10 * time.Second}
				renewed := false
				got, ended := lease.Await(nil, clock, func() (lease.Term, error) {
					if !renewed && time.Since(begin) > 10*time.Second {
						renewed = true
						term.Until = clock.Now() + 15*time.Second
					}
					return term, nil
				})
				if !ended || got != term || clock.Now() < term.Until {
					t.Errorf("ended %v with %+v at %v", ended, got, clock.Now())
				}
				// The servers re-place no earlier than 2 % after the term.
				if took := time.Since(begin); took < 24*time.Second || took > 10500*time.Millisecond+15300*time.Millisecond+500*time.Millisecond {
					t.Errorf("it ended after %v", took)
				}
			})
		})
	}
}

func TestAHostThatSleptWakesWithoutALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := newClock(1000)
		begin := time.Now()
		term := lease.Term{Until: clock.Now() + 15*time.Second}
		time.AfterFunc(5*time.Second, func() { clock.slept.Add(int64(time.Hour)) })
		if _, ended := lease.Await(nil, clock, func() (lease.Term, error) { return term, nil }); !ended {
			t.Error("the lease did not end")
		}
		if took := time.Since(begin); took > 6*time.Second {
			t.Errorf("noticed only after %v", took)
		}
	})
}

func TestWhatCannotBeReadIsNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := newClock(1000)
		first := true
		until := clock.Now() + time.Second
		_, ended := lease.Await(nil, clock, func() (lease.Term, error) {
			if first {
				first = false
				return lease.Term{Until: until}, nil
			}
			return lease.Term{}, errors.New("the disk is gone")
		})
		if !ended || clock.Now() < until || clock.Now() > until+time.Second {
			t.Errorf("ended %v at %v, want %v", ended, clock.Now(), until)
		}
	})
}

func TestWaitingEndsWithTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, stop := newClock(1000), make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stop) })
		if _, ended := lease.Await(stop, clock, func() (lease.Term, error) { return lease.Term{Until: 1 << 62}, nil }); ended {
			t.Error("the lease ended")
		}
	})
}

func TestTheFileHoldsTheNewestTerm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lease")
	w, err := lease.NewWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lease.Read(path); err == nil {
		t.Error("an empty file holds a lease")
	}
	now := lease.BootClock{}.Now()
	first, second := lease.Term{Until: now + time.Minute, Grace: time.Second}, lease.Term{Until: now + time.Hour, Grace: time.Second}
	for _, term := range []lease.Term{first, second, first} { // the last came late
		if err := w.Renew(term); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := lease.Read(path); err != nil || got != second {
		t.Errorf("read %+v, %v", got, err)
	}
	if err := os.WriteFile(path, make([]byte, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := lease.Read(path); err == nil {
		t.Errorf("a file of zeros says %+v", got)
	}
}
