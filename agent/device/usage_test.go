package device

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	pb "caravan/api/caravanv1"
	"caravan/plugins/sdk/pluginv1"
)

// meter is a manager of one plugin with one device, which allocations hold.
func meter(t *testing.T, held map[string]int32) *Manager {
	t.Helper()
	m, err := New(Config{ProcRoot: t.TempDir(), Plugins: []Plugin{{Name: "p", Command: []string{"/p"}}}})
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

// run pretends a process.
func (m *Manager) run(t *testing.T, pid, cgroup, environ string) {
	t.Helper()
	dir := filepath.Join(m.cfg.ProcRoot, pid)
	err := os.MkdirAll(dir, 0o755)
	for name, text := range map[string]string{"cgroup": cgroup, "environ": environ} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAProcessIsChargedToTheTaskWhoseControlGroupItIsIn(t *testing.T) {
	m := meter(t, map[string]int32{"a.0.1": 500, "b.0.1": 500})
	m.Adopt("c.0.1", "", nil) // runs, and has no device
	m.run(t, "10", "4:memory:/x/task-a.0.1-01234567\n0::/other\n", "")
	m.run(t, "11", "0::/x/task-a.0.1-01234567/inner\n", "CARAVAN_ALLOCATION=b.0.1\x00")
	m.run(t, "20", "0::/user.slice\n", "HOME=/\x00CARAVAN_ALLOCATION=b.0.1\x00") // without limits
	m.run(t, "30", "0::/x/task-c.0.1-01234567\n", "")
	m.run(t, "40", "0::/user.slice\n", "")
	uses := func(pid int64, memory, busy int) *pluginv1.ProcessStats {
		return &pluginv1.ProcessStats{DeviceId: "d", Pid: pid, Command: "p", Values: values(memoryValue, memory, "busy_thousandths", busy)}
	}
	sample := sampleOf(values(memoryValue, 1000, "busy_thousandths", 900), uses(10, 100, 200), uses(11, 50, 100), uses(20, 300, 50), uses(30, 7, 7), uses(40, 9, 9), uses(50, 3, 3))
	squatters := func() string { return m.Devices()[0].Attributes["squatters"].GetText() }
	m.sampled(sample, time.Unix(100, 0))
	if a, b := m.Usage("a.0.1")[0], m.Usage("b.0.1")[0]; a.Values[memoryValue] != 150 || a.Values["busy_thousandths"] != 300 || b.PeakMemoryBytes != 300 || squatters() != "" {
		t.Errorf("charged %v and %v, squatters %q at first sight", a, b, squatters())
	}
	m.sampled(sample, time.Unix(110, 0))
	history := m.Devices()[0].Health.History
	if squatters() != "30 p, 40 p" || len(history) != 1 || history[0].Fault != "device-squatter" || !m.Devices()[0].Healthy {
		t.Errorf("squatters %q, history %v", squatters(), history)
	}
	m.sampled(sampleOf(values(memoryValue, 1000), uses(10, 100, 200)), time.Unix(120, 0))
	if squatters() != "" {
		t.Errorf("squatters are %q, and they are gone", squatters())
	}
}

func TestVideoEnginesOfAPartAreAccounted(t *testing.T) {
	m := meter(t, nil)
	part := []*pb.DeviceShare{{DeviceId: "d", Thousandths: 250, EncoderSessions: 3, EncodeMilli: 500}}
	words := func(told ...*pluginv1.Limit) (all []string) {
		for _, l := range m.limits(part, told) {
			all = append(all, fmt.Sprintf("%s %s %v %s", l.Name, l.Value, l.Enforced, l.By))
		}
		return all
	}
	want := []string{"compute_thousandths 250 true mps", "encode_milli 500 false ", "encoder_sessions 3 false "}
	if got := words(&pluginv1.Limit{DeviceId: "d", Resource: "compute", Enforced: true, By: "mps"}, &pluginv1.Limit{DeviceId: "d", Resource: "encoder"}); !slices.Equal(got, want) {
		t.Errorf("limits %q, want %q", got, want)
	}
	part[0] = &pb.DeviceShare{DeviceId: "d", Thousandths: 1000, DecodeMilli: 1000}
	if got := words(); !slices.Equal(got, []string{"compute_thousandths 1000 true hardware", "decode_milli 1000 true hardware"}) {
		t.Errorf("limits of all of a device %q", got)
	}
}

// An allocation of an earlier agent that had no devices is not in this one's books.
func TestWhatIsNotHeldIsChargedNothing(t *testing.T) {
	if got := meter(t, map[string]int32{"a": 1000}).Usage("stranger"); got != nil {
		t.Errorf("got %+v", got)
	}
}
