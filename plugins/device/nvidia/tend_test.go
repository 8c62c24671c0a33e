package nvidia

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"caravan/plugins/sdk/pluginv1"
)

// divisible is a library of one A100 with an instance, which counts what is done to it.
type divisible struct {
	Library
	mig       *MIG
	processes []Process
	did       []string
}

func (d *divisible) Look(context.Context) (Host, error) {
	m := *d.mig
	return Host{GPUs: []GPU{{UUID: "GPU-1", Name: "A100", PCI: "0000:3b:00.0", MIG: &m}}}, nil
}

func (d *divisible) Measure(context.Context) ([]Measurement, error) {
	return []Measurement{{UUID: "GPU-1", Processes: d.processes}}, nil
}

func (d *divisible) SetMIG(_ context.Context, _ string, on bool) error {
	d.did = append(d.did, map[bool]string{true: "on", false: "off"}[on])
	d.mig.Enabled, d.mig.Pending = on, on
	return nil
}

func (d *divisible) DestroyInstance(context.Context, string, int) error {
	d.did = append(d.did, "destroy")
	d.mig.Instances = nil
	return nil
}

func TestNothingIsTakenApartBeforeItIsKnownWhoUsesIt(t *testing.T) {
	for name, tc := range map[string]struct {
		wait      time.Duration
		held      string
		processes []Process
		want      []string
	}{
		"idle":                 {wait: time.Minute, want: []string{"destroy", "off"}},
		"soon after the start": {wait: time.Minute - 1},
		"an instance is held":  {wait: time.Minute, held: "MIG-1"},
		"a process uses it":    {wait: time.Minute, processes: []Process{{PID: 7, Instance: -1}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &divisible{mig: &MIG{Enabled: true, Pending: true, Profiles: a100(), Instances: []Instance{instance(1, named("3g.20gb"), 0)}}, processes: tc.processes}
				p, err := New(Config{Library: d, Layout: Layout{"*": nil}, SysfsRoot: t.TempDir(), DevRoot: t.TempDir(), ProcRoot: t.TempDir()})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := p.Inventory(t.Context()); err != nil {
					t.Fatal(err)
				}
				if tc.held != "" {
					if err := p.Hold(t.Context(), "a", "ann", []*pluginv1.Share{{DeviceId: tc.held, Thousandths: 1000}}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(tc.wait)
				p.tend(t.Context())
				if !slices.Equal(d.did, tc.want) {
					t.Errorf("did %v, want %v", d.did, tc.want)
				}
			})
		})
	}
}
