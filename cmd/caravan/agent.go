package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"caravan/agent"
	"caravan/agent/device/health"
	"caravan/agent/driver"
	"caravan/agent/driver/exec"
	"caravan/cmd/caravan/internal/version"
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
	healthPolicy                     string
	noDeviceWall                     bool
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
	fl.StringVar(&f.instanceType, "instance-type", "", "what machine this is, e.g. ecs.gn4-c8g1.4xlarge")
	fl.StringVar(&f.family, "family", "", "the instance family, e.g. gn4")
	fl.StringVar(&f.zone, "zone", "", "zone or site")
	fl.StringVar(&f.rack, "rack", "", "rack")
	fl.Float64Var(&f.price, "price", 0, "what an hour of this host costs, for dry runs; 0 for unknown")
	fl.StringArrayVar(&f.plugins, "device-plugin", nil, "amd, fpga, \"sim -machine gn4\" or the path of a device plugin, with its arguments; repeat for several; none for none (default: what the host has)")
	fl.StringVar(&f.healthPolicy, "health-policy", "", "YAML file that says what to make of signs of illness in devices (default: the built-in one)")
	fl.StringArrayVar(&f.openDevices, "open-device", nil, "device node that every task may open, e.g. /dev/fuse; repeat for several")
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
	policy, err := readPolicy(f.healthPolicy)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cfg := agent.Config{
		DataDir: dir, Servers: s.addresses(), Name: f.name, Listen: f.listen, Advertise: f.advertise,
		InstanceType: f.instanceType, Family: f.family, Zone: f.zone, Rack: f.rack, PriceMicroPerHour: int64(math.Round(f.price * 1e6)),
		DevicePlugins: plugins, HealthPolicy: policy, OpenDevices: f.openDevices, NoDeviceWall: f.noDeviceWall,
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

// readPolicy reads an operator's policy; nil for none.
func readPolicy(file string) (*health.Policy, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("health policy: %w", err)
	}
	return health.Parse(raw)
}
