package conformance

import (
	"context"
	"fmt"
	"maps"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"caravan/plugins/sdk/pluginv1"
)

// resetGuarded tries to reset a device that is held. What the host has is never reset: that is not
// a test's to do.
func resetGuarded(ctx context.Context, s *suite) error {
	if len(s.inventory.GetDevices()) == 0 {
		return nil
	}
	d := s.inventory.Devices[0]
	id := s.allocation()
	if _, err := s.reserve(ctx, id, &pluginv1.Share{DeviceId: d.Id, Thousandths: d.Thousandths}); err != nil {
		return err
	}
	err := s.client.Reset(ctx, d.Id)
	if released := s.client.Release(ctx, id); released != nil {
		return released
	}
	switch status.Code(err) {
	case codes.Unimplemented, codes.FailedPrecondition:
		return nil
	}
	return fmt.Errorf("a reset of %s, which is held, was answered by %w", d.Id, orNone(err))
}

func cleanAnswers(ctx context.Context, s *suite) error {
	for _, d := range s.inventory.GetDevices() {
		_, err := s.client.Clean(ctx, d.Id)
		if status.Code(err) == codes.Unimplemented {
			return nil
		}
		if err != nil {
			return err
		}
	}
	if _, err := s.client.Clean(ctx, "no-such-device"); status.Code(err) != codes.NotFound {
		return fmt.Errorf("an unknown device was answered by %w", orNone(err))
	}
	return nil
}

// cleanIdle wants nothing left by an allocation that did nothing. Where somebody else uses the devices
// it cannot be told what is left of whom.
func cleanIdle(ctx context.Context, s *suite) error {
	for _, d := range s.inventory.GetDevices() {
		if len(d.GetHealth().GetSignals()) > 0 {
			continue
		}
		id := s.allocation()
		if _, err := s.reserve(ctx, id, whole(d)); err != nil {
			return err
		}
		left, err := s.client.Clean(ctx, d.Id)
		if released := s.client.Release(ctx, id); released != nil {
			return released
		}
		switch {
		case status.Code(err) == codes.Unimplemented:
			return nil
		case err != nil:
			return err
		case len(left.Pids) > 0:
			return untried(fmt.Sprintf("processes %v use %s", left.Pids, d.Id))
		case left.MemoryLeftBytes != 0 || len(left.Modes) > 0:
			return fmt.Errorf("nobody used %s, and left on it are %v", d.Id, left)
		}
	}
	return nil
}

// identitiesStable compares what devices are called for ever.
func identitiesStable(ctx context.Context, s *suite) error {
	before, err := identities(s.inventory)
	if err != nil {
		return err
	}
	if err := s.restart(ctx); err != nil {
		return err
	}
	inv, err := s.client.Inventory(ctx)
	if err != nil {
		return err
	}
	after, err := identities(inv)
	if err == nil && !maps.Equal(before, after) {
		err = fmt.Errorf("identities %v at first and %v after a restart", before, after)
	}
	return err
}

// identities are those of an inventory, by device: each one's own, and no whole beside its parts.
func identities(inv *pluginv1.Inventory) (map[string]string, error) {
	all, owner := make(map[string]string), make(map[string]string)
	for _, d := range inv.GetDevices() {
		all[d.Id] = d.Identity
		if other, taken := owner[d.Identity]; taken && d.Identity != "" {
			return nil, fmt.Errorf("%s and %s have the identity %s", other, d.Id, d.Identity)
		}
		owner[d.Identity] = d.Id
	}
	for _, d := range inv.GetDevices() {
		if _, whole := all[d.PartOf]; whole && d.PartOf != "" {
			return nil, fmt.Errorf("%s is there beside %s, which is a part of it", d.PartOf, d.Id)
		}
	}
	return all, nil
}
