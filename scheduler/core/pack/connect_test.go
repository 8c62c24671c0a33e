package pack

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/model"
)

// bridged is a node whose links are drawn of the classes that hardware has.
func bridged(t *rapid.T, devices int) *model.Node {
	n := &model.Node{Devices: make([]model.Device, devices)}
	for range devices * (devices - 1) / 2 {
		n.DeviceLinks = append(n.DeviceLinks, rapid.SampledFrom([]int32{10, 20, 50, 150, 250}).Draw(t, "link"))
	}
	return n
}

func inside(n *model.Node, set []int) (sum int64) {
	for i, a := range set {
		for _, b := range set[:i] {
			sum += int64(n.Link(a, b))
		}
	}
	return sum
}

// No set of as many devices has closer links.
func TestTheBestConnectedSetIsChosen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		devices := rapid.IntRange(1, 8).Draw(t, "devices")
		n := bridged(t, devices)
		var pool []int
		for d := range devices {
			if rapid.Bool().Draw(t, "free") {
				pool = append(pool, d)
			}
		}
		count := rapid.IntRange(0, len(pool)).Draw(t, "count")
		got := Connected(nil, n, pool, count)
		if len(got) != count || !slices.IsSorted(got) {
			t.Fatalf("%d devices of %v: %v", count, pool, got)
		}
		for mask := range 1 << devices {
			var set []int
			for _, d := range pool {
				if mask&(1<<d) != 0 {
					set = append(set, d)
				}
			}
			if len(set) == count && inside(n, set) > inside(n, got) {
				t.Fatalf("%v has closer links than %v", set, got)
			}
		}
	})
}

// Where there are too many sets to compare, a set still grows together: islands of four are found.
func TestManyDevicesAreChosenByTheirIslands(t *testing.T) {
	n := &model.Node{Devices: make([]model.Device, 20)}
	for i := range n.Devices {
		for j := i + 1; j < len(n.Devices); j++ {
			score := int32(10)
			if i%5 == j%5 {
				score = 160
			}
			n.DeviceLinks = append(n.DeviceLinks, score)
		}
	}
	var pool []int
	for d := range 19 {
		pool = append(pool, d+1)
	}
	// Of the island of device 0 but three are left; all others are whole, and 1 is of the first of them.
	if got := Connected(nil, n, pool, 8); inside(n, got) != 2*6*160+16*10 || slices.Contains(got, 5) {
		t.Errorf("chose %v", got)
	}
}

func TestTheLinkOfTwoDevicesDoesNotDependOnTheirOrder(t *testing.T) {
	n := &model.Node{Devices: make([]model.Device, 4), DeviceLinks: []int32{1, 2, 3, 12, 13, 23}}
	for i := range 4 {
		for j := range 4 {
			want := int32(min(i, j)*10 + max(i, j))
			if i == j {
				want = 0
			}
			if got := n.Link(i, j); got != want {
				t.Errorf("link of %d and %d is %d, want %d", i, j, got, want)
			}
		}
	}
	if got := (&model.Node{Devices: n.Devices}).Link(1, 2); got != 0 {
		t.Errorf("an unknown link is %d", got)
	}
}
