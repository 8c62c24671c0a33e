package sdk

import (
	"cmp"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"caravan/plugins/sdk/pluginv1"
)

// books say who holds what. The server's lock guards them.
type books struct {
	held map[string]*holding // by allocation
	shut map[string]bool     // by device: being programmed or reset
}

type holding struct {
	shares []*pluginv1.Share
	answer *pluginv1.ReserveResponse // nil while the plugin is asked
}

func newBooks() books {
	return books{held: make(map[string]*holding), shut: make(map[string]bool)}
}

// take books a reservation. It returns the answer that was given before, if there is one.
func (b *books) take(req *pluginv1.ReserveRequest, devices []*pluginv1.Device) (*pluginv1.ReserveResponse, error) {
	if h, ok := b.held[req.AllocationId]; ok {
		switch {
		case !equalShares(h.shares, req.Shares):
			return nil, status.Errorf(codes.FailedPrecondition, "allocation %s holds other shares already (release them first)", req.AllocationId)
		case h.answer == nil:
			return nil, status.Errorf(codes.Unavailable, "allocation %s is being given its devices (ask again)", req.AllocationId)
		}
		return h.answer, nil
	}
	want := make(map[string]*pluginv1.Share)
	for i, share := range req.Shares {
		d := devices[i]
		switch {
		case want[d.Id] != nil:
			return nil, status.Errorf(codes.InvalidArgument, "device %s is asked for twice", d.Id)
		case share.Thousandths < 1 || share.Thousandths > Whole || share.MemoryMib < 0:
			return nil, status.Errorf(codes.InvalidArgument, "device %s: %d thousandths wanted, must be 1 to %d", d.Id, share.Thousandths, Whole)
		case share.Thousandths%d.ShareThousandths != 0:
			return nil, status.Errorf(codes.InvalidArgument, "device %s is handed out in parts of %d thousandths, %d are wanted", d.Id, d.ShareThousandths, share.Thousandths)
		case b.shut[d.Id]:
			return nil, status.Errorf(codes.ResourceExhausted, "device %s is being programmed or reset", d.Id)
		}
		want[d.Id] = share
		if left, memory := b.left(d); share.Thousandths > left || share.MemoryMib > memory {
			return nil, status.Errorf(codes.ResourceExhausted, "device %s: %d thousandths and %d MiB wanted, %d and %d are left", d.Id, share.Thousandths, share.MemoryMib, left, memory)
		}
	}
	b.held[req.AllocationId] = &holding{shares: req.Shares}
	return nil, nil
}

// left is what nobody holds of a device.
func (b *books) left(d *pluginv1.Device) (thousandths int32, memoryMiB int64) {
	thousandths, memoryMiB = d.Thousandths, d.MemoryMib
	for _, h := range b.held {
		for _, s := range h.shares {
			if s.DeviceId == d.Id {
				thousandths -= s.Thousandths
				memoryMiB -= s.MemoryMib
			}
		}
	}
	return thousandths, memoryMiB
}

// answer keeps the answer for a repeated request. One that was released meanwhile keeps nothing.
func (b *books) answer(allocation string, r *pluginv1.ReserveResponse) *pluginv1.ReserveResponse {
	if h, ok := b.held[allocation]; ok {
		h.answer = r
	}
	return r
}

// give takes back what an allocation holds, and tells whether it held anything.
func (b *books) give(allocation string) bool {
	_, held := b.held[allocation]
	delete(b.held, allocation)
	return held
}

func (b *books) holder(device string) string {
	holder := ""
	for id, h := range b.held {
		if slices.ContainsFunc(h.shares, func(s *pluginv1.Share) bool { return s.DeviceId == device }) && (holder == "" || id < holder) {
			holder = id
		}
	}
	return holder
}

// close keeps a device that nobody holds from being handed out.
func (b *books) close(device string) error {
	if holder := b.holder(device); holder != "" {
		return status.Errorf(codes.FailedPrecondition, "device %s is in use by %s", device, holder)
	}
	if b.shut[device] {
		return status.Errorf(codes.FailedPrecondition, "device %s is being programmed or reset already", device)
	}
	b.shut[device] = true
	return nil
}

func (b *books) reopen(device string) { delete(b.shut, device) }

// mark returns the inventory with the states of regions that only the books know.
func (b *books) mark(inv *pluginv1.Inventory) *pluginv1.Inventory {
	out := proto.CloneOf(inv)
	for _, d := range out.Devices {
		switch {
		case d.Region == nil:
		case b.shut[d.Id]:
			d.Region.State = pluginv1.RegionState_REGION_STATE_PROGRAMMING
		case d.Region.State == pluginv1.RegionState_REGION_STATE_READY && b.holder(d.Id) != "":
			d.Region.State = pluginv1.RegionState_REGION_STATE_IN_USE
		}
	}
	return out
}

func equalShares(a, b []*pluginv1.Share) bool {
	return slices.EqualFunc(a, b, func(x, y *pluginv1.Share) bool { return proto.Equal(x, y) })
}

// sortInventory puts everything into the order of ids, so that equal inventories are equal.
func sortInventory(inv *pluginv1.Inventory) {
	slices.SortStableFunc(inv.Devices, func(a, b *pluginv1.Device) int { return cmp.Compare(a.Id, b.Id) })
	slices.SortStableFunc(inv.Links, func(a, b *pluginv1.Link) int {
		return cmp.Or(cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B))
	})
}
