package request

import (
	"testing"

	"caravan/scheduler/model"
)

func TestEqualDemandsAreOneClass(t *testing.T) {
	where := func(attribute string, values ...string) model.Constraint {
		c := model.Constraint{Attribute: attribute, Operator: model.In}
		for _, v := range values {
			c.Values = append(c.Values, model.Text(v))
		}
		return c
	}
	gpu := func(thousandths int32) model.Resources {
		return model.Resources{CPUMilli: 1, Devices: []model.DeviceRequest{{Kind: model.KindGPU, Thousandths: thousandths}}}
	}
	type pair struct {
		g model.TaskGroup
		v model.Variant
	}
	classes := [][]pair{
		{
			{model.TaskGroup{Name: "x"}, model.Variant{Name: "one", Command: []string{"a"}, SpeedPermille: 5}},
			{model.TaskGroup{Name: "y", Gang: true}, model.Variant{Name: "two", Driver: model.DriverExec}},
		},
		{
			// Whose constraint it is makes no difference.
			{model.TaskGroup{Constraints: []model.Constraint{where("zone", "a")}}, model.Variant{}},
			{model.TaskGroup{}, model.Variant{Constraints: []model.Constraint{where("zone", "a")}}},
		},
		{{model.TaskGroup{Constraints: []model.Constraint{where("zone", "a", "b")}}, model.Variant{}}},
		{{model.TaskGroup{Constraints: []model.Constraint{where("zone", "ab")}}, model.Variant{}}},
		{{model.TaskGroup{Constraints: []model.Constraint{where("zone", "a"), where("b")}}, model.Variant{}}},
		{{model.TaskGroup{}, model.Variant{Driver: model.DriverSim}}},
		{{model.TaskGroup{}, model.Variant{Resources: gpu(1000)}}, {model.TaskGroup{}, model.Variant{Resources: gpu(0)}}},
		{{model.TaskGroup{}, model.Variant{Resources: gpu(500)}}},
	}
	table := NewTable()
	for id, alike := range classes {
		for i := range alike {
			if got := table.Intern(&alike[i].g, &alike[i].v).ID; got != id {
				t.Errorf("pair %d of class %d has class %d", i, id, got)
			}
		}
	}
	if table.Len() != len(classes) {
		t.Errorf("%d classes, want %d", table.Len(), len(classes))
	}
}

func TestADeviceGivesWhatItOffers(t *testing.T) {
	whole := model.Device{Kind: model.KindGPU, Thousandths: 1000, MemoryMiB: 8000}
	quarter := model.Device{Kind: model.KindGPU, Thousandths: 250, MemoryMiB: 2000}
	for _, c := range []struct {
		what   string
		r      model.DeviceRequest
		d      model.Device
		memory int64
		ok     bool
	}{
		{"whole", model.DeviceRequest{Kind: model.KindGPU, Thousandths: 1000, MemoryMiB: 1}, whole, 8000, true},
		{"whole, too small", model.DeviceRequest{Kind: model.KindGPU, Thousandths: 1000, MemoryMiB: 8001}, whole, 0, false},
		{"third, rounded up", model.DeviceRequest{Kind: model.KindGPU, Thousandths: 333}, whole, 2664, true},
		{"one thousandth", model.DeviceRequest{Kind: model.KindGPU, Thousandths: 1}, quarter, 8, true},
		{"with memory", model.DeviceRequest{Kind: model.KindGPU, Thousandths: 100, MemoryMiB: 7000}, whole, 7000, true},
		{"half of a quarter", model.DeviceRequest{Kind: model.KindGPU, Thousandths: 125}, quarter, 1000, true},
		{"more than is offered", model.DeviceRequest{Kind: model.KindGPU, Thousandths: 251}, quarter, 0, false},
		{"another kind", model.DeviceRequest{Kind: model.KindFPGA, Thousandths: 1}, whole, 0, false},
	} {
		if _, memory, ok := Share(&c.r, &c.d); memory != c.memory || ok != c.ok {
			t.Errorf("%s: %d MiB %v, want %d %v", c.what, memory, ok, c.memory, c.ok)
		}
	}
}
