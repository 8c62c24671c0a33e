//go:build cgo

package library_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"caravan/plugins/device/nvidia"
	"caravan/plugins/device/nvidia/library"
	"caravan/plugins/device/nvidia/nvmltest"
)

func TestForAResetTheDriverIsLetGoOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := nvmltest.New(mixed())
		l := library.New(library.Config{NVML: server})
		look(t, l)
		ctx, cancel := context.WithCancel(t.Context())
		watched := make(chan error, 1)
		go func() { watched <- l.Watch(ctx, func(nvidia.Event) {}) }()
		synctest.Wait()
		fault := errors.New("no such luck")
		err := l.Apart(t.Context(), nvmltest.UUID(1), func(context.Context) error {
			if server.Ready() {
				t.Error("the library is initialized, so the GPUs are open")
			}
			if host := look(t, l); len(host.GPUs) != 3 || len(host.Failed) != 0 {
				t.Errorf("a look meanwhile gives %+v", host)
			}
			if samples, err := l.Measure(t.Context()); err == nil {
				t.Errorf("measured meanwhile: %v", samples)
			}
			return fault
		})
		if !errors.Is(err, fault) || <-watched != nil {
			t.Errorf("the reset: %v", err)
		}
		cancel()
		if host := look(t, l); len(host.GPUs) != 3 || !server.Ready() {
			t.Errorf("afterwards there is %+v", host)
		}
	})
}

func TestTheResetOfAGPUThatHangsWaitsForItAndHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := nvmltest.New(mixed())
		l := library.New(library.Config{NVML: server})
		look(t, l)
		hang := make(chan struct{})
		server.Change(func(all []*nvmltest.GPU) { all[1].Hang = hang })
		look(t, l)
		short, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		never := func(context.Context) error { t.Error("it is reset under a call"); return nil }
		if err := l.Apart(short, nvmltest.UUID(1), never); err == nil || !strings.Contains(err.Error(), "hangs in the driver") {
			t.Errorf("the reset: %v", err)
		}
		if err := l.Apart(t.Context(), nvmltest.UUID(0), never); err == nil || !strings.Contains(err.Error(), "gpu1") {
			t.Errorf("the reset of another: %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- l.Apart(t.Context(), nvmltest.UUID(1), func(context.Context) error { return nil }) }()
		time.Sleep(time.Minute)
		if host := look(t, l); len(host.GPUs) != 2 || len(host.Failed) != 1 {
			t.Errorf("while it waits a look gives %+v", host)
		}
		server.Change(func(all []*nvmltest.GPU) { all[1].Hang = nil })
		close(hang)
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

func TestModesAreSetBackAndWhatCannotBeIsTold(t *testing.T) {
	server := nvmltest.New(mixed())
	l := library.New(library.Config{NVML: server})
	before := look(t, l).GPUs[0].Modes
	if want := (nvidia.Modes{Compute: "default", Persistence: "on", PowerMilli: 400_000, GraphicsMHz: 1095, MemoryMHz: 1215, Divided: "off"}); before != want {
		t.Fatalf("modes %+v, want %+v", before, want)
	}
	change := func(refusal nvml.Return) {
		server.Change(func(all []*nvmltest.GPU) {
			all[0].Set = nvmltest.Set{Persistence: nvml.FEATURE_DISABLED, Cap: 100_000, Graphics: 300, Memory: 400, Locked: true}
			all[0].Refusal = refusal
		})
	}
	change(nvml.SUCCESS)
	if left, err := l.Restore(t.Context(), nvmltest.UUID(0), before, true); err != nil || len(left) != 0 {
		t.Errorf("left are %q, %v", left, err)
	}
	var set nvmltest.Set
	read := func(all []*nvmltest.GPU) { set = all[0].Set }
	server.Change(read)
	if want := (nvmltest.Set{Persistence: nvml.FEATURE_ENABLED, Cap: 400_000, Graphics: 1095, Memory: 1215}); set != want {
		t.Errorf("set to %+v, want %+v", set, want)
	}
	change(nvml.ERROR_NO_PERMISSION)
	left, err := l.Restore(t.Context(), nvmltest.UUID(0), before, false)
	if all := strings.Join(left, "; "); err != nil || len(left) != 3 || !strings.Contains(all, "persistence is off") || !strings.Contains(all, "the power limit is 100 W") || !strings.Contains(all, "400 and 300 MHz") {
		t.Errorf("left are %q, %v", left, err)
	}
	server.Change(read)
	if !set.Locked {
		t.Error("clocks were unlocked though they are to be kept")
	}
}
