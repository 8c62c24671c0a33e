package sim

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/plugins/sdk/client"
)

func TestAResetMendsWhatAResetCanMendAndNothingElse(t *testing.T) {
	faults := filepath.Join(t.TempDir(), "faults.yaml")
	c, err := client.Start(t.Context(), command(t, "-machine", "gn4", "-faults", faults))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	sick := func() []string {
		t.Helper()
		all, err := c.Health(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for id, h := range all {
			if len(h.Signals) > 0 {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		return ids
	}
	write(t, faults, "devices: {sim-m40-0: {signals: {xid-79: gone}, until_reset: true}, sim-m40-1: {signals: {xid-63: remap}}}")
	if got := fmt.Sprint(sick()); got != "[sim-m40-0 sim-m40-1]" {
		t.Fatalf("ill are %s", got)
	}
	for _, id := range []string{"sim-m40-0", "sim-m40-1"} {
		if err := c.Reset(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(sick()); got != "[sim-m40-1]" {
		t.Errorf("after resets, ill are %s", got)
	}
	write(t, faults, "devices: {sim-m40-0: {signals: {xid-79: again}, until_reset: true, reset_fails: the bus is stuck}}")
	if err := c.Reset(t.Context(), "sim-m40-0"); status.Code(err) != codes.Aborted {
		t.Errorf("a reset that fails: %v", err)
	}
	if got := fmt.Sprint(sick()); got != "[sim-m40-0]" {
		t.Errorf("after a new fault, ill are %s", got)
	}
}

func TestWhatIsLeftOnADeviceIsTold(t *testing.T) {
	faults := filepath.Join(t.TempDir(), "faults.yaml")
	write(t, faults, "devices: {sim-m40-0: {pids: [7], memory_left: 512}}")
	p, err := New(Config{Machine: "gn4", Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	left, err := p.Clean(t.Context(), "sim-m40-0")
	if err != nil || !slices.Equal(left.Pids, []int64{7}) || left.MemoryLeftBytes != 512 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestADeviceThatIsSplitComesInPartsOfIt(t *testing.T) {
	faults := filepath.Join(t.TempDir(), "faults.yaml")
	write(t, faults, "parts: {sim-m40-1: 2}")
	p, err := New(Config{Machine: "gn4", Faults: faults, Island: 2})
	if err != nil {
		t.Fatal(err)
	}
	inv, err := p.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range inv.Devices {
		got = append(got, fmt.Sprintf("%s of %q %d %d", d.Id, d.PartOf, d.Thousandths, d.MemoryMib))
	}
	want := []string{`sim-m40-0 of "" 1000 12288`, `sim-m40-1.0 of "sim-m40-1" 500 6144`, `sim-m40-1.1 of "sim-m40-1" 500 6144`}
	if !slices.Equal(got, want) || len(inv.Links) != 0 {
		t.Errorf("%q, links %v", got, inv.Links)
	}
	write(t, faults, "{}")
	if inv, err = p.Inventory(t.Context()); err != nil || len(inv.Links) != 1 || inv.Links[0].Score < 100 {
		t.Errorf("as wholes: links %v, %v", inv.GetLinks(), err)
	}
}
