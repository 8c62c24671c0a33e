//go:build cgo

package library

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"caravan/plugins/device/nvidia"
)

// migConfigChange is an event that go-nvml has no name for (nvmlEventMigConfigChange).
const migConfigChange = 256

// wanted are the events that are asked for, where the GPU has them.
const wanted = nvml.EventTypeXidCriticalError | nvml.EventTypeDoubleBitEccError | migConfigChange |
	nvml.EventTypeSingleBitEccErrorStorm | nvml.EventTypeDramRetirementEvent | nvml.EventTypeDramRetirementFailure |
	nvml.EventTypeNonFatalPoisonError | nvml.EventTypeFatalPoisonError | nvml.EventTypeGpuUnavailableError | nvml.EventTypeGpuRecoveryAction

// waitMilli is how long one wait lasts: so soon a new GPU and the end of ctx are seen.
const waitMilli = 1000

// errNoEvents means that no GPU of the host tells of events; others than Tesla cards never do.
var errNoEvents = errors.New("no GPU tells of events (the kernel's log and the states that are read tell of most)")

// Watch tells of events. It returns when the set of GPUs has changed, so that it is called again.
func (l *Library) Watch(ctx context.Context, tell func(nvidia.Event)) error {
	if err := poll(ctx, errApart.Error(), l.enter); err != nil {
		return err
	}
	got, err := l.list(ctx)
	if err == nil && !l.tellsEvents() {
		err = errNoEvents
	}
	if err != nil {
		l.gate.RUnlock()
		return err
	}
	// A wait may never return, and the set must not be freed under it.
	end := make(chan error, 1)
	go func() {
		defer l.gate.RUnlock()
		set, ret := l.nvml.EventSetCreate()
		if ret != nvml.SUCCESS {
			end <- fmt.Errorf("create a set of events: error %d of the driver", int(ret))
			return
		}
		defer func() { _ = set.Free() }() // the driver has no use for it either way
		end <- l.waitForEvents(ctx, set, got, tell)
	}()
	select {
	case err := <-end:
		return err
	case <-ctx.Done():
		return nil
	}
}

// tellsEvents reports whether the library has what events need.
func (l *Library) tellsEvents() bool {
	for _, symbol := range []string{"nvmlEventSetCreate", "nvmlEventSetFree", "nvmlEventSetWait_v2", "nvmlDeviceRegisterEvents", "nvmlDeviceGetSupportedEventTypes"} {
		if !l.can(symbol) {
			return false
		}
	}
	return true
}

// waitForEvents registers all GPUs that answer and waits until something ends it.
func (l *Library) waitForEvents(ctx context.Context, set nvml.EventSet, got listing, tell func(nvidia.Event)) error {
	registered := 0
	for i, d := range got.devices {
		if got.faults[i] != nvml.SUCCESS {
			continue
		}
		took := new(bool)
		err := l.in(ctx, gpuLane(i), func() {
			supported, ret := d.GetSupportedEventTypes()
			*took = ret == nvml.SUCCESS && supported&wanted != 0 && d.RegisterEvents(supported&wanted, set) == nvml.SUCCESS
		})
		switch {
		case err != nil:
			got.faults[i] = silent // it is tried again when it answers
		case *took:
			registered++
		}
	}
	if registered == 0 {
		return errNoEvents
	}
	tell(nvidia.Event{}) // what happened before is not told
	for ctx.Err() == nil && !l.apart.Load() {
		data, ret := set.Wait(waitMilli)
		switch ret {
		case nvml.SUCCESS:
			if uuid := l.whose(ctx, got, data.Device); uuid != "" {
				tell(event(uuid, data))
			}
		case nvml.ERROR_TIMEOUT:
			now, err := l.list(ctx)
			if err != nil || !got.same(now) {
				tell(nvidia.Event{}) // GPUs came or went
				return err
			}
		default:
			tell(nvidia.Event{})
			return fmt.Errorf("wait for events: error %d of the driver", int(ret))
		}
	}
	return nil
}

// whose returns the GPU of an event, "" for one that nobody knows. One that was read before is not
// asked again: a GPU in trouble may not answer.
func (l *Library) whose(ctx context.Context, got listing, device nvml.Device) string {
	i := slices.Index(got.devices, device)
	l.mu.Lock()
	uuid := l.last[i].UUID
	l.mu.Unlock()
	if uuid != "" || i < 0 {
		return uuid
	}
	asked := new(string)
	if l.in(ctx, gpuLane(i), func() { *asked, _ = device.GetUUID() }) != nil {
		return ""
	}
	return *asked
}

// event says what an event amounts to. A change of MIG has no code: it is worth a look alone.
func event(uuid string, data nvml.EventData) nvidia.Event {
	e := nvidia.Event{UUID: uuid}
	switch data.EventType {
	case nvml.EventTypeXidCriticalError:
		e.Code = fmt.Sprintf("xid-%d", data.EventData)
	case nvml.EventTypeDoubleBitEccError:
		e.Code, e.Detail = "gpu-ecc-double-bit", "memory lost data"
	case nvml.EventTypeSingleBitEccErrorStorm:
		e.Code, e.Detail = "gpu-ecc-storm", "memory is corrected very often"
	case nvml.EventTypeDramRetirementEvent:
		e.Code, e.Detail = "gpu-memory-retired", "a part of memory was taken out of use"
	case nvml.EventTypeDramRetirementFailure:
		e.Code, e.Detail = "gpu-memory-retirement-failed", "a faulty part of memory cannot be taken out of use"
	case nvml.EventTypeNonFatalPoisonError:
		e.Code, e.Detail = "gpu-poison", "a task read data that was lost"
	case nvml.EventTypeFatalPoisonError:
		e.Code, e.Detail = "gpu-poison-fatal", "data was lost that the GPU itself needs"
	case nvml.EventTypeGpuUnavailableError:
		e.Code, e.Detail = "gpu-unavailable", "the driver has taken the GPU out of use"
	}
	return e
}
