package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"caravan/agent/device/health"
	"caravan/agent/driver"
	"caravan/agent/images"
	pb "caravan/api/caravanv1"
	"caravan/plugins/sdk/pluginv1"
	"caravan/scheduler/model"
)

// programs is what is known of loading images; the manager's lock guards it.
type programs struct {
	busy   map[string]chan struct{} // by device; closed when the load has ended
	failed map[string]bool          // by device: the last load failed
	// times is the moving average of how long a load takes, by device, in milliseconds.
	times map[string]int64
}

// Codes of what the manager sees itself.
const programFailed = "fpga-program-failed"

// programTries is how often an image is tried before the region counts as broken: drivers fail a first
// load after a reset that they have not noticed.
const programTries = 2

// Errors of a load.
var (
	errNoImages = errors.New("this agent has no store of images (start it with --images DIR)")
	errNoRegion = errors.New("it takes no images")
	errGolden   = errors.New("it runs its golden image, which only serves to flash another (flash a shell into it)")
)

// goldenSignal is what plugins see of a card that waits to be flashed.
const goldenSignal = "fpga-golden-image"

// Progress is told how far a load is, in thousandths.
type Progress func(done int32, step string)

// Program loads an image of the store into a device that nobody holds, and returns how long it took.
// timeout bounds each of two tries; 0 means Config.ProgramTimeout. An image that was built for another
// shell is refused before anything is written.
func (m *Manager) Program(ctx context.Context, device, name string, timeout time.Duration, progress Progress) (time.Duration, error) {
	image, err := m.fit(device, name)
	if err != nil {
		return 0, fmt.Errorf("device %s: %w", device, err)
	}
	if timeout <= 0 {
		timeout = m.cfg.ProgramTimeout
	}
	done, err := m.occupy(ctx, device)
	if err != nil {
		return 0, fmt.Errorf("device %s: %w", device, err)
	}
	defer done()
	if holder := m.holder(device); holder != "" {
		return 0, fmt.Errorf("device %s is in use by %s (stop it, or wait for its end)", device, holder)
	}
	begun := time.Now()
	for try := 1; ; try++ {
		if err = m.load(ctx, device, image, timeout, progress); err == nil {
			break
		}
		m.cfg.Logger.Warn("an image was not loaded", "device", device, "image", image.Name, "try", try, "error", err)
		if try == programTries || ctx.Err() != nil {
			m.loaded(device, 0)
			return 0, err
		}
		begun = time.Now()
	}
	took := time.Since(begun)
	m.loaded(device, took)
	return took, nil
}

// fit looks an image up and compares it with the device.
func (m *Manager) fit(device, name string) (images.Image, error) {
	if m.cfg.Images == nil {
		return images.Image{}, errNoImages
	}
	image, err := m.cfg.Images.Find(name)
	if err != nil {
		return image, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.find(device)
	switch {
	case d == nil:
		return image, errNoDevice
	case d.Region == nil:
		return image, errNoRegion
	case slices.ContainsFunc(d.GetHealth().GetSignals(), func(s *pluginv1.Signal) bool { return s.Code == goldenSignal }):
		return image, errGolden
	case !image.Fits(d.Region.Shell):
		return image, fmt.Errorf("image %s was built for interface %s, the device has %s", image.Name, image.Interface, d.Region.Shell)
	}
	return image, nil
}

// occupy waits until no image is being loaded into a device and keeps others from it until done.
func (m *Manager) occupy(ctx context.Context, device string) (done func(), err error) {
	for {
		m.mu.Lock()
		busy, is := m.programs.busy[device]
		if !is {
			mine := make(chan struct{})
			m.programs.busy[device] = mine
			m.mu.Unlock()
			return func() {
				m.mu.Lock()
				delete(m.programs.busy, device)
				m.mu.Unlock()
				close(mine)
			}, nil
		}
		m.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("it is being programmed: %w", ctx.Err())
		}
	}
}

// holder returns an allocation that holds a device, "" for none.
func (m *Manager) holder(device string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, allocation := range slices.Sorted(maps.Keys(m.held)) {
		if m.held[allocation].has(device) {
			return allocation
		}
	}
	return ""
}

// programSlack is what a plugin has beyond a load's timeout to say that it ran out.
const programSlack = 5 * time.Second

func (m *Manager) load(ctx context.Context, device string, image images.Image, timeout time.Duration, progress Progress) error {
	m.mu.Lock()
	p := m.owner(device)
	m.mu.Unlock()
	if p == nil {
		return errNoDevice
	}
	c, err := p.client(ctx)
	if err != nil {
		return fmt.Errorf("device %s: %w", device, err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout+programSlack)
	defer cancel()
	req := &pluginv1.ProgramRequest{DeviceId: device, Image: image.ID, Path: image.Path(), TimeoutMs: timeout.Milliseconds()}
	return c.Program(ctx, req, func(p *pluginv1.ProgramProgress) {
		if progress != nil && !p.Done {
			progress(p.DoneThousandths, p.Step)
		}
	})
}

// loaded takes in how a load ended: the time that it took, 0 for a failure.
//
// A failure is an event and not a state: the device is out of service until it has been calm for a
// while, or an operator has loaded an image. What comes of repetition is the policy's to say.
func (m *Manager) loaded(device string, took time.Duration) {
	m.mu.Lock()
	r := m.record(device)
	if took == 0 {
		m.apply(device, r, health.Raised{Code: programFailed, Detail: "an image was not loaded", At: now()})
		m.apply(device, r, health.Cleared{Code: programFailed, At: now()})
	} else {
		if m.programs.failed[device] {
			m.apply(device, r, health.Proved{At: now()})
		}
		// A quarter of the new to three of the old: the average follows within a few loads, and one slow
		// disk does not spoil it.
		ms := max(took.Milliseconds(), 1)
		if old, known := m.programs.times[device]; known {
			ms = (3*old + ms) / 4
		}
		m.programs.times[device] = ms
	}
	m.programs.failed[device] = took == 0
	err := m.saveTimes()
	m.mu.Unlock()
	if err != nil {
		m.cfg.Logger.Warn("cannot keep how long images take to load", "error", err)
	}
	m.tell()
}

// saveTimes writes the averages in one step, so that a new agent knows them; m.mu is held.
func (m *Manager) saveTimes() error {
	if m.cfg.TimesFile == "" {
		return nil
	}
	raw, err := json.Marshal(m.programs.times)
	if err != nil {
		return err
	}
	if err := os.WriteFile(m.cfg.TimesFile+".new", raw, 0o600); err != nil {
		return err
	}
	return os.Rename(m.cfg.TimesFile+".new", m.cfg.TimesFile)
}

// readTimes reads what saveTimes wrote; what cannot be read is learned again.
func (m *Manager) readTimes() {
	raw, err := os.ReadFile(m.cfg.TimesFile)
	if err != nil {
		return
	}
	if err := json.Unmarshal(raw, &m.programs.times); err != nil {
		m.cfg.Logger.Warn("cannot read how long images take to load", "file", m.cfg.TimesFile, "error", err)
	}
	if m.programs.times == nil {
		m.programs.times = make(map[string]int64)
	}
}

// Prepare loads the images that an allocation's devices have to run, by device, where they run others,
// and waits for loads that are under way. A load that fails is a *driver.Fault: the task is not to blame.
func (m *Manager) Prepare(ctx context.Context, shares []*pb.DeviceShare, wanted map[string]string) error {
	for _, s := range shares {
		done, err := m.occupy(ctx, s.DeviceId)
		if err != nil {
			return fmt.Errorf("device %s: %w", s.DeviceId, err)
		}
		done()
		name := wanted[s.DeviceId]
		if name == "" || m.runs(s.DeviceId, name) {
			continue
		}
		if _, err := m.fit(s.DeviceId, name); err != nil {
			return fmt.Errorf("device %s: %w", s.DeviceId, err)
		}
		if _, err := m.Program(ctx, s.DeviceId, name, 0, nil); err != nil {
			return &driver.Fault{Reason: driver.ReasonDeviceFault, Detail: fmt.Sprintf("image %s: %v", name, err)}
		}
	}
	return nil
}

// runs reports whether a device runs an image of that name, or what it calls itself by that.
func (m *Manager) runs(device, name string) bool {
	m.mu.Lock()
	d := m.find(device)
	m.mu.Unlock()
	loaded := d.GetRegion().GetImage()
	if loaded == name {
		return true
	}
	if m.cfg.Images == nil {
		return false
	}
	image, err := m.cfg.Images.Find(name)
	return err == nil && image.Is(loaded)
}

// advertiseRegion adds what the servers have to know of a programmable device; m.mu is held.
func (m *Manager) advertiseRegion(out *pb.Device, d *pluginv1.Device, h *health.Record) {
	r := d.Region
	state := regionWord(r.State)
	if _, busy := m.programs.busy[d.Id]; busy {
		state = "programming"
	} else if m.programs.failed[d.Id] && !h.InService() {
		state = "error"
	}
	out.Attributes[model.AttributeRegion] = text(state)
	if r.Shell != "" {
		out.Attributes["shell"] = text(r.Shell)
	}
	if ms, known := m.programs.times[d.Id]; known {
		out.Attributes["reprogram_ms"] = &pb.AttributeValue{Value: &pb.AttributeValue_Milli{Milli: ms * 1000}}
	}
	loaded, fitting := r.Image, []string(nil)
	for _, i := range m.images() {
		if i.Is(r.Image) {
			loaded = i.Name
		}
		if i.Fits(r.Shell) {
			fitting = append(fitting, i.Name)
		}
	}
	// Jobs ask for names; what a device calls its image is told beside.
	out.Attributes[model.AttributeImages] = text(strings.Join(fitting, ","))
	if r.Image != "" {
		out.Attributes[model.AttributeImage], out.Attributes["image_id"] = text(loaded), text(r.Image)
	} else {
		delete(out.Attributes, model.AttributeImage)
	}
}

// images are those of the store, none without one.
func (m *Manager) images() []images.Image {
	if m.cfg.Images == nil {
		return nil
	}
	list, err := m.cfg.Images.List()
	if err != nil {
		m.cfg.Logger.Error("the store of images cannot be read; what was read last counts", "error", err)
	}
	return list
}
