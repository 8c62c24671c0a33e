package device

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"caravan/agent/driver"
	pb "caravan/api/caravanv1"
	"caravan/plugins/device/sim"
)

// TestMain is also the plugin.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "plugin" {
		if err := sim.Main(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// bench is a manager of a machine with eight pretended GPUs, in islands of four.
type bench struct {
	*Manager
	t       *testing.T
	ctx     context.Context
	dir     string
	changed chan struct{}

	mu      sync.Mutex
	evicted map[string]*driver.Fault
}

const (
	machine = "ecs.gn6v-c10g1.20xlarge"
	gpu     = "sim-v100-%d"
)

func id(i int) string { return fmt.Sprintf(gpu, i) }

// newBench runs a manager until the test ends, or stop is called.
func newBench(t *testing.T, dir string, change ...func(*Config)) (b *bench, stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	b = &bench{t: t, ctx: ctx, dir: dir, changed: make(chan struct{}, 1), evicted: make(map[string]*driver.Fault)}
	cfg := Config{
		Plugins: []Plugin{{Name: "sim", Command: []string{os.Args[0], "plugin", "-machine", machine, "-island", "4", "-faults", b.faults()}}},
		Keep:    filepath.Join(dir, "health.json"), HealthInterval: 50 * time.Millisecond, CallTimeout: 20 * time.Second,
		RetryMin: 10 * time.Millisecond, CleanTimeout: time.Millisecond,
		Changed: func() {
			select {
			case b.changed <- struct{}{}:
			default:
			}
		},
		Evict: func(allocation string, f *driver.Fault) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.evicted[allocation] = f
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if b.Manager, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	run, halt := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- b.Run(run) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		halt()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		stop()
		cancel()
	})
	b.Ready(ctx)
	b.await("ready", func() bool { return len(b.Devices()) == 8 })
	return b, stop
}

func (b *bench) faults() string { return filepath.Join(b.dir, "faults.yaml") }

func (b *bench) fault(text string) {
	b.t.Helper()
	next := b.faults() + ".new"
	if err := os.WriteFile(next, []byte(text+"\n"), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(next, b.faults()); err != nil {
		b.t.Fatal(err)
	}
}

// await waits until something holds; it looks whenever the manager tells of a change, and now and
// then besides, for what is no change to be told.
func (b *bench) await(what string, holds func() bool) {
	b.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-b.changed:
		case <-again.C:
		case <-b.ctx.Done():
			b.t.Fatalf("never %s; out of service are %v", what, b.out())
		}
	}
}

// out are the devices out of service, with why.
func (b *bench) out() []string {
	var all []string
	for _, d := range b.Devices() {
		if !d.Healthy {
			all = append(all, d.Id+" "+d.HealthReason)
		}
	}
	return all
}

// awaitOut waits until exactly these devices are out of service.
func (b *bench) awaitOut(ids ...string) {
	b.t.Helper()
	b.await(fmt.Sprintf("%v out", ids), func() bool {
		var now []string
		for _, d := range b.Devices() {
			if !d.Healthy {
				now = append(now, d.Id)
			}
		}
		return slices.Equal(now, ids)
	})
}

func (b *bench) device(i int) *pb.Device {
	b.t.Helper()
	for _, d := range b.Devices() {
		if d.Id == id(i) {
			return d
		}
	}
	b.t.Fatalf("there is no %s", id(i))
	return nil
}

// hold gives an allocation a device.
func (b *bench) hold(allocation string, i int) {
	b.t.Helper()
	if _, err := b.Reserve(b.ctx, allocation, "", whole(i)); err != nil {
		b.t.Fatal(err)
	}
}

func whole(i int) []*pb.DeviceShare {
	return []*pb.DeviceShare{{DeviceId: id(i), Thousandths: 1000, MemoryMib: 1}}
}

func (b *bench) fateOf(allocation string) *driver.Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.evicted[allocation]
}

// states are those that a device went through.
func states(d *pb.Device) []string {
	var all []string
	for _, e := range d.Health.GetHistory() {
		all = append(all, e.State.String()[len("HEALTH_STATE_"):])
	}
	return all
}
