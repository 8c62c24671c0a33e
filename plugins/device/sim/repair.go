package sim

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"google.golang.org/protobuf/proto"

	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// fault is what is wrong with a device now: nothing, if it was reset and that mends it.
func (p *Plugin) fault(faults Faults, device string) Fault {
	fault := faults.Devices[device]
	p.mu.Lock()
	defer p.mu.Unlock()
	if mended, ok := p.reset[device]; ok && reflect.DeepEqual(mended, fault) {
		return Fault{}
	}
	delete(p.reset, device)
	return fault
}

// Reset mends what a reset can mend.
func (p *Plugin) Reset(_ context.Context, device string) error {
	faults, err := p.faults()
	if err != nil {
		return err
	}
	fault := p.fault(faults, device)
	if fault.ResetFails != "" {
		return errors.New(fault.ResetFails)
	}
	if fault.UntilReset {
		p.mu.Lock()
		p.reset[device] = fault
		p.mu.Unlock()
	}
	return nil
}

// Clean tells what the file of faults says is left.
func (p *Plugin) Clean(_ context.Context, device string) (*pluginv1.CleanResponse, error) {
	faults, err := p.faults()
	if err != nil {
		return nil, err
	}
	fault := p.fault(faults, device)
	return &pluginv1.CleanResponse{Pids: fault.PIDs, MemoryLeftBytes: fault.MemoryLeft}, nil
}

// split returns the devices with some of them in parts.
func split(devices []*pluginv1.Device, parts map[string]int) []*pluginv1.Device {
	var all []*pluginv1.Device
	for _, whole := range devices {
		n := parts[whole.Id]
		if n < 2 || n > sdk.Whole {
			all = append(all, whole)
			continue
		}
		for i := range n {
			d := proto.CloneOf(whole)
			d.Id, d.PartOf = fmt.Sprintf("%s.%d", whole.Id, i), whole.Id
			d.Thousandths, d.MemoryMib = whole.Thousandths/int32(n), whole.MemoryMib/int64(n) //nolint:gosec // at most 1000
			d.ShareThousandths = min(d.ShareThousandths, d.Thousandths)
			all = append(all, d)
		}
	}
	return all
}

// directLink is the score of two devices that are directly linked on one board.
const directLink = 160

// links connects the devices of each island.
func (p *Plugin) links(devices []*pluginv1.Device) []*pluginv1.Link {
	if p.cfg.Island < 2 {
		return nil
	}
	island := func(d *pluginv1.Device) int {
		return slices.IndexFunc(p.devices, func(k *pluginv1.Device) bool { return k.Id == d.Id }) / p.cfg.Island
	}
	var links []*pluginv1.Link
	for i, a := range devices {
		for _, b := range devices[i+1:] {
			if a.PartOf == "" && b.PartOf == "" && island(a) == island(b) {
				links = append(links, &pluginv1.Link{A: a.Id, B: b.Id, Score: directLink})
			}
		}
	}
	return links
}
