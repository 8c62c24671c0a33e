package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"caravan/agent/cpus"
	"caravan/agent/device"
	"caravan/agent/driver"
	"caravan/agent/images"
	"caravan/agent/tasks"
	pb "caravan/api/caravanv1"
)

// healthFile keeps what is ill within the data directory.
const healthFile = "health.json"

// devices is the device manager together with the rest of what the node registers.
type devices struct {
	*device.Manager
	mu   sync.Mutex   // guards host
	host *pb.NodeInfo // with the devices that no plugin has
	as   machine
	// changed has a value when the node has to be registered anew.
	changed chan struct{}
}

// newDevices makes the device manager. What it evicts goes to evict.
func (a *Agent) newDevices(host *pb.NodeInfo, evict func(string, *driver.Fault)) (*devices, error) {
	d := &devices{host: host, changed: make(chan struct{}, 1), as: machine{
		catalogue: a.cfg.Catalogue, reservedMemoryMiB: a.cfg.Reserved.MemoryMiB,
	}}
	t := a.cfg.DeviceTiming
	var store *images.Store
	if a.cfg.ImagesDir != "" {
		var err error
		if store, err = images.Open(a.cfg.ImagesDir); err != nil {
			return nil, err
		}
	}
	var err error
	d.Manager, err = device.New(device.Config{
		Plugins: a.cfg.DevicePlugins, Policy: a.cfg.HealthPolicy, Keep: filepath.Join(a.cfg.DataDir, healthFile),
		SelfTest: a.cfg.SelfTest, Prolog: a.cfg.Prolog, Epilog: a.cfg.Epilog, Evict: evict, Logger: a.cfg.Logger.Named("device"),
		CallTimeout: t.Call, AnswerTimeout: t.Answer, HealthInterval: t.Health, CleanTimeout: t.Clean, DownGrace: t.DownGrace, RetryMin: t.RetryMin, RetryMax: t.RetryMax,
		Images: store, ProgramTimeout: t.Program, StatsInterval: t.Stats, TimesFile: filepath.Join(a.cfg.DataDir, "reprogram.json"),
		Changed: func() {
			select {
			case d.changed <- struct{}{}:
			default: // it will be told with what is waiting
			}
		},
	})
	return d, err
}

// info is what the node registers now.
func (d *devices) info() *pb.NodeInfo {
	d.mu.Lock()
	info := proto.CloneOf(d.host)
	d.mu.Unlock()
	info.Devices = append(info.Devices, d.Devices()...)
	slices.SortFunc(info.Devices, func(a, b *pb.Device) int { return strings.Compare(a.Id, b.Id) })
	info.DeviceLinks = d.Links(info.Devices)
	d.as.recognise(info)
	d.as.figures(info)
	info.Health = d.Host()
	return info
}

// programmer is the manager as the task service sees it.
type programmer struct{ *device.Manager }

var _ tasks.Programmer = programmer{}

// Program loads an image into a device.
func (p programmer) Program(ctx context.Context, id, image string, timeout time.Duration, progress func(int32, string)) (time.Duration, error) {
	return p.Manager.Program(ctx, id, image, timeout, progress)
}

// processors makes the book of who runs where; nil where nobody is bound. move may be called at once.
func (a *Agent) processors(move func(string, cpus.Pin)) (*cpus.Book, error) {
	if a.cfg.CPUBinding == cpus.Off {
		return nil, nil
	}
	top, err := cpus.ReadTopology(a.cfg.HostRoot)
	if err != nil {
		if a.cfg.CPUBinding == cpus.Exact {
			return nil, fmt.Errorf("bind tasks to processors: %w", err)
		}
		a.cfg.Logger.Warn("the host does not tell its processors: tasks run on any", "error", err)
		return nil, nil
	}
	return cpus.New(cpus.Config{Topology: top, Policy: a.cfg.CPUBinding, Move: move})
}

// firstLook is how long the first registration waits for the plugins: a node that comes without
// its devices would have work that needs them placed elsewhere.
const firstLook = 10 * time.Second

// await waits for the plugins' first word, for a while.
func (d *devices) await(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstLook)
	defer cancel()
	d.Ready(ctx)
}

// openDevices looks up the device nodes that every task may open.
func openDevices(paths []string) ([]driver.DeviceNode, error) {
	var nodes []driver.DeviceNode
	for _, path := range slices.Sorted(slices.Values(paths)) {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return nil, fmt.Errorf("device %s that all tasks may open: %w", path, err)
		}
		kind := map[uint32]string{unix.S_IFCHR: "c", unix.S_IFBLK: "b"}[st.Mode&unix.S_IFMT]
		if kind == "" || !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("%s, which all tasks may open, is no device node", path)
		}
		nodes = append(nodes, driver.DeviceNode{
			Path: path, Type: kind, Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)), Permissions: "rw",
		})
	}
	return nodes, nil
}
