package faults

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"caravan/plugins/device/nvidia/fakenvml"
)

// nvidiaBench is the bench of the plugin for NVIDIA GPUs as it is shipped, on a driver's library that
// is pretended: each agent has two A100.
type nvidiaBench struct {
	built  *fakenvml.Bench
	states []*fakenvml.State
	devs   []string
	events []int // told so far, by agent
}

var _ Bench = (*nvidiaBench)(nil)

// newNVIDIABench builds the plugin and the library. It needs gcc, and root for the device nodes.
func newNVIDIABench(t *testing.T, agents int, card func(n int) fakenvml.Keys) *nvidiaBench {
	t.Helper()
	built, err := fakenvml.NewBench(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &nvidiaBench{built: built, events: make([]int, agents)}
	for range agents {
		dev := t.TempDir()
		for minor, name := range []string{"nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"} {
			// No driver has this number.
			if err := unix.Mknod(filepath.Join(dev, name), unix.S_IFCHR|0o666, int(unix.Mkdev(240, uint32(minor)))); err != nil { //nolint:gosec // small numbers
				t.Fatal(err)
			}
		}
		b.states = append(b.states, fakenvml.NewState(t, card(0), card(1), fakenvml.Keys{"driver": "550.54.15", "nvml": "12.550.54.15"}))
		b.devs = append(b.devs, dev)
	}
	return b
}

func (b *nvidiaBench) Plugin(agent int) string {
	return strings.Join([]string{
		"/usr/bin/env", b.built.Env(fakenvml.Current), b.states[agent].Env(), b.built.Program(),
		"-dev-root", b.devs[agent], "-kmsg", filepath.Join(b.devs[agent], "no-log"), "-smi", b.built.SMI(),
	}, " ")
}

// number is a GPU's place in the state.
func number(device string) int {
	n, _ := strconv.Atoi(strings.TrimLeft(strings.Split(device, "-")[1], "0")) // "" is the first
	return n
}

func (b *nvidiaBench) Inflict(agent int, device string, f Fault) error {
	gpu := fmt.Sprintf("gpu.%d.", number(device))
	ill := map[Fault]fakenvml.Keys{
		OffTheBus: {gpu + "fail": "15"},
		Contained: {},
		Dropped:   {gpu + "absent": "1"},
		Hung:      {gpu + "hang": "1"},
		// Two instances of the profile that the library lists as number 2, 3g.20gb.
		Remade: {
			gpu + "mig": "1", gpu + "instance.1": "2", gpu + "instance.1.start": "0", gpu + "instance.1.compute": "1",
			gpu + "instance.2": "2", gpu + "instance.2.start": "4", gpu + "instance.2.compute": "1",
		},
	}[f]
	// Kinds of events: 8 is an Xid, 256 a change of MIG.
	if event, tells := map[Fault]string{OffTheBus: "8 79 0", Contained: "8 94 0", Remade: "256 0 0"}[f]; tells {
		ill["event."+strconv.Itoa(b.events[agent])] = fmt.Sprintf("%d %s", number(device), event)
		b.events[agent]++
	}
	b.states[agent].Set(ill)
	return nil
}

func (b *nvidiaBench) Heal(agent int) error {
	well := make(fakenvml.Keys)
	for n := range 2 {
		for _, key := range []string{"fail", "absent", "hang"} {
			well[fmt.Sprintf("gpu.%d.%s", n, key)] = ""
		}
		for i := range 2 {
			for _, key := range []string{"", ".start", ".compute"} {
				well[fmt.Sprintf("gpu.%d.instance.%d%s", n, i+1, key)] = ""
			}
		}
		well[fmt.Sprintf("gpu.%d.mig", n)] = "0"
	}
	b.states[agent].Set(well)
	return nil
}

func (b *nvidiaBench) Code(f Fault) string { return codes()[f] }

func (b *nvidiaBench) Parts(device string) []string {
	return []string{fmt.Sprintf("MIG-%08d-0000-0000-0000-%012d", number(device), 1), fmt.Sprintf("MIG-%08d-0000-0000-0000-%012d", number(device), 2)}
}

func TestDrillOfNVIDIA(t *testing.T) {
	d := newDrill(t, func(string) Bench { return newNVIDIABench(t, 2, fakenvml.A100) })
	d.run(t)
}
