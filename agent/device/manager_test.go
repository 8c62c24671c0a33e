package device

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"caravan/agent/device/health"
	"caravan/agent/device/hook"
	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
)

func TestAFaultEvictsWhoHoldsTheDeviceAndNobodyElse(t *testing.T) {
	b, _ := newBench(t, t.TempDir())
	b.hold("job-1", 0)
	b.hold("job-2", 1)
	b.fault("devices: {" + id(0) + ": {signals: {xid-79: off the bus}}}")
	b.awaitOut(id(0))
	b.await("evicted", func() bool { return b.fateOf("job-1") != nil })
	if f := b.fateOf("job-1"); f.Reason != driver.ReasonDeviceFault || !strings.Contains(f.Detail, id(0)) || !strings.Contains(f.Detail, "xid-79: off the bus") {
		t.Errorf("evicted for %v", f)
	}
	if f := b.fateOf("job-2"); f != nil {
		t.Errorf("the neighbour is evicted for %v", f)
	}
	var fault *driver.Fault
	if _, err := b.Reserve(b.ctx, "job-3", "", whole(0)); !errors.As(err, &fault) || fault.Reason != driver.ReasonDeviceFault {
		t.Errorf("a device out of service was given: %v", err)
	}
}

func TestAContainedErrorEndsTheTaskAndNotTheDevice(t *testing.T) {
	b, _ := newBench(t, t.TempDir())
	b.hold("job-1", 0)
	b.fault("devices: {" + id(0) + ": {signals: {xid-94: contained}}}")
	b.await("evicted", func() bool { return b.fateOf("job-1") != nil })
	if out := b.out(); len(out) != 0 || !strings.Contains(b.fateOf("job-1").Detail, "xid-94") {
		t.Errorf("out of service are %v; evicted for %v", out, b.fateOf("job-1"))
	}
}

func TestAFaultReachesAsFarAsItsScope(t *testing.T) {
	b, _ := newBench(t, t.TempDir())
	b.fault("devices: {" + id(5) + ": {signals: {xid-74: link 3}}}")
	b.awaitOut(id(4), id(5), id(6), id(7))
	if b.Host() != nil {
		t.Errorf("the host is %v", b.Host())
	}
	b.fault("devices: {" + id(5) + ": {signals: {sxid-fatal: the switch}}}")
	b.awaitOut(id(0), id(1), id(2), id(3), id(4), id(5), id(6), id(7))
	b.await("the host ill", func() bool {
		return strings.Contains(b.Host().GetReason(), "sxid-fatal of "+id(5)) || b.Host().GetState() >= pb.HealthState_HEALTH_STATE_QUARANTINED
	})
	var fault *driver.Fault
	if _, err := b.Reserve(b.ctx, "job-1", "", nil); !errors.As(err, &fault) || fault.Reason != driver.ReasonHostFault {
		t.Errorf("an ill host took a task: %v", err)
	}
}

func TestARepairedDeviceIsResetAndTestedBeforeItTakesWork(t *testing.T) {
	dir := t.TempDir()
	said, pass := filepath.Join(dir, "said"), filepath.Join(dir, "pass")
	script := "echo $SIM_VISIBLE_DEVICES $CARAVAN_DEVICES >> " + said + "; while [ ! -e " + pass + " ]; do sleep 0.02; done"
	b, _ := newBench(t, dir, func(c *Config) {
		c.SelfTest = hook.Program{Command: []string{"/bin/sh", "-c", script}, Timeout: time.Minute}
	})
	b.hold("job-1", 0)
	b.fault("devices: {" + id(0) + ": {signals: {xid-79: off the bus}, until_reset: true}}")
	b.await("evicted", func() bool { return b.fateOf("job-1") != nil })
	if d := b.device(0); d.Health.State != pb.HealthState_HEALTH_STATE_QUARANTINED {
		t.Errorf("held and ill it is %v", d.Health)
	}
	b.Release("job-1")
	b.await("tested", func() bool {
		raw, err := os.ReadFile(said)
		return err == nil && string(raw) == id(0)+" "+id(0)+"\n"
	})
	if d := b.device(0); d.Healthy || !strings.HasPrefix(d.HealthReason, "being tested") {
		t.Errorf("while it is tested it is %v", d)
	}
	if err := os.WriteFile(pass, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.awaitOut()
	b.hold("job-2", 0)
	if got := fmt.Sprint(states(b.device(0))); got != "[QUARANTINED REPAIRING PROBATION PROBATION]" {
		t.Errorf("it went through %s", got)
	}
}

func TestADeviceThatATaskLeftUncleanIsSuspectUntilItIsClean(t *testing.T) {
	b, _ := newBench(t, t.TempDir())
	b.hold("job-1", 0)
	b.fault("devices: {" + id(0) + ": {pids: [4242], memory_left: 1}}")
	if f := b.Finish(b.ctx, "job-1", nil, false); f != nil {
		t.Errorf("a task that did well is blamed on %v", f)
	}
	b.Release("job-1")
	b.awaitOut(id(0))
	if why := b.device(0).HealthReason; !strings.Contains(why, "process 4242, 1 MiB of its memory") {
		t.Errorf("it is out because %s", why)
	}
	b.fault("{}")
	b.await("seen to be clean", func() bool {
		b.Manager.mu.Lock()
		defer b.Manager.mu.Unlock()
		return !slices.Contains(b.record(id(0)).Health.Present, health.CodeNotClean)
	})
}

func TestAFailureThatAFaultExplainsIsBlamedOnIt(t *testing.T) {
	b, _ := newBench(t, t.TempDir())
	b.hold("job-1", 0)
	b.hold("job-2", 1)
	b.fault("devices: {" + id(0) + ": {signals: {xid-48: two bits}}, " + id(1) + ": {signals: {xid-31: a bad pointer}}}")
	if f := b.Finish(b.ctx, "job-1", nil, true); f == nil || !strings.Contains(f.Detail, "xid-48") {
		t.Errorf("it is blamed on %v", f)
	}
	if f := b.Finish(b.ctx, "job-2", nil, true); f != nil {
		t.Errorf("a program's own fault is blamed on %v", f)
	}
}

func TestTheOperatorsProgramsJudgeDeviceOrHost(t *testing.T) {
	dir := t.TempDir()
	no := func(script string) hook.Program {
		return hook.Program{Command: []string{"/bin/sh", "-c", script}, Timeout: time.Minute}
	}
	b, _ := newBench(t, dir, func(c *Config) {
		c.Prolog, c.Epilog = no(`test "$CARAVAN_BAD" != yes || { echo it rattles; exit 1; }`), no(`test "$CARAVAN_WORSE" != yes`)
	})
	b.hold("job-1", 0)
	if err := b.Prolog(b.ctx, "job-1", []string{"CARAVAN_BAD=no"}); err != nil {
		t.Error(err)
	}
	var fault *driver.Fault
	if err := b.Prolog(b.ctx, "job-1", []string{"CARAVAN_BAD=yes"}); !errors.As(err, &fault) || fault.Reason != driver.ReasonDeviceFault || !strings.Contains(fault.Detail, "it rattles") {
		t.Errorf("%v", err)
	}
	b.awaitOut(id(0))
	if _, err := b.Reserve(b.ctx, "job-2", "", nil); err != nil {
		t.Fatal(err)
	}
	b.Finish(b.ctx, "job-2", []string{"CARAVAN_WORSE=yes"}, false)
	if h := b.Host(); !strings.Contains(h.GetReason(), "suspect: epilog-failed") {
		t.Errorf("the host is %v", h)
	}
}

func TestWhatIsIllStaysIllWithTheNextAgent(t *testing.T) {
	dir := t.TempDir()
	b, stop := newBench(t, dir)
	order := &pb.HealthOrder{Index: 7, Device: id(2), Verb: pb.HealthVerb_HEALTH_VERB_QUARANTINE, Reason: "noise", By: "ann"}
	b.Obey([]*pb.HealthOrder{order})
	b.awaitOut(id(2))
	stop()
	b, stop = newBench(t, dir)
	b.awaitOut(id(2))
	b.Adopt("job-1", "", whole(2))
	if f := b.fateOf("job-1"); f == nil || !strings.Contains(f.Detail, "by order") {
		t.Errorf("what still runs there is evicted for %v", f)
	}
	b.Release("job-1")
	if d := b.device(2); d.Health.Order != 7 || d.HealthReason != "quarantined: by order: noise (ann)" {
		t.Errorf("it is kept as %v", d)
	}
	// The same order again is the same order.
	b.Obey([]*pb.HealthOrder{{Index: 8, Device: id(2), Verb: pb.HealthVerb_HEALTH_VERB_RETURN, Reason: "new fan", By: "ann"}})
	b.Obey([]*pb.HealthOrder{order})
	b.awaitOut()
	stop()
	if err := os.WriteFile(filepath.Join(dir, "health.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Keep: filepath.Join(dir, "health.json")}); err == nil || !strings.Contains(err.Error(), "remove") {
		t.Errorf("a damaged file is taken: %v", err)
	}
}

func TestADeviceThatIsRemadeIsGoneOnlyForWhoHoldsIt(t *testing.T) {
	b, _ := newBench(t, t.TempDir())
	b.hold("job-1", 1)
	b.fault("parts: {" + id(0) + ": 2, " + id(1) + ": 2}")
	b.await("in parts", func() bool {
		return slices.ContainsFunc(b.Devices(), func(d *pb.Device) bool { return d.Id == id(0)+".1" })
	})
	b.awaitOut(id(1))
	if f := b.fateOf("job-1"); f == nil || !strings.Contains(f.Detail, health.CodeGone) {
		t.Errorf("who held a device that was remade is evicted for %v", f)
	}
	if slices.ContainsFunc(b.Devices(), func(d *pb.Device) bool { return d.Id == id(0) }) {
		t.Errorf("%s is still there", id(0))
	}
}

func TestAPluginThatDoesNotAnswerTakesItsDevicesOutUntilItDoes(t *testing.T) {
	b, _ := newBench(t, t.TempDir(), func(c *Config) {
		c.AnswerTimeout, c.CallTimeout, c.DownGrace = 100*time.Millisecond, 2*time.Second, time.Hour
	})
	b.hold("job-1", 0)
	b.fault("hang: true")
	b.await("out", func() bool { return len(b.out()) == 8 && strings.Contains(b.out()[0], "does not answer") })
	b.fault("{}")
	b.awaitOut()
	if f := b.fateOf("job-1"); f != nil {
		t.Errorf("evicted for %v", f)
	}
}
