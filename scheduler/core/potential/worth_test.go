package potential

import (
	"testing"

	"pgregory.net/rapid"
)

// TestPartsAreTogetherWorthWhatTheyAreAloneAtMost: what makes a worth one, for whatever mix.
func TestPartsAreTogetherWorthWhatTheyAreAloneAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := New(Config{Sequences: 1, Length: 1}, models(), drawMix(t))
		if err != nil {
			t.Fatal(err)
		}
		model := uint8(rapid.IntRange(0, len(models())-1).Draw(t, "model"))
		w, device := p.worthOf(model), int(p.models[model].Milli)
		if w[0] != 0 || int(w[device]) != device {
			t.Fatalf("nothing is worth %d and a device of %d is worth %d", w[0], device, w[device])
		}
		a := rapid.IntRange(0, device).Draw(t, "a")
		b := rapid.IntRange(0, device-a).Draw(t, "b")
		// Rounded down, both together may lose a thousandth each.
		if w[a]+w[b] > w[a+b]+2 {
			t.Fatalf("%d is worth %d and %d is worth %d, but both together %d", a, w[a], b, w[b], w[a+b])
		}
	})
}

// TestWorthFollowsWhatFillsADevice: half of it is the size, half what the part fetches in the best filling.
func TestWorthFollowsWhatFillsADevice(t *testing.T) {
	parts := func(list ...int64) (mix Mix) {
		for i := 0; i < len(list); i += 2 {
			mix = append(mix, Weighted{Request{Devices: 1, Milli: list[i], Models: AnyModel}, list[i+1]})
		}
		return mix
	}
	for _, c := range []struct {
		name  string
		mix   Mix
		milli int
		want  uint16
	}{
		{"two of 0.35 fill a device", parts(350, 1), 350, (500 + 350) / 2},
		{"three of 0.33 fill a device", parts(330, 1), 330, (333 + 330) / 2},
		{"one of 0.81 takes a device", parts(810, 10, 160, 1), 810, (1000 + 810) / 2},
		{"what 0.81 leaves is there for 0.16 anyhow", parts(810, 10, 160, 1), 160, (0 + 160) / 2},
		{"without parts the size counts", parts(1000, 1), 350, 350},
	} {
		p, err := New(Config{}, []Model{{Milli: Whole}}, c.mix)
		if err != nil {
			t.Fatal(err)
		}
		// The search stops a little beside the best prices.
		if got := p.worthOf(0)[c.milli]; got < c.want-20 || got > c.want+20 {
			t.Errorf("%s: %d thousandths are worth %d, want %d", c.name, c.milli, got, c.want)
		}
	}
}
