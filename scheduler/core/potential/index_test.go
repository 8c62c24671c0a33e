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
		cost, fit int64
		state     State
		choice    uint8
		node      int
	}
	var best *candidate
	for node := range states {
		s := states[node]
		if x.cellOf[node] < 0 {
			continue
		}
		for _, choice := range r.appendChoices(nil, &s) {
			next := s.after(&r, choice)
			drop := x.potential.dropAt(&s, x.potential.Value(s), &r, choice)
			var charge int64
			if r.Devices > 0 {
				charge = x.prices.charge(&r, s.Model, s.WholeFree(), next.WholeFree())
			}
			c := candidate{
				cost: drop/q + charge/q, fit: s.CPUMilli*1000/x.maxCPU + s.MemoryMiB*1000/x.maxMemory,
				state: s, choice: choice, node: node,
			}
			if best == nil || c.cost < best.cost || c.cost == best.cost && (c.fit < best.fit || c.fit == best.fit &&
				(c.state.compare(&best.state) < 0 || c.state == best.state && c.choice > best.choice)) {
				best = &c
			}
		}
	}
	if best == nil {
		return Choice{}, false
	}
	return Choice{Node: best.node, Free: int64(best.state.Free[best.choice])}, true
}

// TestBestIsWhatAScanWouldChoose walks at random over placements, releases, nodes that leave and
// mixes that change, and compares every choice with a scan.
func TestBestIsWhatAScanWouldChoose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Sequences: 3, Length: 12, Prices: PriceConfig{RefreshEvery: rapid.IntRange(1, 3).Draw(t, "refresh")}}
		p, err := New(cfg, drawMix(t))
		if err != nil {
			t.Fatal(err)
		}
		full := rapid.SliceOfN(drawState(), 3, 12).Draw(t, "nodes")
		states := append([]State(nil), full...)
		x := newIndex(p, len(states), 64_000, 64*1024)
		for i, s := range states {
			x.Set(i, s)
		}
		requests := rapid.SliceOfN(drawRequest(), 1, 5).Draw(t, "classes")
		for _, r := range requests {
			x.Class(r)
		}
		for range 40 {
			node := rapid.IntRange(0, len(states)-1).Draw(t, "node")
			switch rapid.SampledFrom([]string{"place", "place", "place", "empty", "remove", "retune", "reprice"}).Draw(t, "step") {
			case "place":
				class := rapid.IntRange(0, len(requests)-1).Draw(t, "class")
				r := requests[class]
				want, wantOK := scanned(x, states, r)
				got, ok := x.Best(class)
				if ok != wantOK || ok && (got.Node != want.Node || r.fraction() && got.Free != want.Free) {
					t.Fatalf("%+v goes to %+v %v, a scan says %+v %v", r, got, ok, want, wantOK)
				}
				if ok {
					for _, choice := range r.appendChoices(nil, &states[got.Node]) {
						if int64(states[got.Node].Free[choice]) == got.Free || !r.fraction() {
							states[got.Node] = states[got.Node].after(&r, choice)
							break
						}
					}
					x.Set(got.Node, states[got.Node])
				}
			case "empty":
				states[node] = full[node]
				x.Set(node, states[node])
			case "remove":
				x.Remove(node)
			case "retune":
				if p, err = New(cfg, drawMix(t)); err != nil {
					t.Fatal(err)
				}
				x.retune(p)
			case "reprice":
				x.reprice(drawMix(t))
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
			want.enter(&states[node], 1)
		}
	}
	if x.prices.room != want {
		t.Fatalf("room is kept as %+v, and is %+v", x.prices.room, want)
	}
}

// TestPriceKeepsWholeNodesForThoseWhoNeedThem: two nodes look alike to the potential of a request for
// one device, but only one of them has the four that others ask for.
func TestPriceKeepsWholeNodesForThoseWhoNeedThem(t *testing.T) {
	one := Request{CPUMilli: 1000, Devices: 1, Milli: Whole, Models: AnyModel}
	four := Request{CPUMilli: 4000, Devices: 4, Milli: Whole, Models: AnyModel}
	place := func(beta int64) int {
		p := newPotential(t, Config{Quantum: 1000, Prices: PriceConfig{BetaPermille: beta}}, Mix{{one, 1}, {four, 1}})
		x := newIndex(p, 2, 64_000, 1)
		x.Set(0, NewState(16_000, 0, 0, []int64{1000, 1000, 1000, 1000}))
		x.Set(1, NewState(32_000, 0, 0, []int64{1000, 1000, 1000}))
		c, ok := x.Best(x.Class(one))
		if !ok {
			t.Fatal("it fits nowhere")
		}
		return c.Node
	}
	if got := place(1000); got != 1 {
		t.Errorf("with prices node %d was taken, want 1, which has three devices anyhow", got)
	}
	if got := place(-1); got != 0 {
		t.Errorf("without prices node %d was taken, want 0, the tighter one", got)
	}
}

// TestPriceWorkedOut: half of the demand wants pairs, 8 devices are idle in pairs and 8 singly: the
// demand of 8 devices, without reserve, meets a room of 8: full price. With all 16 in pairs the ratio
// is 1/2, and (1/2)^2.5 = 0.1768.
func TestPriceWorkedOut(t *testing.T) {
	mix := Mix{
		{Request{Devices: 2, Milli: Whole, Models: AnyModel}, 1},
		{Request{Devices: 1, Milli: 500, Models: AnyModel}, 4},
	}
	cfg, err := Config{Prices: PriceConfig{ZPermille: -1}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	single, double := NewState(0, 0, 0, []int64{1000}), NewState(0, 0, 0, []int64{1000, 1000})
	for _, c := range []struct {
		singles, doubles int
		want             int64
	}{{8, 4, 1_000_000}, {0, 8, 176_776}} {
		p := newPrices(cfg.Prices, mix)
		for range c.singles {
			p.room.enter(&single, 1)
		}
		for range c.doubles {
			p.room.enter(&double, 1)
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

func TestLearnerTakesTheMixWhenItHasMoved(t *testing.T) {
	var l Learner
	class := func(i int) Request { return Request{CPUMilli: int64(i), Devices: 1, Milli: Whole, Models: AnyModel} }
	renewals := []int{}
	arrive := func(n, of int) {
		for range n {
			if l.Observe(of) == Moved {
				renewals = append(renewals, int(l.seen))
				l.Take()
			}
		}
	}
	arrive(4000, 0)
	if len(renewals) != 1 || renewals[0] != learnFirst {
		t.Fatalf("an unchanging mix was taken at %v, want once at %d", renewals, learnFirst)
	}
	arrive(8000, 1)
	if len(renewals) < 2 {
		t.Fatal("the mix turned to another class and was not taken anew")
	}
	mix := l.Mix(class)
	if mix[1].Weight <= mix[0].Weight {
		t.Fatalf("after 8000 of class 1 and 4000 of class 0 the weights are %d and %d", mix[1].Weight, mix[0].Weight)
	}
}

func TestPlacingAllocatesNothingOnceWarm(t *testing.T) {
	place, arrivals := warmPlacer(t, 200)
	i := 0
	got := testing.AllocsPerRun(2000, func() {
		place(arrivals[i%len(arrivals)])
		i++
	})
	if got > 0 {
		t.Errorf("%.1f allocations for each placement", got)
	}
}
