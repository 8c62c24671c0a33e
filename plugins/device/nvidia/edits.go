package nvidia

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/plugins/device/internal/sysfs"
	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// commonNodes are opened by every user of the driver. Where one is absent its use is too.
var commonNodes = [...]string{"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"}

// part is what a share is of.
type part struct {
	gpu      GPU
	instance *Instance // nil for the GPU itself
}

func (a part) uuid() string {
	if a.instance != nil {
		return a.instance.UUID
	}
	return a.gpu.UUID
}

// find returns what a device is.
func (p *Plugin) find(device string) (part, error) {
	for _, g := range p.gpus() {
		if !g.divided() && deviceID(g.UUID) == device {
			return part{gpu: g}, nil
		}
		if !g.divided() {
			continue
		}
		for _, i := range g.MIG.Instances {
			if deviceID(i.UUID) == device {
				return part{gpu: g, instance: &i}, nil
			}
		}
	}
	return part{}, status.Errorf(codes.NotFound, "GPU %s is gone", device)
}

// Edits are those of a task of nobody known.
func (p *Plugin) Edits(ctx context.Context, shares []*pluginv1.Share) (*pluginv1.Edits, error) {
	return p.EditsFor(ctx, "", shares)
}

// EditsFor gives a task the nodes of its GPUs and their names, for CUDA and for container runtimes, by
// UUID: numbers differ between a host and a container.
func (p *Plugin) EditsFor(_ context.Context, tenant string, shares []*pluginv1.Share) (*pluginv1.Edits, error) {
	e := &pluginv1.Edits{}
	var uuids, nodes []string
	for _, name := range commonNodes {
		nodes = append(nodes, filepath.Join(p.cfg.DevRoot, name))
	}
	for _, s := range shares {
		of, err := p.find(s.DeviceId)
		if err != nil {
			return nil, err
		}
		uuids = append(uuids, of.uuid())
		own := []string{filepath.Join(p.cfg.DevRoot, "nvidia"+strconv.Itoa(of.gpu.Minor))}
		if of.instance != nil {
			caps, err := p.capabilities(of)
			if err != nil {
				return nil, err
			}
			own = append(own, caps...)
		}
		for _, path := range own {
			if _, ok, err := node(path); err != nil || !ok {
				return nil, errors.Join(fmt.Errorf("GPU %s has no device node %s (nvidia-modprobe or nvidia-smi makes it)", s.DeviceId, path), err)
			}
		}
		nodes = append(nodes, own...)
		e.Limits = append(e.Limits, p.limits(of, s)...)
	}
	slices.Sort(nodes)
	for _, path := range slices.Compact(nodes) {
		n, ok, err := node(path)
		if err != nil {
			return nil, err
		}
		if ok {
			e.DeviceNodes = append(e.DeviceNodes, n)
		}
	}
	all := strings.Join(uuids, ",")
	e.Env = []string{"CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=" + all, "NVIDIA_VISIBLE_DEVICES=" + all}
	if err := p.editsOfMPS(e, tenant, shares); err != nil {
		return nil, err
	}
	slices.Sort(e.Env)
	return e, nil
}

// node looks a device node up; false if there is none.
func node(path string) (*pluginv1.DeviceNode, bool, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("device node %s: %w", path, err)
	case st.Mode&unix.S_IFMT != unix.S_IFCHR:
		return nil, false, fmt.Errorf("%s is no character device", path)
	}
	return &pluginv1.DeviceNode{
		Path: path, Type: "c", Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)), Permissions: "rw",
	}, true, nil
}

// capabilities are the nodes that let a process into an instance: the kernel module tells their
// minors in /proc (Multi-Instance GPU User Guide, Device Nodes and Capabilities).
func (p *Plugin) capabilities(of part) ([]string, error) {
	gpu := filepath.Join(p.cfg.ProcRoot, "driver/nvidia/capabilities", "gpu"+strconv.Itoa(of.gpu.Minor), "mig")
	instance := filepath.Join(gpu, "gi"+strconv.Itoa(of.instance.ID))
	var nodes []string
	for _, dir := range []string{instance, filepath.Join(instance, "ci"+strconv.Itoa(of.instance.Compute))} {
		minor, ok := "", false
		for line := range strings.Lines(sysfs.Dir(dir).Text("access")) {
			if value, found := strings.CutPrefix(line, "DeviceFileMinor:"); found {
				minor, ok = strings.TrimSpace(value), true
			}
		}
		if _, err := strconv.Atoi(minor); err != nil || !ok {
			return nil, fmt.Errorf("MIG device %s: %s/access does not tell its device node", of.uuid(), dir)
		}
		nodes = append(nodes, filepath.Join(p.cfg.DevRoot, "nvidia-caps", "nvidia-cap"+minor))
	}
	return nodes, nil
}

// limits say what bounds a share. A whole GPU has no neighbours.
func (p *Plugin) limits(of part, s *pluginv1.Share) []*pluginv1.Limit {
	limit := func(resource, by string) *pluginv1.Limit {
		return &pluginv1.Limit{DeviceId: s.DeviceId, Resource: resource, Enforced: by != "", By: by}
	}
	switch {
	case of.instance != nil:
		return []*pluginv1.Limit{limit("compute", "mig"), limit("memory", "mig"), limit("encoder", "mig")}
	case s.Thousandths == sdk.Whole:
		return nil
	}
	compute, memory := "", ""
	if p.sharing(of.gpu) == MPS && of.gpu.ComputeCapability >= mpsLimits {
		compute = "mps"
		if s.MemoryMib > 0 {
			memory = "mps"
		}
	}
	return []*pluginv1.Limit{limit("compute", compute), limit("memory", memory), limit("encoder", "")}
}
