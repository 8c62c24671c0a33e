package fpga

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/plugins/device/internal/sysfs"
	"caravan/plugins/sdk/pluginv1"
)

// Reset makes a region as good as new: a port by its driver, an XRT card by xbutil, a slot by taking
// its image away. A bare manager has nothing to reset.
func (p *Plugin) Reset(ctx context.Context, device string) error {
	r, err := p.region(ctx, device)
	switch {
	case err != nil:
		return err
	case r.reset == nil:
		return status.Errorf(codes.Unimplemented, "device %s: nothing on this host can reset it", device)
	}
	if users := sysfs.Openers(p.cfg.ProcRoot, r.nodes...); len(users) > 0 {
		return fmt.Errorf("process %d has %s open (end it first)", users[0], device)
	}
	if err := p.settled(device); err != nil {
		return err
	}
	return r.reset(ctx)
}

// blanking is a region that gets its blank image, or has got it.
type blanking struct {
	done   bool
	image  string // what the region says that it runs when it is blank
	failed error
}

// blankTimeout bounds it: the largest parts take tens of seconds.
const blankTimeout = 2 * time.Minute

// settled refuses a region whose image is being taken away.
func (p *Plugin) settled(device string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.blank[device]; b != nil && !b.done {
		return status.Errorf(codes.Unavailable, "device %s: its image is being taken away (ask again)", device)
	}
	return nil
}

// Clean tells of processes that have the region open, and, where regions are to be blank after tasks,
// makes it so. That takes longer than an answer may: until it is done, it is what is left.
func (p *Plugin) Clean(ctx context.Context, device string) (*pluginv1.CleanResponse, error) {
	r, err := p.region(ctx, device)
	if errors.Is(err, errGolden) {
		return &pluginv1.CleanResponse{}, nil // no task ever had it
	}
	if err != nil {
		return nil, err
	}
	left := &pluginv1.CleanResponse{Pids: sysfs.Openers(p.cfg.ProcRoot, r.nodes...)}
	if p.cfg.Blank == "" || len(left.Pids) > 0 {
		return left, nil // a task that has not ended keeps its image
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.blank[r.id]
	switch {
	case b == nil && r.image == "" || b != nil && b.done && b.failed == nil && b.image == r.image:
		return left, nil
	case b != nil && !b.done:
		left.Modes = []string{"its image is being taken away"}
	default:
		if b != nil && b.failed != nil {
			left.Modes = []string{"its image could not be taken away: " + b.failed.Error()}
		} else {
			left.Modes = []string{"image " + r.image + " of the task before"}
		}
		b = &blanking{}
		p.blank[r.id] = b
		go p.makeBlank(context.WithoutCancel(ctx), r, b)
	}
	return left, nil
}

// makeBlank clears a region, or loads the blank image of its shell.
func (p *Plugin) makeBlank(ctx context.Context, r *region, b *blanking) {
	ctx, cancel := context.WithTimeout(ctx, blankTimeout)
	defer cancel()
	err := p.unload(ctx, r)
	image := ""
	if after, again := p.region(ctx, r.id); again == nil {
		image = after.image
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b.done, b.image, b.failed = true, image, err
}

func (p *Plugin) unload(ctx context.Context, r *region) error {
	if r.clear != nil {
		return r.clear(ctx)
	}
	if r.load == nil {
		return fmt.Errorf("device %s is programmed by its owner, not from this host", r.id)
	}
	name := cmp.Or(r.shell, r.Model) + r.suffix
	path := filepath.Join(p.cfg.Blank, name)
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("there is no blank image for it: %w", err)
	}
	return r.load(ctx, &pluginv1.ProgramRequest{DeviceId: r.id, Image: name, Path: path}, func(int32, string) {})
}

// forgetBlank shows regions that run their blank image as empty, and forgets of those that run another
// what they ran when they were blank.
func (p *Plugin) forgetBlank(found []*region) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range found {
		b := p.blank[r.id]
		switch {
		case b == nil || !b.done || b.failed != nil:
		case r.image == b.image:
			r.blank = true
		default:
			delete(p.blank, r.id)
		}
	}
}

// Stats reads temperature and power of the cards.
func (p *Plugin) Stats(ctx context.Context) (*pluginv1.StatsSample, error) {
	found, _ := p.find(ctx)
	sample := &pluginv1.StatsSample{}
	for _, r := range found {
		values := make(map[string]int64)
		for _, h := range slices.Concat(r.pci.Glob("hwmon/hwmon*"), r.pci.Glob("fpga_region/region*/dfl-fme.*/hwmon/hwmon*")) {
			if n, ok := h.Number("temp1_input"); ok {
				values["temperature_millicelsius"] = max(values["temperature_millicelsius"], n)
			}
			if n, ok := h.Number("power1_input"); ok {
				values["power_milliwatts"] = n / 1000
			}
		}
		sample.Devices = append(sample.Devices, &pluginv1.DeviceStats{DeviceId: r.id, Values: values})
	}
	return sample, nil
}
