package resource

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"caravan/scheduler/model"
)

func drawNode(t *rapid.T) *model.Node {
	n := &model.Node{
		Name:      "n",
		CPUMilli:  rapid.Int64Range(0, 8000).Draw(t, "cpu"),
		MemoryMiB: rapid.Int64Range(0, 4096).Draw(t, "memory"),
		DiskMiB:   rapid.Int64Range(0, 4096).Draw(t, "disk"),
	}
	for _, id := range []string{"fpga0", "gpu0", "gpu1"}[:rapid.IntRange(0, 3).Draw(t, "devices")] {
		n.Devices = append(n.Devices, model.Device{
			ID: id, Thousandths: rapid.SampledFrom([]int32{250, 1000}).Draw(t, "offered"),
			MemoryMiB: rapid.Int64Range(0, 1000).Draw(t, "device memory"), Healthy: rapid.IntRange(0, 4).Draw(t, "sick") > 0,
		})
	}
	return n
}

// drawAmount draws what a task might take, now and then too much, of a device
// that is not there, or of the same device twice.
func drawAmount(t *rapid.T) Amount {
	a := Amount{
		CPUMilli:  rapid.Int64Range(-1, 3000).Draw(t, "cpu"),
		MemoryMiB: rapid.Int64Range(-1, 1500).Draw(t, "memory"),
		DiskMiB:   rapid.Int64Range(-1, 1500).Draw(t, "disk"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "shares") {
		a.Devices = append(a.Devices, model.DeviceShare{
			Device:      rapid.SampledFrom([]string{"fpga0", "gpu0", "gpu0", "gpu1", "gpu7"}).Draw(t, "device"),
			Thousandths: rapid.Int32Range(0, 1000).Draw(t, "thousandths"),
			MemoryMiB:   rapid.Int64Range(-1, 500).Draw(t, "memory"),
		})
	}
	return a
}

// TestBooksBalance takes and gives back in any order: nothing ever goes below
// zero, a refused amount changes nothing, and the books always equal what the
// node offers less what is held.
func TestBooksBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := drawNode(t)
		f := Whole(n)
		var held []*model.Allocation
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				a, before := drawAmount(t), f.Clone()
				if err := f.Take(n, a); err != nil {
					if !reflect.DeepEqual(f, before) {
						t.Fatalf("refused (%v), yet %+v became %+v", err, before, f)
					}
					return
				}
				held = append(held, &model.Allocation{CPUMilli: a.CPUMilli, MemoryMiB: a.MemoryMiB, DiskMiB: a.DiskMiB, Devices: a.Devices})
			},
			"give": func(t *rapid.T) {
				if len(held) == 0 {
					return
				}
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				f.Give(n, Of(held[i]))
				held = append(held[:i], held[i+1:]...)
			},
			"": func(t *rapid.T) {
				if negative(f) {
					t.Fatalf("less than nothing is left: %+v", f)
				}
				if want := Rebuild(n, held); !reflect.DeepEqual(f, want) {
					t.Fatalf("left %+v, but rebuilt %+v", f, want)
				}
			},
		})
	})
}

func negative(f *Free) bool {
	for _, d := range f.Devices {
		if d.Thousandths < 0 || d.MemoryMiB < 0 {
			return true
		}
	}
	return f.CPUMilli < 0 || f.MemoryMiB < 0 || f.DiskMiB < 0
}

func TestTakeSaysWhatIsShort(t *testing.T) {
	n := &model.Node{Name: "n", CPUMilli: 4000, MemoryMiB: 1024, DiskMiB: 10, Devices: []model.Device{
		{ID: "gpu0", Thousandths: 1000, MemoryMiB: 8192, Healthy: true},
		{ID: "gpu1", Thousandths: 1000, MemoryMiB: 8192},
	}}
	share := func(id string, thousandths int32, memory int64) Amount {
		return Amount{Devices: []model.DeviceShare{{Device: id, Thousandths: thousandths, MemoryMiB: memory}}}
	}
	for want, a := range map[string]Amount{
		"5 cores wanted, 4 free":             {CPUMilli: 5000},
		"2GiB memory wanted, 1GiB free":      {MemoryMiB: 2048},
		"11MiB disk wanted, 10MiB free":      {DiskMiB: 11},
		"negative":                           {CPUMilli: -1},
		"no device gpu2":                     share("gpu2", 1, 0),
		"gpu1 is out of service":             share("gpu1", 1, 0),
		"1001 thousandths wanted, 1000 free": share("gpu0", 1001, 0),
		"9GiB memory wanted, 8GiB free":      share("gpu0", 1, 9216),
		"share must be positive":             share("gpu0", 0, 0),
	} {
		if err := Whole(n).Take(n, a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want an error with %q", a, err, want)
		}
	}
}

// A node may come back with less than what runs on it: its books go below
// zero, nothing more fits, and all is well again when the tasks have ended.
func TestANodeThatShrankTakesNothingMore(t *testing.T) {
	before := &model.Node{Name: "n", CPUMilli: 4000, MemoryMiB: 4096, Devices: []model.Device{{ID: "gpu0", Thousandths: 1000, MemoryMiB: 8, Healthy: true}}}
	a := &model.Allocation{CPUMilli: 3000, MemoryMiB: 1024, Devices: []model.DeviceShare{{Device: "gpu0", Thousandths: 500, MemoryMiB: 4}}}
	after := before.Clone()
	after.CPUMilli, after.Devices = 2000, nil
	f := Rebuild(after, []*model.Allocation{a})
	if f.CPUMilli != -1000 {
		t.Errorf("%d thousandths of a core are left, want -1000", f.CPUMilli)
	}
	if err := f.Take(after, Amount{CPUMilli: 1}); err == nil {
		t.Error("a node that is overdrawn gave more")
	}
	f.Give(after, Of(a))
	if !reflect.DeepEqual(f, Whole(after)) {
		t.Errorf("left %+v, want %+v", f, Whole(after))
	}
}

func TestANodeToItselfIsTakenEmptyAndThenByNobody(t *testing.T) {
	n := &model.Node{Name: "n", CPUMilli: 4000}
	alone, other := Amount{CPUMilli: 1000, Exclusive: true}, Amount{}
	f := Whole(n)
	if err := f.Take(n, alone); err != nil {
		t.Fatal(err)
	}
	if f.Take(n, other) == nil || f.Take(n, alone) == nil {
		t.Error("somebody got in")
	}
	f.Give(n, alone)
	if err := f.Take(n, other); err != nil {
		t.Error(err)
	}
	if f.Take(n, alone) == nil {
		t.Error("a node in use was given whole, though the task there needs nothing")
	}
	f.Give(n, other)
	if want := Whole(n); !reflect.DeepEqual(f, want) {
		t.Errorf("left is %+v, want %+v", f, want)
	}
	running := []*model.Allocation{{CPUMilli: 1000, Exclusive: true}}
	if f := Rebuild(n, running); !f.Exclusive || f.Tasks != 1 {
		t.Errorf("rebuilt as %+v", f)
	}
}

func TestVideoEnginesAreTakenLikeMemory(t *testing.T) {
	attributes := map[string]model.Attribute{
		model.AttributeSessions: model.Milli(3000), model.AttributeEncode: model.Milli(1000), model.AttributeDecode: model.Text("much"),
	}
	n := &model.Node{Name: "n", Devices: []model.Device{{ID: "g", Thousandths: 1000, Attributes: attributes, Healthy: true}}}
	share := func(m model.Media) Amount {
		return Amount{Devices: []model.DeviceShare{{Device: "g", Thousandths: 1, Media: m}}}
	}
	f := Whole(n)
	two := share(model.Media{Sessions: 2, EncodeMilli: 600})
	if err := f.Take(n, two); err != nil {
		t.Fatal(err)
	}
	for _, m := range []model.Media{{Sessions: 2}, {EncodeMilli: 401}, {DecodeMilli: 1}, {Sessions: -1}} {
		if f.Take(n, share(m)) == nil {
			t.Errorf("%+v was taken", m)
		}
	}
	if err := f.Take(n, share(model.Media{Sessions: 1, EncodeMilli: 400})); err != nil {
		t.Error(err)
	}
	if left := f.Devices[0].Media; left != (model.Media{}) {
		t.Errorf("left is %+v", left)
	}
}
