// Package sim is a device plugin whose devices do not exist: those of any machine of the
// catalogue, with faults on command. It lets a cluster be tried, and tested, on hosts without a
// GPU or an FPGA.
//
// A file decides what is wrong with the devices, see Faults. It is read anew at each look, so that
// a test or an operator changes it while the plugin runs. Images of FPGAs are remembered in files
// of a directory, so that they survive the plugin as they survive it on hardware.
package sim

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
	"caravan/scheduler/family"
)

// Faults is the content of the file of faults, in YAML.
type Faults struct {
	// Devices are the faults by device.
	Devices map[string]Fault `yaml:"devices"`
	// Crash ends the plugin, Hang lets it answer nothing any more.
	Crash bool `yaml:"crash"`
	Hang  bool `yaml:"hang"`
	// ProgramFails is what programming fails with; "" if it does not.
	ProgramFails string `yaml:"program_fails"`
	// Parts are devices that were split: each appears as so many equal parts.
	Parts map[string]int `yaml:"parts"`
}

// Fault is what is wrong with one device.
type Fault struct {
	// Lost devices are not in the inventory.
	Lost bool `yaml:"lost"`
	// Signals are seen of it: a code of the health policy and a sentence.
	Signals map[string]string `yaml:"signals"`
	// UntilReset: the fault is gone, whatever it was, once the device has been reset. The plugin
	// remembers that as long as it runs and the fault stays as it is.
	UntilReset bool `yaml:"until_reset"`
	// ResetFails is what a reset fails with; "" if it does not.
	ResetFails string `yaml:"reset_fails"`
	// PIDs are processes that use the device, MemoryLeft is bytes that nobody owns.
	PIDs       []int64 `yaml:"pids"`
	MemoryLeft int64   `yaml:"memory_left"`
	// Measures are what is measured of it, by name with the unit at its end; else it is idle.
	Measures map[string]int64 `yaml:"measures"`
}

// Config says what to pretend.
type Config struct {
	// Machine is a family or a type of the catalogue, as in gn4 or ecs.ga1.xlarge. Required.
	Machine string
	// Catalogue is an operator's file with further families; "" for none.
	Catalogue string
	// Faults is the file of faults; "" for none. It need not exist.
	Faults string
	// State is a directory for images; "" forgets them.
	State string
	// Island is how many devices in a row are directly linked with each other; 0 for none.
	Island int
	// Nodes is a directory where a device may have a node of its id, which is then handed out;
	// "" for none.
	Nodes string
	// Mounts and Hooks come with each device, as they would with a vendor's.
	Mounts []*pluginv1.Mount
	Hooks  []*pluginv1.Hook
	// ProgramTime is how long programming takes.
	ProgramTime time.Duration
}

// Plugin pretends.
type Plugin struct {
	cfg     Config
	devices []*pluginv1.Device

	mu    sync.Mutex
	reset map[string]Fault // what a device had when it was reset
}

var (
	_ sdk.Plugin     = (*Plugin)(nil)
	_ sdk.Programmer = (*Plugin)(nil)
	_ sdk.Meter      = (*Plugin)(nil)
	_ sdk.Resetter   = (*Plugin)(nil)
	_ sdk.Cleaner    = (*Plugin)(nil)
)

// New looks the machine up.
func New(cfg Config) (*Plugin, error) {
	catalogue, err := family.Load()
	if err == nil && cfg.Catalogue != "" {
		var src []byte
		if src, err = os.ReadFile(cfg.Catalogue); err == nil {
			catalogue, err = catalogue.Extend(cfg.Catalogue, src)
		}
	}
	if err != nil {
		return nil, err
	}
	machine, err := catalogue.Type(cfg.Machine)
	if err != nil {
		return nil, err
	}
	p := &Plugin{cfg: cfg, reset: make(map[string]Fault)}
	for _, share := range machine.Devices {
		for i, left := 0, share.Thousandths; left > 0; i, left = i+1, left-min(left, family.Whole) {
			p.devices = append(p.devices, device(i, share.Part, min(left, family.Whole)))
		}
	}
	return p, nil
}

// lookInterval is short, since tests and demonstrations wait for what is seen.
const lookInterval = 100 * time.Millisecond

// Main serves the plugin with the arguments of its command line.
func Main(args []string) error {
	flags := flag.NewFlagSet("device-plugin sim", flag.ContinueOnError)
	var cfg Config
	flags.StringVar(&cfg.Machine, "machine", "", "family or type of the catalogue whose devices to pretend")
	flags.StringVar(&cfg.Faults, "faults", "", "YAML file of faults; read again and again")
	flags.StringVar(&cfg.State, "state", "", "directory that remembers images")
	flags.IntVar(&cfg.Island, "island", 0, "how many devices in a row are directly linked")
	flags.StringVar(&cfg.Nodes, "nodes", "", "directory with device nodes named by device")
	flags.Func("mount", "HOST:TASK[:OPTION,...], what a task with devices finds elsewhere; may be repeated", cfg.addMount)
	flags.Func("hook", "createRuntime=PROGRAM or poststop=PROGRAM, run around tasks with devices; may be repeated", cfg.addHook)
	flags.StringVar(&cfg.Catalogue, "catalogue", "", "operator's file that adds families, or \"\"")
	flags.DurationVar(&cfg.ProgramTime, "program-time", 500*time.Millisecond, "how long programming takes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p, err := New(cfg)
	if err != nil {
		return err
	}
	return sdk.Serve(sdk.Config{Name: "sim", Version: "1", Plugin: p, LookInterval: lookInterval})
}

// sessions is how many encoder sessions a card with video engines pretends.
const sessions = 16

// device describes a device, or the slice of one that the machine has.
func device(i int, part family.Part, thousandths int64) *pluginv1.Device {
	d := &pluginv1.Device{
		Id: fmt.Sprintf("sim-%s-%d", strings.ToLower(part.Name), i), Kind: string(part.Kind), Vendor: part.Vendor, Model: part.Name,
		MemoryMib: part.MemMiB * thousandths / family.Whole, Thousandths: int32(thousandths), ShareThousandths: 1, //nolint:gosec // at most 1000
		Attributes: make(map[string]*pluginv1.Attribute), Health: &pluginv1.Health{},
	}
	// Thousandths of a TFLOPS are GFLOPS.
	for name, milli := range map[string]int64{
		"cores": part.Cores * 1000, "fp32_tflops": part.FP32GFLOPS, "fp64_tflops": part.FP64GFLOPS, "compute_capability": part.CC * 100,
		"watts": part.Watts * 1000, "logic_elements": part.LogicElements * 1000, "dsp": part.DSP * 1000,
	} {
		if milli > 0 {
			d.Attributes[name] = &pluginv1.Attribute{Value: &pluginv1.Attribute_Milli{Milli: milli}}
		}
	}
	if part.MediaEngine == family.Yes {
		for name, whole := range map[string]int64{"encoder_sessions": sessions * 1000, "encode": 1000, "decode": 1000} {
			d.Attributes[name] = &pluginv1.Attribute{Value: &pluginv1.Attribute_Milli{Milli: whole * thousandths / family.Whole}}
		}
	}
	if part.Kind == family.FPGA {
		d.ShareThousandths = d.Thousandths
		d.Region = &pluginv1.Region{State: pluginv1.RegionState_REGION_STATE_EMPTY, Shell: "sim", Exclusive: true}
	}
	return d
}

// faults reads the file of faults.
func (p *Plugin) faults() (Faults, error) {
	var f Faults
	if p.cfg.Faults == "" {
		return f, nil
	}
	raw, err := os.ReadFile(p.cfg.Faults)
	if errors.Is(err, os.ErrNotExist) {
		return f, nil
	}
	if err == nil {
		err = yaml.UnmarshalWithOptions(raw, &f, yaml.Strict())
	}
	if err != nil {
		return f, fmt.Errorf("file of faults %s: %w", p.cfg.Faults, err)
	}
	return f, nil
}

// Inventory returns the devices with what is wrong with them.
func (p *Plugin) Inventory(ctx context.Context) (*pluginv1.Inventory, error) {
	faults, err := p.faults()
	switch {
	case err != nil:
		return nil, err
	case faults.Crash:
		os.Exit(3) //nolint:forbidigo // a crash is what was asked for
	case faults.Hang:
		<-context.WithoutCancel(ctx).Done() // for ever
	}
	inv := &pluginv1.Inventory{}
	for _, known := range split(p.devices, faults.Parts) {
		fault := p.fault(faults, known.Id)
		if fault.Lost {
			inv.Reasons = append(inv.Reasons, "device "+known.Id+" is lost, as its fault says")
			continue
		}
		d := proto.CloneOf(known)
		for code, detail := range fault.Signals {
			d.Health.Signals = append(d.Health.Signals, &pluginv1.Signal{Code: code, Detail: detail})
		}
		slices.SortFunc(d.Health.Signals, func(a, b *pluginv1.Signal) int { return strings.Compare(a.Code, b.Code) })
		if image := p.image(d.Id); d.Region != nil && image != "" {
			d.Region.State, d.Region.Image = pluginv1.RegionState_REGION_STATE_READY, image
		}
		inv.Devices = append(inv.Devices, d)
	}
	if len(inv.Devices) == 0 && len(inv.Reasons) == 0 {
		inv.Reasons = append(inv.Reasons, "a "+p.cfg.Machine+" has no devices")
	}
	inv.Links = p.links(inv.Devices)
	return inv, nil
}

// Edits gives a task the names of its devices, and their nodes where there are any.
func (p *Plugin) Edits(_ context.Context, shares []*pluginv1.Share) (*pluginv1.Edits, error) {
	e := &pluginv1.Edits{Mounts: p.cfg.Mounts, Hooks: p.cfg.Hooks}
	var names []string
	for _, s := range shares {
		names = append(names, s.DeviceId)
		if p.cfg.Nodes == "" {
			continue
		}
		path := filepath.Join(p.cfg.Nodes, s.DeviceId)
		var st unix.Stat_t
		err := unix.Stat(path, &st)
		switch {
		case errors.Is(err, unix.ENOENT):
			continue
		case err != nil:
			return nil, fmt.Errorf("node of device %s: %w", s.DeviceId, err)
		case st.Mode&unix.S_IFMT != unix.S_IFCHR:
			return nil, fmt.Errorf("node of device %s: %s is no character device (make it with mknod)", s.DeviceId, path)
		}
		e.DeviceNodes = append(e.DeviceNodes, &pluginv1.DeviceNode{
			Path: path, Type: "c", Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)), Permissions: "rw",
		})
	}
	e.Env = []string{"SIM_VISIBLE_DEVICES=" + strings.Join(names, ",")}
	return e, nil
}

// Stats pretends what the file of faults says, and that all other devices are idle.
func (p *Plugin) Stats(context.Context) (*pluginv1.StatsSample, error) {
	faults, err := p.faults()
	if err != nil {
		return nil, err
	}
	sample := &pluginv1.StatsSample{}
	for _, d := range p.devices {
		values := map[string]int64{"busy_thousandths": 0}
		maps.Copy(values, faults.Devices[d.Id].Measures)
		sample.Devices = append(sample.Devices, &pluginv1.DeviceStats{DeviceId: d.Id, Values: values})
	}
	return sample, nil
}

// steps is how often programming tells of its progress.
const steps = 10

// Program takes its time and then remembers the image.
func (p *Plugin) Program(ctx context.Context, req *pluginv1.ProgramRequest, progress func(int32, string)) error {
	for i := range steps {
		progress(int32(i)*sdk.Whole/steps, "writing")
		t := time.NewTimer(p.cfg.ProgramTime / steps)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
	faults, err := p.faults()
	switch {
	case err != nil:
		return err
	case faults.ProgramFails != "":
		return errors.New(faults.ProgramFails)
	case p.cfg.State == "":
		return errors.New("images cannot be remembered: give the plugin a -state directory")
	}
	return os.WriteFile(p.imageFile(req.DeviceId), []byte(req.Image+"\n"), 0o600)
}

func (p *Plugin) imageFile(device string) string {
	return filepath.Join(p.cfg.State, device+".afu_id")
}

func (p *Plugin) image(device string) string {
	if p.cfg.State == "" {
		return ""
	}
	raw, _ := os.ReadFile(p.imageFile(device)) // no file, no image
	return strings.TrimSpace(string(raw))
}
