package device

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"caravan/agent/device/hook"
	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
)

// program writes a script that notes its name, what follows it, and its surroundings.
func program(t *testing.T, dir, name, more string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	text := "#!/bin/sh\necho " + name + " $CARAVAN_ALLOCATION $SIM_VISIBLE_DEVICES $LD_PRELOAD $MINE >> " + dir + "/said\n" + more + "\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return path
}

func withHooks(dir string, hooks ...string) func(*Config) {
	return func(c *Config) {
		c.Plugins[0].Command = append(c.Plugins[0].Command, hooks...)
	}
}

// environment is a task's, with what its job would like to have loaded into the programs around it.
func environment() []string {
	return []string{"CARAVAN_ALLOCATION=job-1", "LD_PRELOAD=/tmp/evil.so", "MINE=1", "PATH=/tmp/evil", "SIM_VISIBLE_DEVICES=others"}
}

func TestHooksAndProgramsRunAroundATaskInTheirOrder(t *testing.T) {
	dir := t.TempDir()
	create, stop := program(t, dir, "create", ""), program(t, dir, "stop", "")
	prolog, epilog := program(t, dir, "prolog", ""), program(t, dir, "epilog", "")
	b, _ := newBench(t, dir, withHooks(dir, "-hook", "createRuntime="+create, "-hook", "poststop="+stop), func(c *Config) {
		c.Prolog = hook.Program{Command: []string{prolog}, Timeout: time.Minute}
		c.Epilog = hook.Program{Command: []string{epilog}, Timeout: time.Minute}
	})
	b.hold("job-1", 3)
	if err := b.Prolog(b.ctx, "job-1", environment()); err != nil {
		t.Error(err)
	}
	if f := b.Finish(b.ctx, "job-1", environment(), false); f != nil {
		t.Error(f)
	}
	want := ""
	for _, name := range []string{"create", "prolog", "epilog", "stop"} {
		want += name + " job-1 " + id(3) + "\n" // nothing of the job's own making
	}
	if said, err := os.ReadFile(filepath.Join(dir, "said")); err != nil || string(said) != want {
		t.Errorf("they said\n%swant\n%s(%v)", said, want, err)
	}
	// A task without devices of this plugin has no hooks.
	if _, err := b.Reserve(b.ctx, "job-2", "", nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Prolog(b.ctx, "job-2", []string{"CARAVAN_ALLOCATION=job-2"}); err != nil {
		t.Error(err)
	}
	if said, err := os.ReadFile(filepath.Join(dir, "said")); err != nil || string(said) != want+"prolog job-2\n" {
		t.Errorf("they said\n%s(%v)", said, err)
	}
}

func TestAHookThatFailsIsTheDevicesFault(t *testing.T) {
	dir := t.TempDir()
	b, _ := newBench(t, dir, withHooks(dir, "-hook", "createRuntime="+program(t, dir, "create", "echo no firmware; exit 1")))
	b.hold("job-1", 0)
	var fault *driver.Fault
	if err := b.Prolog(b.ctx, "job-1", environment()); !errors.As(err, &fault) || fault.Reason != driver.ReasonDeviceFault || !strings.Contains(fault.Detail, "device-hook-failed") || !strings.Contains(fault.Detail, "no firmware") {
		t.Errorf("%v", err)
	}
	b.awaitOut(id(0))
	if d := b.device(0); d.Health.State != pb.HealthState_HEALTH_STATE_SUSPECT {
		t.Errorf("it is %v", d.Health)
	}
}

// The next agent runs what is to be run after a task that the one before has started.
func TestTheNextAgentRunsTheHooksAfterATask(t *testing.T) {
	dir := t.TempDir()
	hooks := withHooks(dir, "-hook", "poststop="+program(t, dir, "stop", ""))
	b, stop := newBench(t, dir, hooks)
	b.hold("job-1", 3)
	stop()
	b, _ = newBench(t, dir, hooks)
	b.Adopt("job-1", "", whole(3))
	if err := b.plugins[0].now().Crash(); err != nil { // it is told when it is there again
		t.Fatal(err)
	}
	b.await("repeated", func() bool { return len(b.editsOf("job-1")) > 0 })
	b.Finish(b.ctx, "job-1", environment(), false)
	if said, err := os.ReadFile(filepath.Join(dir, "said")); err != nil || string(said) != "stop job-1 "+id(3)+"\n" {
		t.Errorf("it said %q, %v", said, err)
	}
}
