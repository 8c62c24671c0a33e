package quota

import (
	"slices"
	"testing"

	"caravan/scheduler/model"
)

func limit(name string, count int64, scope model.LimitScope) *model.Limit {
	return &model.Limit{Name: name, Count: count, Scope: scope}
}

func TestLimitsOfTheClusterBind(t *testing.T) {
	l := NewLimits([]LimitView{{Limit: limit("nuke", 5, model.PerCluster), Used: 1}, {Limit: limit("maya", 4, model.PerCluster)}})
	both := []model.LimitUse{{Name: "maya", Count: 1}, {Name: "nuke", Count: 2}}
	for _, c := range []struct {
		uses []model.LimitUse
		room int64
		why  string
	}{
		{nil, Unlimited, ""},
		{both, 2, "1 of 5 of limit nuke are held"},
		{[]model.LimitUse{{Name: "maya", Count: 5}}, 0, "limit maya is 4 per cluster, and each allocation asks for 5"},
		{[]model.LimitUse{{Name: "none", Count: 1}}, 0, "there is no limit none; an operator makes it with `caravan limit set none COUNT`"},
	} {
		if room, why := l.Room(c.uses); room != c.room || why != c.why {
			t.Errorf("%v: room for %d (%s), want %d (%s)", c.uses, room, why, c.room, c.why)
		}
	}
	if !l.Take(both, "a", nil, 1) || !l.Take(both, "b", nil, 1) || l.Take(both, "c", nil, 1) {
		t.Error("two of both are within the limits, a third is not")
	}
}

func TestLimitsOfNodesAndDevicesNameWhatIsFull(t *testing.T) {
	l := NewLimits([]LimitView{
		{Limit: limit("io", 2, model.PerNode), Used: 3, On: []Held{{Node: "b", Count: 2}, {Node: "a", Count: 1}}},
		{Limit: limit("nvenc", 3, model.PerDevice), Used: 2, On: []Held{{Node: "a", Device: "gpu1", Count: 2}}},
	})
	io, nvenc := []model.LimitUse{{Name: "io", Count: 1}}, []model.LimitUse{{Name: "nvenc", Count: 2}}
	if nodes, _ := l.Full(io); !slices.Equal(nodes, []string{"b"}) {
		t.Errorf("full are %v", nodes)
	}
	if !l.Take(io, "a", nil, 1) {
		t.Error("there was room on a")
	}
	if nodes, _ := l.Full(io); !slices.Equal(nodes, []string{"a", "b"}) {
		t.Errorf("full are %v", nodes)
	}
	if _, devices := l.Full(nvenc); !slices.Equal(devices, []Held{{Node: "a", Device: "gpu1", Count: 2}}) {
		t.Errorf("full are %v", devices)
	}
	if l.Take(nvenc, "a", []model.DeviceShare{{Device: "gpu1"}}, 1) {
		t.Error("gpu1 has no room")
	}
}
