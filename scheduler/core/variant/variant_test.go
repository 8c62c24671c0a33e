package variant

import (
	"math"
	"reflect"
	"testing"

	"caravan/scheduler/core/request"
	"caravan/scheduler/model"
)

func TestFasterVariantsComeFirstAndEqualOnesTogether(t *testing.T) {
	g := &model.TaskGroup{Variants: []model.Variant{{SpeedPermille: 500}, {}, {SpeedPermille: 4000}, {SpeedPermille: 1000}}}
	if got, want := Tiers(g, 0), [][]int{{2}, {1, 3}, {0}}; !reflect.DeepEqual(got, want) {
		t.Errorf("tiers %v, want %v", got, want)
	}
	if got, want := Tiers(g, 1), [][]int{{2, 1, 3, 0}}; !reflect.DeepEqual(got, want) {
		t.Errorf("with a price weight %v, want %v", got, want)
	}
}

func TestThePriceIsThatOfTheLargestShare(t *testing.T) {
	gpu := []model.Device{{Kind: model.KindGPU, Thousandths: 1000}, {Kind: model.KindGPU, Thousandths: 1000}}
	n := &model.Node{CPUMilli: 8000, MemoryMiB: 1000, Devices: gpu, PriceMicroPerHour: 3_000_000}
	for _, c := range []struct {
		what string
		r    model.Resources
		want int64
	}{
		{"a quarter of the cores", model.Resources{CPUMilli: 2000, MemoryMiB: 10}, 750_000},
		{"half of the memory", model.Resources{CPUMilli: 2000, MemoryMiB: 500}, 1_500_000},
		{"one of two devices", model.Resources{CPUMilli: 1000, Devices: []model.DeviceRequest{{Kind: model.KindGPU, Count: 1, Thousandths: 1000}}}, 1_500_000},
		{"a part is rounded up", model.Resources{CPUMilli: 1}, 600},
		{"nothing", model.Resources{}, 0},
	} {
		if got := Price(request.New(&model.TaskGroup{}, &model.Variant{Resources: c.r}), n); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

func TestAmongEquallyFastTheCheapestThenTheReadiestThenTheFirst(t *testing.T) {
	best := []Offer{
		{Variant: 3, PriceMicro: 1, Setup: 9},
		{Variant: 2, PriceMicro: 2, Setup: 1},
		{Variant: 0, PriceMicro: 2, Setup: 5},
		{Variant: 1, PriceMicro: 2, Setup: 5},
		{Variant: 4, PriceMicro: Price(&request.Class{}, &model.Node{})},
	}
	for i := range best {
		for k := range best {
			if got := Better(best[i], best[k], 0); got != (i < k) {
				t.Errorf("Better(%+v, %+v) is %v", best[i], best[k], got)
			}
		}
	}
}

// With the weight W an hour at P units is worth 3600 s + W s * P, over the speed.
func TestThePriceWeightSaysWhatMoneyIsWorthInTime(t *testing.T) {
	fast := Offer{Variant: 0, Speed: 4000, PriceMicro: 8_000_000}
	slow := Offer{Variant: 1, Speed: 1000, PriceMicro: 500_000}
	unknown := Offer{Variant: 2, Speed: 8000, PriceMicro: math.MaxInt64}
	for _, c := range []struct {
		weight int64
		want   Offer
	}{
		{1, fast},
		{1799, fast}, // (3600 + 1799*8)/4 = 4498 < 3600 + 899.5
		{1801, slow}, // (3600 + 1801*8)/4 = 4502 > 3600 + 900.5
		{MaxPriceWeight, slow},
		{math.MaxInt64, slow},
	} {
		got := slow
		if Better(fast, slow, c.weight) {
			got = fast
		}
		if got != c.want || Better(got, got, c.weight) {
			t.Errorf("weight %d takes variant %d, want %d", c.weight, got.Variant, c.want.Variant)
		}
		if Better(unknown, slow, c.weight) || !Better(fast, unknown, c.weight) {
			t.Errorf("weight %d prefers a node whose price nobody knows", c.weight)
		}
	}
}
