package quota

import (
	"testing"

	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

func class(cpu, memory int64, devices ...model.DeviceRequest) *request.Class {
	r := model.Resources{CPUMilli: cpu, MemoryMiB: memory, Devices: devices}
	return request.New(&model.TaskGroup{}, &model.Variant{Resources: r})
}

func TestTheTightestLimitOnTheWayUpBinds(t *testing.T) {
	l := New([]View{
		{Queue: &model.Queue{Name: "a", Parent: "top", MaxCPUMilli: 10_000}, UsedCPUMilli: 2000},
		{Queue: &model.Queue{Name: "b", Parent: "top", MaxMemoryMiB: 4096}, UsedCPUMilli: 3000},
		{Queue: &model.Queue{Name: "top", MaxCPUMilli: 12_000, MaxDevicesMilli: 1000}},
	})
	gpu := model.DeviceRequest{Kind: model.KindGPU, Count: 1, Thousandths: 300}
	for _, c := range []struct {
		queue string
		class *request.Class
		room  int64
		limit string
	}{
		{"a", class(2000, 1), 3, "queue top holds 5 of 12 cores"},
		{"a", class(9000, 1), 0, "queue a holds 2 of 10 cores"},
		{"b", class(1000, 1024), 4, "queue b holds 0MiB of 4GiB memory"},
		{"b", class(1, 1, gpu), 3, "queue top holds 0 of 1 devices"},
		{"b", class(0, 0), Unlimited, ""},
		{"other", class(9000, 1), Unlimited, ""},
	} {
		room, limit := l.Room(c.queue, c.class)
		if room != c.room || limit.String() != c.limit {
			t.Errorf("%s: room for %d under %q, want %d under %q", c.queue, room, limit, c.room, c.limit)
		}
	}
	l.Charge("b", class(1000, 0), 7)
	if room, limit := l.Room("a", class(1, 0)); room != 0 || limit.String() != "queue top holds 12 of 12 cores" {
		t.Errorf("room for %d under %q once b has filled top", room, limit)
	}
}

func TestACircleOfQueuesDoesNotHang(t *testing.T) {
	l := New([]View{
		{Queue: &model.Queue{Name: "a", Parent: "b", MaxCPUMilli: 1000}},
		{Queue: &model.Queue{Name: "b", Parent: "a", MaxCPUMilli: 2000}},
		{Queue: &model.Queue{Name: "self", Parent: "self"}},
	})
	l.Charge("a", class(1000, 0), 1)
	if room, _ := l.Room("a", class(1000, 0)); room != 0 {
		t.Errorf("room for %d", room)
	}
}

func TestAJobThatNamesNoQueueIsInTheDefaultOne(t *testing.T) {
	l := New([]View{{Queue: &model.Queue{Name: model.DefaultQueue, MaxCPUMilli: 1000}}})
	if room, _ := l.Room("", class(500, 0)); room != 2 {
		t.Errorf("room for %d, want 2", room)
	}
}
