package conformance

import (
	"context"
	"fmt"

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
