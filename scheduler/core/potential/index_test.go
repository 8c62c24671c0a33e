package potential

import (
	"testing"

	"pgregory.net/rapid"
)

// scanned is where a class goes by looking at every choice of every node: the meaning of Best.
func scanned(x *Index, states []State, r Request) (Choice, bool) {
	q := x.potential.cfg.Quantum
	if x.prices.epoch == 0 {
		x.prices.refresh()
	}
	type candidate struct {
		last   bool
		cost   int64
		tail   uint64
		node   int
		choice uint8
		state  State
	}
	var best *candidate
	for node := range states {
		s := states[node]
		m := x.potential.model(&s)
		if x.cellOf[node] < 0 || s.Off {
			continue
		}
		for _, choice := range r.appendChoices(nil, &s, m) {
			next := s.after(&r, choice, m)
			drop := x.potential.dropAt(&s, x.potential.Value(s), &r, choice)
			var charge int64
			if r.Devices > 0 {
				charge = x.prices.charge(&r, s.Model, s.wholeFree(m), next.wholeFree(m))
			}
			c := candidate{
				last: r.Devices == 0 && s.Devices > 0, cost: drop/q + charge/q, tail: x.tail(&x.cells[x.cellOf[node]], &r, choice),
				node: node, choice: choice, state: s,
			}
			if best == nil || best.last && !c.last || c.last == best.last && (c.cost < best.cost || c.cost == best.cost &&
				(c.tail < best.tail || c.tail == best.tail && c.node == best.node && c.choice > best.choice)) {
				best = &c
			}
		}
	}
	if best == nil {
		return Choice{}, false
	}
	return Choice{Node: best.node, Free: int64(best.state.Free[best.choice]), MemoryMiB: int64(best.state.Memory[best.choice])}, true
}

// TestBestIsWhatAScanWouldChoose walks at random over placements, releases, nodes that leave and
// mixes that change, and compares every choice with a scan.
func TestBestIsWhatAScanWouldChoose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Sequences: 3, Length: 12, Prices: PriceConfig{RefreshEvery: rapid.IntRange(1, 3).Draw(t, "refresh")}}
		p, err := New(cfg, models(), drawMix(t))
		if err != nil {
			t.Fatal(err)
		}
		full := rapid.SliceOfN(drawState(), 3, 12).Draw(t, "nodes")
		states := append([]State(nil), full...)
		x := NewIndex(p, IndexConfig{Nodes: len(states), MaxCPUMilli: 64_000, MaxMemoryMiB: 64 << 10, EntryLimit: rapid.SampledFrom([]int{1, 1 << 20}).Draw(t, "entries")})
		for i, s := range states {
			x.Set(i, s)
		}
		requests := rapid.SliceOfN(drawRequest(), 1, 5).Draw(t, "classes")
		for class, r := range requests {
			x.Class(class, r)
		}
		for range 40 {
			node := rapid.IntRange(0, len(states)-1).Draw(t, "node")
			switch rapid.SampledFrom([]string{"place", "place", "place", "empty", "remove", "retune", "reprice"}).Draw(t, "step") {
			case "place":
				class := rapid.IntRange(0, len(requests)-1).Draw(t, "class")
				r := requests[class]
				want, wantOK := scanned(x, states, r)
				got, ok := x.Best(class)
				if ok != wantOK || ok && (got.Node != want.Node || r.fraction() && (got.Free != want.Free || got.MemoryMiB != want.MemoryMiB)) {
					t.Fatalf("%+v goes to %+v %v, a scan says %+v %v", r, got, ok, want, wantOK)
				}
				if ok {
					at := &states[got.Node]
					for _, choice := range r.appendChoices(nil, at, p.model(at)) {
						if int64(at.Free[choice]) == got.Free && int64(at.Memory[choice]) == got.MemoryMiB || !r.fraction() {
							*at = at.after(&r, choice, p.model(at))
							break
						}
					}
					if rapid.Bool().Draw(t, "take") {
						x.Take(class, got)
						if is := x.cells[x.cellOf[got.Node]].state; is != *at {
							t.Fatalf("%+v leaves %+v of its node, the index says %+v", r, *at, is)
						}
					}
					x.Set(got.Node, states[got.Node])
				}
			case "empty":
				states[node] = full[node]
				states[node].Off = rapid.IntRange(0, 4).Draw(t, "off") == 0
				x.Set(node, states[node])
			case "remove":
				x.Remove(node)
			case "retune":
				if p, err = New(cfg, models(), drawMix(t)); err != nil {
					t.Fatal(err)
				}
				x.Retune(p)
			case "reprice":
				x.Reprice(drawMix(t))
			}
			checkRoom(t, x, states)
		}
	})
}

// checkRoom compares the running count of room with one made anew.
func checkRoom(t *rapid.T, x *Index, states []State) {
	var want room
	for node := range states {
		if x.cellOf[node] >= 0 {
			if s := &states[node]; !s.Off {
				k := s.stock(x.potential.model(s))
				want.enter(s.Model, k.whole(), k.idle(), 1)
			}
		}
	}
	if x.prices.room != want {
		t.Fatalf("room is kept as %+v, and is %+v", x.prices.room, want)
	}
}

// TestPriceKeepsWholeNodesForThoseWhoNeedThem: two nodes look alike to the potential of a request for
// one device, but only one of them has the four that others ask for when it is taken.
func TestPriceKeepsWholeNodesForThoseWhoNeedThem(t *testing.T) {
	one := Request{CPUMilli: 1000, Devices: 1, Milli: Whole, Models: AnyModel}
	four := Request{CPUMilli: 4000, Devices: 4, Milli: Whole, Models: AnyModel}
	place := func(beta int64) int {
		p := newPotential(t, Config{Quantum: 1000, Prices: PriceConfig{BetaPermille: beta}}, Mix{{one, 1}, {four, 1}})
		x := NewIndex(p, IndexConfig{Nodes: 2, MaxCPUMilli: 64_000, MaxMemoryMiB: 1})
		x.Set(0, state(16_000, 0, 0, []int64{1000, 1000, 1000, 1000}))
		x.Set(1, state(32_000, 0, 0, []int64{1000, 1000, 1000, 1000, 1000}))
		x.Class(0, one)
		c, ok := x.Best(0)
		if !ok {
			t.Fatal("it fits nowhere")
		}
		return c.Node
	}
	if got := place(1000); got != 1 {
		t.Errorf("with prices node %d was taken, want 1, which has four left then", got)
	}
	if got := place(-1); got != 0 {
		t.Errorf("without prices node %d was taken, want 0, the tighter one", got)
	}
}

// TestPriceWorkedOut: half of the demand wants pairs, 8 devices are idle in pairs and 8 singly: the
// demand of 8 devices, without reserve, meets a room of 8: full price. With all 16 in pairs the ratio
// is 1/2, and (1/2)^3 = 0.125.
func TestPriceWorkedOut(t *testing.T) {
	mix := Mix{
		{Request{Devices: 2, Milli: Whole, Models: AnyModel}, 1},
		{Request{Devices: 1, Milli: 500, Models: AnyModel}, 4},
	}
	cfg, err := Config{Prices: PriceConfig{ZPermille: -1}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		singles, doubles int
		want             int64
	}{{8, 4, 1_000_000}, {0, 8, 125_000}} {
		p := newPrices(cfg.Prices, mix)
		for range c.singles {
			p.room.enter(0, 1, 1000, 1)
		}
		for range c.doubles {
			p.room.enter(0, 2, 2000, 1)
		}
		p.refresh()
		if got := p.whole[2].price; got < c.want-20 || got > c.want {
			t.Errorf("price %d millionths, want %d", got, c.want)
		}
	}
}

// TestChargeIsForRoomOfOthers: who takes one of four whole devices of a model takes four from those
// who need four, none from those who need two twice over, and one of the model from those who name it.
func TestChargeIsForRoomOfOthers(t *testing.T) {
	p := &prices{models: []kind{{models: 1, price: million / 10}, {models: 3, price: million / 100}}}
	p.whole[1].price, p.whole[2].price, p.whole[4].price = million/2, million/4, million/8
	for _, c := range []struct {
		name          string
		r             Request
		model         uint8
		before, after int
		want          int64
	}{
		{"one of four", Request{Devices: 1, Milli: Whole, Models: AnyModel}, 2, 4, 3, 4000/8 + 2000/4},
		{"a fraction that splits one of four", Request{Devices: 1, Milli: 500, Models: AnyModel}, 2, 4, 3, 4000/8 + 2000/4 + 1000/2},
		{"a fraction of a split device", Request{Devices: 1, Milli: 500, Models: AnyModel}, 2, 4, 4, 0},
		{"four of four", Request{Devices: 4, Milli: Whole, Models: AnyModel}, 2, 4, 0, 4000/4 + 4000/2},
		{"a model that two kinds name", Request{Devices: 1, Milli: 500, Models: AnyModel}, 0, 0, 0, 500/10 + 500/100},
		{"a model, by one of those who name it", Request{Devices: 1, Milli: 500, Models: 1}, 0, 0, 0, 500 / 100},
		{"cores alone", Request{CPUMilli: 1000}, 0, 0, 0, 0},
	} {
		if got := p.charge(&c.r, c.model, c.before, c.after); got != c.want {
			t.Errorf("%s: charged %d, want %d", c.name, got, c.want)
		}
	}
}

func TestPlacingAllocatesNothingOnceWarm(t *testing.T) {
	place, arrivals := warmIndex(t, 200)
	i := 0
	got := testing.AllocsPerRun(2000, func() {
		place(arrivals[i%len(arrivals)])
		i++
	})
	if got > 0 {
		t.Errorf("%.1f allocations for each placement", got)
	}
}
