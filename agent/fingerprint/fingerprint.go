package fingerprint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	pb "caravan/api/caravanv1"
	"caravan/scheduler/model"
	"caravan/scheduler/wire"
)

// DeviceSource tells of a host's devices; a device plugin is one.
type DeviceSource interface {
	// Devices returns the devices that the host has now, healthy or not.
	Devices(ctx context.Context) ([]*pb.Device, error)
}

// Config says where to look and what is not the host's to tell.
type Config struct {
	// Root is put before /proc, /sys and /etc; "" means the real ones.
	Root string
	// DataDir is on the file system whose space is offered as disk. It is not below Root.
	DataDir string
	// Name of the node; "" means the host name. Brought to lower case.
	Name string
	// What an operator knows of a host; "" for what nobody does.
	InstanceType, Family, Zone, Rack string
	// Reserved is kept back for the host itself.
	Reserved Reserve
	// Attributes are added to those found, and win over them.
	Attributes map[string]model.Attribute
	// Version of the agent.
	Version string
	// PriceMicroPerHour of the whole node in millionths of the currency unit; 0 unknown.
	PriceMicroPerHour int64
	// Devices are asked for devices, in order.
	Devices []DeviceSource
}

// Reserve is what is not offered to tasks.
type Reserve struct {
	CPUMilli  int64
	MemoryMiB int64
	DiskMiB   int64
}

// Take looks at the host. The address is left for the caller to fill in.
func Take(ctx context.Context, cfg Config) (*pb.NodeInfo, error) {
	name, err := nodeName(cfg)
	if err != nil {
		return nil, err
	}
	cpu, err := readCPU(cfg.Root)
	if err != nil {
		return nil, err
	}
	memory, err := readMemoryMiB(cfg.Root)
	if err != nil {
		return nil, err
	}
	disk, err := diskMiB(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	boot, err := readLine(cfg.Root, "proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("boot id: %w", err)
	}
	info := &pb.NodeInfo{
		Name: name, InstanceType: cfg.InstanceType, Family: cfg.Family, Zone: cfg.Zone, Rack: cfg.Rack,
		CpuMilli:  cpu.count*1000 - cfg.Reserved.CPUMilli,
		MemoryMib: memory - cfg.Reserved.MemoryMiB,
		DiskMib:   disk - cfg.Reserved.DiskMiB,
		BootId:    boot, Version: cfg.Version, PriceMicroPerHour: cfg.PriceMicroPerHour,
		Attributes: attributes(cfg, cpu),
	}
	if info.CpuMilli <= 0 || info.MemoryMib <= 0 || info.DiskMib < 0 {
		return nil, fmt.Errorf("nothing is left to offer: %d thousandths of a core, %d MiB memory, %d MiB disk after the reserve (lower the reserve, or free space below %s)",
			info.CpuMilli, info.MemoryMib, info.DiskMib, cfg.DataDir)
	}
	for _, source := range cfg.Devices {
		found, err := source.Devices(ctx)
		if err != nil {
			return nil, fmt.Errorf("devices: %w", err)
		}
		info.Devices = append(info.Devices, found...)
	}
	return info, nil
}

// nodeName returns the configured name or the host's. Cluster-wide rules for names are the
// servers' to check; here only the case is mended, which host names often get wrong.
func nodeName(cfg Config) (string, error) {
	name := cfg.Name
	if name == "" {
		var err error
		if name, err = readLine(cfg.Root, "proc/sys/kernel/hostname"); err != nil {
			return "", fmt.Errorf("host name: %w (name the node in the agent's configuration)", err)
		}
	}
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" {
		return "", errors.New("the host has no name (name the node in the agent's configuration)")
	}
	return name, nil
}

// attributes lists what jobs can ask of a host beside amounts.
func attributes(cfg Config, cpu cpuInfo) map[string]*pb.AttributeValue {
	found := map[string]model.Attribute{
		"arch":       model.Text(runtime.GOARCH),
		"cpu.cores":  model.Milli(cpu.count * 1000),
		"cgroup":     model.Text(CgroupVersion(cfg.Root)),
		"numa.nodes": model.Milli(numaNodes(cfg.Root) * 1000),
	}
	text := func(name, value string) {
		if value != "" {
			found[name] = model.Text(value)
		}
	}
	text("cpu.model", cpu.model)
	for _, f := range cpu.flags {
		found["cpu."+f] = model.Text("true")
	}
	if release, err := readLine(cfg.Root, "proc/sys/kernel/osrelease"); err == nil {
		text("kernel", release)
		if v, ok := kernelMilli(release); ok {
			found["kernel.version"] = model.Milli(v)
		}
	}
	id, version := osRelease(cfg.Root)
	text("os", id)
	text("os.version", version)
	for name, value := range cfg.Attributes {
		found[name] = value
	}
	out := make(map[string]*pb.AttributeValue, len(found))
	for name, value := range found {
		out[name] = wire.AttributeToProto(value)
	}
	return out
}

// diskMiB returns the space that an unprivileged user could still fill, as in df(1).
func diskMiB(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("disk space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * st.Bsize >> 20, nil
}

// CgroupVersion names the control group layout below root: "v2", "v1" or "none".
func CgroupVersion(root string) string {
	if exists(root, "sys/fs/cgroup/cgroup.controllers") {
		return "v2"
	}
	if exists(root, "sys/fs/cgroup/memory") || exists(root, "sys/fs/cgroup/cpu") {
		return "v1"
	}
	return "none"
}

func path(root, name string) string { return filepath.Join("/", root, name) }

func exists(root, name string) bool {
	_, err := os.Stat(path(root, name))
	return err == nil
}

// readLine returns a one-line file without its newline.
func readLine(root, name string) (string, error) {
	raw, err := os.ReadFile(path(root, name))
	return strings.TrimSpace(string(raw)), err
}
