package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

func sharesBounded(ctx context.Context, s *suite) error {
	devices, err := s.devices()
	if err != nil {
		return err
	}
	for _, n := range []int32{0, -1, sdk.Whole + 1} {
		id := s.allocation()
		if _, err := s.reserve(ctx, id, &pluginv1.Share{DeviceId: devices[0].Id, Thousandths: n}); err == nil {
			return errors.Join(fmt.Errorf("%d thousandths were given", n), s.client.Release(ctx, id))
		}
	}
	return nil
}

// sharesDivided takes the devices apart into two, and asks for what is no multiple of a share.
func sharesDivided(ctx context.Context, s *suite) error {
	devices, err := s.devices()
	if err != nil {
		return err
	}
	tried := false
	for _, d := range devices {
		if 2*d.ShareThousandths > d.Thousandths {
			continue // it is given whole
		}
		tried = true
		if err := s.divide(ctx, d); err != nil {
			return fmt.Errorf("device %s: %w", d.Id, err)
		}
	}
	if !tried {
		return untried("every device is only given whole")
	}
	return nil
}

func (s *suite) divide(ctx context.Context, d *pluginv1.Device) (err error) {
	a, b := s.allocation(), s.allocation()
	defer func() { err = errors.Join(err, s.client.Release(ctx, a), s.client.Release(ctx, b)) }()
	if d.ShareThousandths > 1 {
		odd := &pluginv1.Share{DeviceId: d.Id, Thousandths: d.ShareThousandths + 1}
		if _, err := s.reserve(ctx, a, odd); err == nil {
			return fmt.Errorf("it is handed out in parts of %d thousandths, and %d were given", d.ShareThousandths, odd.Thousandths)
		}
	}
	part := &pluginv1.Share{DeviceId: d.Id, Thousandths: d.ShareThousandths}
	if _, err := s.reserve(ctx, a, part); err != nil {
		return fmt.Errorf("the least share: %w", err)
	}
	if _, err := s.reserve(ctx, b, part); err != nil {
		return fmt.Errorf("the second part of %d: %w", d.Thousandths/d.ShareThousandths, err)
	}
	return nil
}

func reserveIdempotent(ctx context.Context, s *suite) (err error) {
	devices, err := s.devices()
	if err != nil {
		return err
	}
	d, id := devices[0], s.allocation()
	defer func() { err = errors.Join(err, s.client.Release(ctx, id)) }()
	part := &pluginv1.Share{DeviceId: d.Id, Thousandths: d.ShareThousandths}
	first, err := s.reserve(ctx, id, part)
	if err != nil {
		return err
	}
	again, err := s.reserve(ctx, id, part)
	if err != nil {
		return fmt.Errorf("repeated: %w", err)
	}
	if !proto.Equal(first, again) {
		return fmt.Errorf("%v at first and %v when repeated", first, again)
	}
	other := &pluginv1.Share{DeviceId: d.Id, Thousandths: d.ShareThousandths, MemoryMib: 1}
	if d.MemoryMib == 0 {
		return nil // there is no other share that could be had
	}
	if _, err := s.reserve(ctx, id, other); status.Code(err) != codes.FailedPrecondition {
		return fmt.Errorf("other shares under the same name: %w", orNone(err))
	}
	return nil
}

func capacityKept(ctx context.Context, s *suite) error {
	devices, err := s.devices()
	if err != nil {
		return err
	}
	for _, d := range devices {
		holder, other := s.allocation(), s.allocation()
		if _, err := s.reserve(ctx, holder, whole(d)); err != nil {
			return fmt.Errorf("device %s: all of it cannot be had: %w", d.Id, err)
		}
		_, err := s.reserve(ctx, other, &pluginv1.Share{DeviceId: d.Id, Thousandths: d.ShareThousandths})
		if status.Code(err) != codes.ResourceExhausted {
			return errors.Join(fmt.Errorf("device %s: given twice: %w", d.Id, orNone(err)), s.client.Release(ctx, holder), s.client.Release(ctx, other))
		}
		if err := s.client.Release(ctx, holder); err != nil {
			return err
		}
		if _, err := s.reserve(ctx, other, whole(d)); err != nil {
			return fmt.Errorf("device %s: released and still taken: %w", d.Id, err)
		}
		if err := s.client.Release(ctx, other); err != nil {
			return err
		}
	}
	return nil
}

// racers is how many ask at once.
const racers = 8

func oneWins(ctx context.Context, s *suite) error {
	devices, err := s.devices()
	if err != nil {
		return err
	}
	d := devices[0]
	var asked sync.WaitGroup
	var ids [racers]string
	var answers [racers]error
	for i := range ids {
		ids[i] = s.allocation() + ".race"
	}
	for i := range ids {
		asked.Go(func() { _, answers[i] = s.reserve(ctx, ids[i], whole(d)) })
	}
	asked.Wait()
	won := 0
	for i, err := range answers {
		switch {
		case err == nil:
			won++
		case status.Code(err) != codes.ResourceExhausted:
			answers[i] = fmt.Errorf("one that came too late: %w", err)
			return errors.Join(answers[i], s.releaseAll(ctx, ids[:]))
		}
	}
	if err := s.releaseAll(ctx, ids[:]); err != nil {
		return err
	}
	if won != 1 {
		return fmt.Errorf("device %s: %d of %d got it at once", d.Id, won, racers)
	}
	return nil
}

func (s *suite) releaseAll(ctx context.Context, ids []string) error {
	var faults []error
	for _, id := range ids {
		faults = append(faults, s.client.Release(ctx, id))
	}
	return errors.Join(faults...)
}
