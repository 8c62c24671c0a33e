package trace_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"caravan/scheduler/family"
	"caravan/scheduler/sim/generate"
	"caravan/scheduler/sim/trace"
)

// TestReading shows what is read from a file, or the fault that is found in it.
func TestReading(t *testing.T) {
	datadriven.RunTest(t, "testdata/reading", func(t *testing.T, d *datadriven.TestData) string {
		var b strings.Builder
		switch d.Cmd {
		case "nodes":
			nodes, err := trace.ReadNodes("nodes.csv", strings.NewReader(d.Input))
			if err != nil {
				return err.Error() + "\n"
			}
			for _, n := range nodes {
				fmt.Fprintf(&b, "%s: %d milli-cores, %d MiB, %d x %q of %d, family %q\n", n.Name, n.CPUMilli, n.MemoryMiB, n.Devices, n.Model, n.Milli, n.Family)
			}
		case "pods":
			pods, err := trace.ReadPods("pods.csv", strings.NewReader(d.Input))
			if err != nil {
				return err.Error() + "\n"
			}
			for _, p := range pods {
				fmt.Fprintf(&b, "%s: %d milli-cores, %d MiB, %d x %d, models %q\n", p.Name, p.CPUMilli, p.MemoryMiB, p.Devices, p.Milli, p.Models)
			}
		default:
			d.Fatalf(t, "no directive %s", d.Cmd)
		}
		return b.String()
	})
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	catalogue, err := family.Load()
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := generate.FamilyFleet(catalogue, "gn4=2,ga1.xlarge=3,f1=1,c4=2")
	if err != nil {
		t.Fatal(err)
	}
	mix, err := generate.NamedMix("constrained")
	if err != nil {
		t.Fatal(err)
	}
	mix.Pods = 500
	pods, err := generate.OpenbPods(mix, 3)
	if err != nil {
		t.Fatal(err)
	}
	var n, p bytes.Buffer
	if err := trace.WriteNodes(&n, nodes); err != nil {
		t.Fatal(err)
	}
	if err := trace.WritePods(&p, pods); err != nil {
		t.Fatal(err)
	}
	gotNodes, err := trace.ReadNodes("n", &n)
	if err != nil {
		t.Fatal(err)
	}
	gotPods, err := trace.ReadPods("p", &p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(nodes, gotNodes); diff != "" {
		t.Errorf("nodes changed on their way:\n%s", diff)
	}
	if diff := cmp.Diff(pods, gotPods); diff != "" {
		t.Errorf("pods changed on their way:\n%s", diff)
	}
}
