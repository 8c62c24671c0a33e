package simnodes

import (
	"strings"
	"testing"
)

func TestAFleetHasTheCataloguesMachines(t *testing.T) {
	nodes, err := Parse("gn4=2,ga1=1,f1=1,c4=1")
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes) != 5 || nodes[0].Name != "gn4-1" || nodes[1].Name != "gn4-2" {
		t.Fatalf("nodes: %v", nodes)
	}
	gn4, ga1, f1, c4 := nodes[0], nodes[2], nodes[3], nodes[4]
	if len(gn4.Devices) != 2 || gn4.Devices[0].Model != "M40" || gn4.Devices[0].MemoryMib != 12<<10 || gn4.CpuMilli != 56_000 {
		t.Errorf("gn4: %v", gn4)
	}
	if len(ga1.Devices) != 4 || ga1.Devices[0].Attributes["fp64_tflops"].GetMilli() != 250 {
		t.Errorf("ga1: %v", ga1)
	}
	if len(f1.Devices) == 0 || f1.Devices[0].Kind != "fpga" || f1.Devices[0].Attributes["dsp"].GetMilli() != 1_518_000 {
		t.Errorf("f1: %v", f1)
	}
	if len(c4.Devices) != 0 || !c4.Simulated {
		t.Errorf("c4: %v", c4)
	}
}

func TestAQuarterOfACardIsASmallerDevice(t *testing.T) {
	nodes, err := Parse("ecs.ga1.xlarge=1")
	if err != nil {
		t.Fatal(err)
	}
	d := nodes[0].Devices
	if len(d) != 1 || d[0].Thousandths != 250 || d[0].MemoryMib != 2<<10 {
		t.Errorf("devices of a ga1.xlarge: %v", d)
	}
}

func TestAnUnknownFamilyIsNamed(t *testing.T) {
	if _, err := Parse("gn44=1"); err == nil || !strings.Contains(err.Error(), "gn4") {
		t.Errorf("error %v does not say which family was meant", err)
	}
}
