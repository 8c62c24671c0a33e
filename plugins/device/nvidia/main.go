package nvidia

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"caravan/plugins/sdk"
)

// repeated is a flag that may be given several times.
type repeated []string

func (r *repeated) String() string { return fmt.Sprint(*r) }

func (r *repeated) Set(value string) error {
	*r = append(*r, value)
	return nil
}

// flags are those of the plugin's command line.
func flags(cfg *Config, layout, sharing *repeated) *flag.FlagSet {
	f := flag.NewFlagSet("caravan-nvidia", flag.ContinueOnError)
	f.StringVar(&cfg.SysfsRoot, "sysfs-root", "/sys", "where sysfs is mounted")
	f.StringVar(&cfg.DevRoot, "dev-root", "/dev", "where device nodes are")
	f.StringVar(&cfg.ProcRoot, "proc-root", "/proc", "where proc is mounted")
	f.StringVar(&cfg.Kernel, "kmsg", "/dev/kmsg", "the kernel's log; empty for none")
	f.Var(sharing, "share", "how GPUs are shared: none, time-slice (default) or mps; `GPU=MODE` for one, by UUID or PCI address; repeat for several")
	f.StringVar(&cfg.MPSControl, "mps-control", "nvidia-cuda-mps-control", "the MPS control daemon")
	f.StringVar(&cfg.MPSDir, "mps-dir", "/run/caravan/mps", "where the pipes of MPS daemons are")
	f.StringVar(&cfg.SMI, "smi", "nvidia-smi", "the program that resets GPUs")
	f.BoolVar(&cfg.KeepLockedClocks, "keep-locked-clocks", false, "leave clocks locked after a task")
	f.Var(layout, "mig", "how to divide GPUs by MIG, `GPU=PROFILE,PROFILE`: a UUID, a PCI address or * for the others; no profile for none; repeat for several")
	f.DurationVar(&cfg.TendInterval, "tend-interval", cfg.TendInterval, "time between two looks at processes and MIG layout (default 5s)")
	f.DurationVar(&cfg.Settle, "settle", cfg.Settle, "how long after the start nothing is taken for unused (default 1m)")
	f.DurationVar(&cfg.EventHold, "event-hold", cfg.EventHold, "how long an event is told after it was seen (default 1m)")
	return f
}

// lookInterval is how often the driver is asked; what it tells of by itself is seen at once.
const lookInterval = "look-interval"

// Main is the program: the plugin, or a check of the host with "check" as the first argument.
func Main(ctx context.Context, library Library, args []string, stdout io.Writer) error {
	cfg := Config{Library: library, Log: os.Stderr}
	if len(args) > 0 && args[0] == "check" {
		f := flag.NewFlagSet("caravan-nvidia check", flag.ContinueOnError)
		asJSON := f.Bool("json", false, "print all that was read as JSON")
		f.StringVar(&cfg.SysfsRoot, "sysfs-root", "/sys", "where sysfs is mounted")
		f.StringVar(&cfg.ProcRoot, "proc-root", "/proc", "where proc is mounted")
		if err := f.Parse(args[1:]); err != nil {
			return err
		}
		return Check(ctx, cfg, *asJSON, stdout)
	}
	var layout, sharing repeated
	f := flags(&cfg, &layout, &sharing)
	interval := f.Duration(lookInterval, 0, "time between two looks at the driver (default 5s)")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	var err error
	if cfg.Layout, err = ParseLayout(layout); err != nil {
		return err
	}
	if cfg.Sharing, cfg.SharingOf, err = ParseSharing(sharing); err != nil {
		return err
	}
	p, err := New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	err = sdk.Serve(sdk.Config{Name: "nvidia", Version: "1", Plugin: p, LookInterval: *interval})
	cancel()
	return errors.Join(err, <-ran)
}
