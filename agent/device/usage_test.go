package device

import (
	"testing"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/plugins/sdk/pluginv1"
)

// meter is a manager of one plugin with one device, which allocations hold.
func meter(t *testing.T, held map[string]int32) *Manager {
	t.Helper()
	m, err := New(Config{Plugins: []Plugin{{Name: "p", Command: []string{"/p"}}}})
	if err != nil {
		t.Fatal(err)
	}
	m.plugins[0].inventory = &pluginv1.Inventory{Devices: []*pluginv1.Device{{Id: "d", Thousandths: 1000}}}
	for allocation, thousandths := range held {
		m.Adopt(allocation, "", []*pb.DeviceShare{{DeviceId: "d", Thousandths: thousandths}})
		m.charge(allocation, "d").since = time.Unix(100, 0)
	}
	return m
}

func values(kv ...any) map[string]int64 {
	out := make(map[string]int64)
	for i := 0; i < len(kv); i += 2 {
		out[kv[i].(string)] = int64(kv[i+1].(int))
	}
	return out
}

func sampleOf(v map[string]int64, processes ...*pluginv1.ProcessStats) *pluginv1.StatsSample {
	return &pluginv1.StatsSample{Devices: []*pluginv1.DeviceStats{{DeviceId: "d", Values: v}}, Processes: processes}
}

func TestEnergyIsChargedByTheShareAndTheTime(t *testing.T) {
	m := meter(t, map[string]int32{"a": 250, "b": 500})
	m.charge("b", "d").since = time.Unix(105, 0) // it came half way between two samples
	m.sampled(sampleOf(values(powerValue, 40_000)), time.Unix(100, 0))
	m.sampled(sampleOf(values(powerValue, 80_000)), time.Unix(110, 0))
	for allocation, want := range map[string]int64{"a": 200_000, "b": 200_000} {
		if got := m.Usage(allocation)[0].EnergyMJ; got != want {
			t.Errorf("%s is charged %d mJ, want %d", allocation, got, want)
		}
	}
}

func TestACounterOfEnergyIsBetterThanItsPower(t *testing.T) {
	m := meter(t, map[string]int32{"a": 1000})
	for i, counter := range []int{5000, 8000, 100, 400} { // the driver was reset once
		m.sampled(sampleOf(values(energyValue, counter, powerValue, 1_000_000)), time.Unix(int64(100+10*i), 0))
	}
	u := m.Usage("a")[0]
	if _, told := u.Values[energyValue]; u.EnergyMJ != 3300 || told {
		t.Errorf("charged %v", u)
	}
}

func TestMemoryIsThatOfTheProcessesWhereTheyAreTold(t *testing.T) {
	m := meter(t, map[string]int32{"a": 500, "b": 500})
	m.sampled(sampleOf(values(memoryValue, 1000)), time.Unix(100, 0))
	if a, b := m.Usage("a")[0], m.Usage("b")[0]; a.PeakMemoryBytes != 500 || b.Values[memoryValue] != 500 {
		t.Errorf("by share: %v and %v", a, b)
	}
	m.sampled(sampleOf(values(memoryValue, 1000), &pluginv1.ProcessStats{DeviceId: "d", AllocationId: "a", Values: values(memoryValue, 700)},
		&pluginv1.ProcessStats{DeviceId: "d", AllocationId: "a", Values: values(memoryValue, 200)}, &pluginv1.ProcessStats{DeviceId: "d", Values: values(memoryValue, 100)}),
		time.Unix(110, 0))
	if a, b := m.Usage("a")[0], m.Usage("b")[0]; a.PeakMemoryBytes != 900 || b.Values[memoryValue] != 0 || b.PeakMemoryBytes != 500 {
		t.Errorf("by process: %v and %v", a, b)
	}
}

func TestLinksStandInTheOrderOfDevices(t *testing.T) {
	m := meter(t, nil)
	m.plugins[0].inventory.Links = []*pluginv1.Link{{A: "c", B: "a", Score: 150}}
	near := func(id string, node int64) *pb.Device {
		return &pb.Device{Id: id, Attributes: map[string]*pb.AttributeValue{"numa_node": {Value: &pb.AttributeValue_Milli{Milli: node * 1000}}}}
	}
	got := m.Links([]*pb.Device{near("a", 0), near("b", 0), near("c", 1), {Id: "d"}})
	want := []int32{sameProcessor, 150, 0, otherProcessor, 0, 0}
	for i := range want {
		if len(got) != len(want) || got[i] != want[i] {
			t.Fatalf("links %v, want %v", got, want)
		}
	}
	if got := m.Links([]*pb.Device{{Id: "x"}, {Id: "y"}}); got != nil {
		t.Errorf("unknown links are %v", got)
	}
}

// An allocation of an earlier agent that had no devices is not in this one's books.
func TestWhatIsNotHeldIsChargedNothing(t *testing.T) {
	if got := meter(t, map[string]int32{"a": 1000}).Usage("stranger"); got != nil {
		t.Errorf("got %+v", got)
	}
}
