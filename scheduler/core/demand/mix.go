// Package demand knows what is asked for: the mix of request classes that a fleet is to keep room for.
// A Mix is a value, part of the input of a decision. A Learner makes one from the jobs that arrive; the
// leader and the packing simulator keep one each.
//
// Before enough has been seen the mix is a default. What waits when a learner begins counts as arrived,
// so that a new leader knows the queue. Everything is integers; a Learner belongs to one goroutine.
package demand

import (
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

// Weighted is a request class with how often it arrives.
type Weighted struct {
	Class  *request.Class
	Weight int64
}

// Mix is the make-up of the demand. It is never changed once made; the zero value stands for the default.
type Mix struct {
	// Values is what a node's room is valued by. It is taken anew seldom, because then all is valued anew.
	Values []Weighted
	// Prices is what scarce room is priced by, taken anew more often.
	Prices []Weighted
}

// Empty reports whether the mix stands for the default.
func (m *Mix) Empty() bool { return len(m.Values) == 0 }

// Same reports whether two lists say the same.
func Same(a, b []Weighted) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Weight != b[i].Weight || a[i].Class.Key != b[i].Class.Key {
			return false
		}
	}
	return true
}

// Default is what a fleet of which nothing is known is expected to be asked for: mostly single GPUs and
// parts of them with 4 to 12 cores each, some gangs on one node, some FPGA boards and regions, some work
// without devices.
func Default() Mix {
	var list []Weighted
	add := func(weight, cpuMilli int64, devices ...model.DeviceRequest) {
		r := model.Resources{CPUMilli: cpuMilli, MemoryMiB: cpuMilli * 4096 / 1000, Devices: devices}
		list = append(list, Weighted{Class: request.New(&model.TaskGroup{}, &model.Variant{Resources: r}), Weight: weight})
	}
	of := func(kind string, count, thousandths int32) model.DeviceRequest {
		return model.DeviceRequest{Kind: kind, Count: count, Thousandths: thousandths}
	}
	add(10, 2000, of(model.KindGPU, 1, 250))
	add(15, 4000, of(model.KindGPU, 1, 500))
	add(8, 6000, of(model.KindGPU, 1, 750))
	add(12, 4000, of(model.KindGPU, 1, 1000))
	add(20, 8000, of(model.KindGPU, 1, 1000))
	add(12, 12000, of(model.KindGPU, 1, 1000))
	add(3, 16000, of(model.KindGPU, 2, 1000))
	add(2, 32000, of(model.KindGPU, 4, 1000))
	add(2, 64000, of(model.KindGPU, 8, 1000))
	add(6, 2000)
	add(6, 4000)
	add(4, 8000)
	add(4, 2000, of(model.KindFPGA, 1, 500))
	add(6, 4000, of(model.KindFPGA, 1, 1000))
	return Mix{Values: list, Prices: list}
}
