package pack

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/core/block"
	"caravan/scheduler/core/fleet"
	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
	"caravan/scheduler/resource"
)

func drawFleet(t *rapid.T) *fleet.Fleet {
	var views []fleet.View
	for i := range rapid.IntRange(1, 12).Draw(t, "nodes") {
		n := &model.Node{Name: fmt.Sprintf("n%02d", i), State: model.NodeReady, MemoryMiB: 8 << 10}
		n.CPUMilli = rapid.Int64Range(1, 6).Draw(t, "cores") * 1000
		for d := range rapid.IntRange(0, 2).Draw(t, "devices") {
			n.Devices = append(n.Devices, model.Device{ID: fmt.Sprint(d), Kind: model.KindGPU, Thousandths: 1000, MemoryMiB: 1000, Healthy: true})
		}
		views = append(views, fleet.View{Node: n, Free: resource.Whole(n)})
	}
	return fleet.New(views)
}

func classes() []*request.Class {
	table := request.NewTable()
	var out []*request.Class
	for _, r := range []model.Resources{
		{CPUMilli: 1000},
		{CPUMilli: 2000, MemoryMiB: 3000},
		{CPUMilli: 500, Devices: []model.DeviceRequest{{Kind: model.KindGPU, Count: 1, Thousandths: 300}}},
		{CPUMilli: 500, Devices: []model.DeviceRequest{{Kind: model.KindGPU, Count: 1, Thousandths: 1000}}},
	} {
		out = append(out, table.Intern(&model.TaskGroup{}, &model.Variant{Resources: r}))
	}
	return out
}

// scan finds the best node by looking at all of them.
func scan(p *Packer, f *fleet.Fleet, c *request.Class) (best int, ok bool) {
	var least Score
	for i := range f.Len() {
		n := f.At(i)
		m, _, matched := AppendMatch(nil, c, n.Node)
		if !matched || !p.fitter.Fits(c, m, n.Node, n.Free) {
			continue
		}
		if s := p.fitter.score(c, n.Node, n.Free, f.MaxCPUMilli, f.MaxMemoryMiB); !ok || s < least {
			best, least, ok = i, s, true
		}
	}
	return best, ok
}

// TestIndexAlwaysNamesTheNodeThatAScanWouldFind, through placements of several
// classes and rollbacks to any earlier moment.
func TestIndexAlwaysNamesTheNodeThatAScanWouldFind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		p := New(f, new(block.Pool[model.DeviceShare]))
		all := classes()
		past := []fleet.Checkpoint{f.Checkpoint()}
		t.Repeat(map[string]func(*rapid.T){
			"place": func(t *rapid.T) {
				p.Place(p.Index(rapid.SampledFrom(all).Draw(t, "class"), nil))
				past = append(past, f.Checkpoint())
			},
			"rollback": func(t *rapid.T) {
				k := rapid.IntRange(0, len(past)-1).Draw(t, "to")
				f.Rollback(past[k])
				past = past[:k+1]
			},
			"": func(t *rapid.T) {
				// Not every class each time, so that indices fall behind and catch up.
				c := rapid.SampledFrom(all).Draw(t, "checked")
				got, ok := p.Index(c, nil).Best()
				want, wantOK := scan(p, f, c)
				if got != want || ok != wantOK {
					t.Fatalf("class %d: index says %d %v, scan %d %v", c.ID, got, ok, want, wantOK)
				}
			},
		})
	})
}

// TestRoomIsHowOftenTheClassCanBePlaced, for classes with one device request.
func TestRoomIsHowOftenTheClassCanBePlaced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		p := New(f, new(block.Pool[model.DeviceShare]))
		for range rapid.IntRange(0, 10).Draw(t, "in use") {
			p.Place(p.Index(rapid.SampledFrom(classes()).Draw(t, "other"), nil))
		}
		c := rapid.SampledFrom(classes()).Draw(t, "class")
		var room int64
		for i := range f.Len() {
			room += p.Room(p.Index(c, nil), int32(i), 1000)
		}
		placed := int64(0)
		for x := p.Index(c, nil); ; placed++ {
			if _, ok := p.Place(x); !ok {
				break
			}
		}
		if placed != room {
			t.Fatalf("room for %d, but %d were placed", room, placed)
		}
	})
}

// The fields of a score decide in the order in which they are documented, and
// none spills into the one before.
func TestScoreFieldsDecideInOrder(t *testing.T) {
	var worst, next Score
	for _, width := range []uint{3, 7, 10, 17, 12, 12} {
		worst.push(0, width)
		next.push(1<<40, width)
	}
	if worst != 0 || next != 1<<61-1 {
		t.Fatalf("fields add up to %b", next)
	}
	var a, b Score
	a.push(1, 3)
	a.push(0, 7)
	b.push(0, 3)
	b.push(1000, 7)
	if a <= b {
		t.Fatal("a later field outweighs an earlier one")
	}
}

// TestTheFirstRequestMakesWay: served in turn, the first request would take
// the only device that the second can use.
func TestTheFirstRequestMakesWay(t *testing.T) {
	n := &model.Node{Name: "n", State: model.NodeReady, Devices: []model.Device{
		{ID: "0", Kind: model.KindGPU, Model: "m40", Thousandths: 1000, Healthy: true},
		{ID: "1", Kind: model.KindGPU, Model: "m4", Thousandths: 1000, Healthy: true},
	}}
	half := model.DeviceRequest{Kind: model.KindGPU, Count: 1, Thousandths: 500}
	choosy := half
	choosy.Constraints = []model.Constraint{{Attribute: "model", Operator: model.In, Values: []model.Attribute{model.Text("m40")}}}
	c := request.New(&model.TaskGroup{}, &model.Variant{Resources: model.Resources{Devices: []model.DeviceRequest{half, choosy}}})
	m, _, ok := AppendMatch(nil, c, n)
	var f Fitter
	if !ok || !f.Devices(c, m, n, resource.Whole(n)) {
		t.Fatal("both requests can be served, but were not")
	}
	if f.picks[0].device != 1 || f.picks[1].device != 0 {
		t.Fatalf("picked %+v", f.picks)
	}
}
