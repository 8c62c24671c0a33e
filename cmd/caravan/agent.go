package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"caravan/agent"
	"caravan/agent/cpus"
	"caravan/agent/device/health"
	"caravan/agent/device/hook"
	"caravan/agent/driver"
	"caravan/agent/driver/exec"
	"caravan/cmd/caravan/internal/version"
	"caravan/scheduler/family"
)

// defaultCgroupParent is the control group below which tasks get theirs.
const defaultCgroupParent = "/caravan"

// maxPrice bounds what an hour of a host may cost.
const maxPrice = 1e6

// agentFlags describe one agent. Its servers are the global --server.
type agentFlags struct {
	daemonFlags
	tasks                            taskFlags
	name, listen, advertise          string
	dataDir, cgroupParent            string
	instanceType, family, zone, rack string
	price                            float64
	plugins, openDevices             []string
	healthPolicy, catalogue          string
	images, cpuBinding               string
	noDeviceWall                     bool
	containers                       string
	hostRoot                         string
	selfTest, prolog, epilog         string
	hookTimeout, selfTestTimeout     time.Duration
}

func newAgentCmd(s *session) *cobra.Command {
	f := &agentFlags{}
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run an agent: offer this host to the cluster",
		Long: `Run an agent. It advertises what this host has and runs what is placed on it.
Tasks outlive the agent: after a restart, or a kill -9, it finds them again.

  caravan agent --server s1:7300 --server s2:7300 --data-dir /var/lib/caravan/agent`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			return f.run(ctx, s)
		},
	}
	fl := cmd.Flags()
	f.add(fl)
	fl.StringVar(&f.name, "name", "", "the node's name (default: the host's)")
	fl.StringVar(&f.listen, "listen", "127.0.0.1:7310", "where servers fetch logs and open shells")
	fl.StringVar(&f.advertise, "advertise", "", "address servers reach the agent at (default: the listening address)")
	fl.StringVar(&f.dataDir, "data-dir", "/var/lib/caravan/agent", "where allocations live")
	fl.StringVar(&f.cgroupParent, "cgroup-parent", defaultCgroupParent, "control group for the tasks; empty for none, without limits")
	f.tasks.add(fl, exec.UserAuto, string(driver.IsolationStandard))
	fl.StringVar(&f.instanceType, "instance-type", autoType, "what machine this is, e.g. ecs.gn4-c8g1.4xlarge; auto for what its cores, memory and devices say; none for unknown")
	fl.StringVar(&f.family, "family", "", "the instance family, e.g. gn4 (default: that of the instance type)")
	fl.StringVar(&f.catalogue, "catalogue", "", "YAML file with further instance families, as for the servers")
	fl.StringVar(&f.zone, "zone", "", "zone or site")
	fl.StringVar(&f.rack, "rack", "", "rack")
	fl.Float64Var(&f.price, "price", 0, "what an hour of this host costs, for dry runs; 0 for unknown")
	fl.StringArrayVar(&f.plugins, "device-plugin", nil, "amd, fpga, nvidia, \"sim -machine gn4\" or the path of a device plugin, with its arguments; repeat for several; none for none (default: what the host has)")
	fl.StringVar(&f.healthPolicy, "health-policy", "", "YAML file that says what to make of signs of illness in devices (default: the built-in one)")
	fl.StringVar(&f.selfTest, "device-self-test", "", "program, with its arguments, that tests a repaired device before it takes work: exit status 0 is good")
	fl.DurationVar(&f.selfTestTimeout, "device-self-test-timeout", 10*time.Minute, "how long the self test may take")
	fl.StringVar(&f.prolog, "prolog", "", "program, with its arguments, run before each task; if it fails, host or device are to blame")
	fl.StringVar(&f.epilog, "epilog", "", "program, with its arguments, run after each task; likewise")
	fl.DurationVar(&f.hookTimeout, "hook-timeout", 30*time.Second, "how long prolog and epilog may take")
	fl.StringVar(&f.images, "images", "", "directory of FPGA images with an index, images.yaml")
	fl.StringVar(&f.cpuBinding, "cpu-binding", string(cpus.Near), "off: tasks run on any processor; near: next to their devices; exact: whole cores are a task's own as well")
	fl.StringArrayVar(&f.openDevices, "open-device", nil, "device node that every task may open, e.g. /dev/fuse; repeat for several")
	fl.StringVar(&f.containers, "containers", "", "program that keeps images of containers, with its arguments; none for none (default: caravan-container, if it lies beside caravan)")
	fl.StringVar(&f.hostRoot, "host-root", "", "where the host's /proc, /sys and /etc are, for an agent in a container; plugins have -sysfs-root and -dev-root")
	fl.BoolVar(&f.noDeviceWall, "no-device-wall", false, "let tasks open every device of the host")
	return cmd
}

func (f *agentFlags) run(ctx context.Context, s *session) error {
	log, err := f.logger(s, "agent")
	if err != nil {
		return err
	}
	if f.price < 0 || f.price > maxPrice {
		return &usageError{fmt.Sprintf("--price %v is outside 0 to %v", f.price, maxPrice), "give the price of an hour"}
	}
	dir, err := filepath.Abs(f.dataDir)
	if err != nil {
		return fmt.Errorf("the data directory: %w", err)
	}
	plugins, err := devicePlugins(f.plugins)
	if err != nil {
		return err
	}
	if f.images != "" {
		if f.images, err = filepath.Abs(f.images); err != nil {
			return fmt.Errorf("--images: %w", err)
		}
	}
	binding, err := cpus.ParsePolicy(f.cpuBinding)
	if err != nil {
		return &usageError{"--cpu-binding: " + err.Error(), "see `caravan agent --help`"}
	}
	containers, err := containerProgram(f.containers)
	if err != nil {
		return err
	}
	policy, err := readPolicy(f.healthPolicy)
	if err != nil {
		return err
	}
	catalogue, instanceType, err := f.machine()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cfg := agent.Config{
		DataDir: dir, Servers: s.addresses(), Name: f.name, Listen: f.listen, Advertise: f.advertise,
		Catalogue: catalogue, InstanceType: instanceType, Family: f.family, Zone: f.zone, Rack: f.rack, PriceMicroPerHour: int64(math.Round(f.price * 1e6)),
		DevicePlugins: plugins, HealthPolicy: policy, OpenDevices: f.openDevices, NoDeviceWall: f.noDeviceWall,
		SelfTest: program(f.selfTest, f.selfTestTimeout), Prolog: program(f.prolog, f.hookTimeout), Epilog: program(f.epilog, f.hookTimeout),
		ImagesDir: f.images, CPUBinding: binding, Containers: containers, HostRoot: f.hostRoot,
		CgroupParent: f.cgroupParent, Version: version.Version, Logger: log,
		Ready: func(n agent.Node) {
			if err := f.announce(n.Address); err != nil {
				cancel(err)
			}
		},
	}
	f.tasks.apply(&cfg)
	a, err := agent.New(cfg)
	if err != nil {
		return err
	}
	if err := a.Run(ctx); err != nil {
		return err
	}
	if cause := context.Cause(ctx); ctx.Err() != nil && cause != context.Canceled { //nolint:errorlint // the very value that an ordinary end leaves
		return cause
	}
	return nil
}

// program reads a command line without a shell's words: split at blanks.
func program(line string, timeout time.Duration) hook.Program {
	return hook.Program{Command: strings.Fields(line), Timeout: timeout}
}

// Words for --instance-type that are no types.
const (
	autoType = "auto"
	noType   = "none"
)

// machine returns the catalogue that the host is looked up in, nil for none, and the type that it is
// said to be. A type that the catalogue does not know is taken as it is: hosts may be of no family.
func (f *agentFlags) machine() (*family.Catalogue, string, error) {
	catalogue, err := readCatalogue(f.catalogue)
	switch f.instanceType {
	case noType:
		return nil, "", err
	case autoType:
		return catalogue, "", err
	}
	return catalogue, f.instanceType, err
}

// readPolicy reads an operator's policy; nil for none.
func readPolicy(file string) (*health.Policy, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("health policy: %w", err)
	}
	return health.Parse(file, raw)
}
