package agent

import (
	"context"
	"maps"
	"time"

	"github.com/hashicorp/go-hclog"

	"caravan/agent/driver/container"
	"caravan/agent/driver/container/store"
	"caravan/agent/driver/exec"
	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

const (
	// containersPatience is how long the container runtime may take to say that it is there.
	// A starting agent waits for it, and must not lose its lease over that.
	containersPatience = 3 * time.Second
	// containersEvery is how often it is asked.
	containersEvery = 15 * time.Second
)

// containers makes the driver for containers; nil where none can be run.
func (a *Agent) containers(processes *exec.Driver) *container.Driver {
	if len(a.cfg.Containers) == 0 {
		return nil
	}
	d, err := container.New(container.Config{
		Processes: processes, Store: store.Program{Command: a.cfg.Containers}, Hide: []string{a.cfg.DataDir}, Share: a.cfg.Share,
	})
	if err != nil {
		a.cfg.Logger.Warn("this node runs no containers", "reason", err)
		return nil
	}
	return d
}

// containerWatch registers the node anew when its container runtime comes or goes. It belongs to one
// goroutine.
type containerWatch struct {
	driver *container.Driver // nil for a node that never runs containers
	node   *devices
	log    hclog.Logger
	last   map[string]model.Attribute // what was registered; nil before the first look
}

// run looks now and then until ctx ends.
func (w *containerWatch) run(ctx context.Context) error {
	if w.driver == nil {
		return nil
	}
	t := time.NewTicker(containersEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			w.look(ctx)
		}
	}
}

// look asks whether the runtime is there. While it is away the node has no attribute that says so.
func (w *containerWatch) look(ctx context.Context) {
	if w.driver == nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, containersPatience)
	defer cancel()
	now := make(map[string]model.Attribute)
	r, err := w.driver.Runtime(asking)
	if err == nil {
		now[model.AttributeContainer] = model.Text("true")
		now["container.runtime"], now["container.version"] = model.Text(r.Name), model.Text(r.Version)
	}
	if ctx.Err() != nil || w.last != nil && maps.Equal(now, w.last) {
		return
	}
	if err != nil {
		w.log.Warn("this node takes no containers while their runtime is away", "reason", err)
	}
	w.node.replaceAttributes(w.last, now)
	w.last = now
}

// replaceAttributes registers the node with other attributes in the place of some.
func (d *devices) replaceAttributes(old, now map[string]model.Attribute) {
	d.mu.Lock()
	attributes := make(map[string]*pb.AttributeValue, len(d.host.Attributes))
	for k, v := range d.host.Attributes {
		if _, gone := old[k]; !gone {
			attributes[k] = v
		}
	}
	for k, v := range now {
		attributes[k] = wire.AttributeToProto(v)
	}
	d.host.Attributes = attributes
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default: // it will be anyway
	}
}
