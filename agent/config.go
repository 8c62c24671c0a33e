package agent

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"caravan/agent/cpus"
	"caravan/agent/device"
	"caravan/agent/device/health"
	"caravan/agent/device/hook"
	"caravan/agent/driver"
	"caravan/agent/fingerprint"
	"caravan/agent/runner"
	"caravan/scheduler/family"
	"caravan/scheduler/model"
)

// Config describes an agent. The zero value of a field means its default.
type Config struct {
	// DataDir holds the directories of allocations and the agent's lock. Absolute; it is
	// made if need be. Its file system's free space is offered as disk. Required.
	//
	// A path below 80 characters keeps the shims' sockets within the kernel's limit
	// (unix(7): 108 bytes).
	DataDir string
	// Servers are the addresses of the servers' API, host:port, in any order. Required.
	Servers []string

	// Name of the node, unique in the cluster; default: the host name in lower case.
	Name string
	// Listen is where servers fetch logs from and run commands, host:port; default
	// 127.0.0.1:0, which suits a cluster on one machine.
	Listen string
	// Advertise is the address that servers are told; default: what Listen turned out to be,
	// with the address that leads to the first server if Listen names none.
	Advertise string

	// Catalogue is where the host is looked up when InstanceType is not given, and where the
	// family of a type is; default none.
	Catalogue *family.Catalogue
	// InstanceType, Family, Zone and Rack are what an operator knows of the host; default
	// unknown. Constraints and the packing of families read them.
	InstanceType, Family, Zone, Rack string
	// PriceMicroPerHour of the whole host, in millionths of the currency unit; default 0,
	// unknown.
	PriceMicroPerHour int64
	// Attributes are added to those found on the host, and win over them.
	Attributes map[string]model.Attribute
	// Reserved is kept back for the host and the agent itself; default nothing of the
	// processors and disk, and 256 MiB of memory, about what a small system idles at.
	Reserved fingerprint.Reserve
	// Devices are asked, once, what devices the host has beside those of plugins; default none.
	Devices []fingerprint.DeviceSource
	// DevicePlugins find the host's devices and hand them out; default none.
	DevicePlugins []device.Plugin
	// HealthPolicy judges what is seen of devices; default the embedded one.
	HealthPolicy *health.Policy
	// SelfTest tests a repaired device before it takes work again; Prolog and Epilog are run before
	// and after every real task. Their exit status 0 is yes. Default none.
	SelfTest, Prolog, Epilog hook.Program
	// DeviceTiming bounds the calls of plugins and their restarts; the zero value means the
	// defaults of package device.
	DeviceTiming DeviceTiming
	// ImagesDir is the store of images for programmable devices; see package images. Default none.
	ImagesDir string
	// CPUBinding says on which processors tasks run: off, near or exact; see package cpus. Default near.
	CPUBinding cpus.Policy
	// OpenDevices are device nodes that every task may open, such as /dev/fuse; default none.
	OpenDevices []string
	// NoDeviceWall lets tasks open every device of the host; default false: a task opens the
	// standard devices, OpenDevices and those it was given, wherever control groups can see to
	// that. The node's attribute "device_wall" tells: cgroup or none.
	NoDeviceWall bool
	// TaskUser says who tasks run as; see exec.ParseUsers. Default auto: an agent that is root
	// gives each task a user id of its own.
	TaskUser string
	// Isolation is how far tasks are shut off at least, and unless they ask for more; default
	// standard where that can be had, else host. The node's attribute "isolation" tells.
	Isolation driver.Isolation
	// Share are directories that tasks find as the host has them although a sandbox would hide
	// or protect them, such as one below /tmp, or the data of a fleet whose tasks run as root
	// or strict; default none. Absolute.
	Share []string
	// Containers is the program that keeps images of containers, with its arguments; see package
	// agent/driver/container/store. Default none: the node runs no containers. Where its runtime
	// does not answer neither, with a warning.
	Containers []string
	// ScratchMiB bounds the directories of a task that books no disk; default no bound.
	ScratchMiB int64
	// HostRoot is put before /proc, /sys and /etc when the host is looked at; default none.
	// Tests show the agent another host by it.
	HostRoot string
	// Version of the program, shown with the node.
	Version string

	// CgroupParent is the control group below which tasks get theirs, for example /caravan;
	// default none: tasks run without limits. Where it cannot be made they do too, with a
	// warning. Either way the node's attribute "limits" and every report tell: v1, v2 or none.
	CgroupParent string
	// RequireLimits makes Run fail where limits cannot be enforced; default false. Set it
	// where users share hosts.
	RequireLimits bool
	// ShimCommand starts a shim when a directory is appended; default: this program's hidden
	// subcommand `shim`.
	ShimCommand []string
	// SpareShims are kept started, so that a task need not wait for a program to load: some
	// 30 ms, against 10 MiB of memory each. Default 2; negative for none.
	SpareShims int
	// OutputRoots are the directories below which tasks may publish outputs; default: any.
	OutputRoots []string
	// Launches and Publications bound how many are under way at once; default 8 and 2, so
	// that a burst leaves the host to what runs.
	Launches, Publications int
	// Retention says how long ended allocations are kept for their logs; default: 2,000 of
	// them, 10 GiB, 7 days, and never less than 10 minutes.
	Retention runner.Retention

	// DialOptions are used to reach the servers, ServerOptions for the agent's own service;
	// default plain text. Transport credentials go here.
	DialOptions   []grpc.DialOption
	ServerOptions []grpc.ServerOption
	// StopTimeout is how long Run waits for open log and exec streams when it ends; default
	// 2 s. Streams that follow a running task would otherwise keep it for ever.
	StopTimeout time.Duration

	// Ready is called once, when the node is registered for the first time; default nothing.
	Ready func(Node)
	// Logger takes the agent's messages; default none.
	Logger hclog.Logger
}

// DeviceTiming is how patient the agent is with device plugins; see device.Config.
type DeviceTiming struct {
	Call, Answer, Health, DownGrace, Clean, RetryMin, RetryMax, Program, Stats time.Duration
}

// Node is what a ready agent is known by.
type Node struct {
	// Name in the cluster.
	Name string
	// Address where the agent serves logs and exec.
	Address string
}

// defaultReservedMemoryMiB is what is kept back of the memory unless told otherwise.
const defaultReservedMemoryMiB = 256

// withDefaults checks the configuration and fills in what is left open.
func (c Config) withDefaults() (Config, error) {
	if err := errors.Join(c.SelfTest.Check(), c.Prolog.Check(), c.Epilog.Check()); err != nil {
		return c, fmt.Errorf("agent: %w", err)
	}
	if !filepath.IsAbs(c.DataDir) {
		return c, fmt.Errorf("agent: data directory %q must be absolute", c.DataDir)
	}
	c.DataDir = filepath.Clean(c.DataDir)
	if len(c.Servers) == 0 {
		return c, errors.New("agent: no servers: give at least one address as host:port")
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	for what, address := range map[string]string{"listen": c.Listen, "advertise": c.Advertise} {
		if address == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return c, fmt.Errorf("agent: %s address %q: %w (give it as host:port)", what, address, err)
		}
	}
	if c.Isolation == "" {
		c.Isolation = driver.IsolationStandard
	}
	for _, dir := range c.Share {
		if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || dir == "/" {
			return c, fmt.Errorf("agent: shared directory %q must be absolute, clean and not the root", dir)
		}
	}
	if r := c.Reserved; r.CPUMilli < 0 || r.MemoryMiB < 0 || r.DiskMiB < 0 {
		return c, errors.New("agent: the reserve must not be negative")
	}
	if c.Reserved.MemoryMiB == 0 {
		c.Reserved.MemoryMiB = defaultReservedMemoryMiB
	}
	var err error
	if c.CPUBinding, err = cpus.ParsePolicy(string(c.CPUBinding)); err != nil {
		return c, fmt.Errorf("agent: %w", err)
	}
	switch {
	case c.SpareShims == 0:
		c.SpareShims = 2
	case c.SpareShims < 0:
		c.SpareShims = 0
	}
	if c.StopTimeout <= 0 {
		c.StopTimeout = 2 * time.Second
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	return c, nil
}
