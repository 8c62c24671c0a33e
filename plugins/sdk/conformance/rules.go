package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"caravan/plugins/sdk"
	"caravan/plugins/sdk/pluginv1"
)

// rules are the contract as far as it can be tried from outside.
func rules() []rule {
	return []rule{
		{"describes-itself", "it tells its name", describesItself},
		{"inventory-in-time", "the inventory comes within the deadline", inventoryInTime},
		{"inventory-valid", "ids are unique, thousandths 1 to 1000, an empty inventory has a reason", inventoryValid},
		{"ids-stable", "a plugin that is started anew has the same devices", idsStable},
		{"identities-stable", "an identity is one device's, also after a restart, and no whole is there beside its parts", identitiesStable},
		{"unknown-refused", "a device that is not there is refused as NOT_FOUND, by its name", unknownRefused},
		{"shares-bounded", "shares outside 1 to 1000 thousandths are refused", sharesBounded},
		{"shares-divided", "a device is handed out in parts of its least share, and in no others", sharesDivided},
		{"reserve-idempotent", "the same reservation has the same answer, another one under its name is refused", reserveIdempotent},
		{"capacity-kept", "what is handed out is not handed out again before it is released", capacityKept},
		{"one-wins", "of many who ask for all of a device at once, one gets it", oneWins},
		{"edits-valid", "edits are those of the Container Device Interface", editsValid},
		{"edits-deterministic", "equal shares have equal edits, also after a restart", editsDeterministic},
		{"release-unknown", "releasing what nobody holds is no error", releaseUnknown},
		{"health-answers", "every device has a health, and an unknown one none", healthAnswers},
		{"health-streamed", "an illness and its end are told without being asked for", healthStreamed},
		{"stats-known", "a first sample comes at once, and samples are of known devices", statsKnown},
		{"program-guarded", "programming a device that takes no images is refused, and whether any does is told", programGuarded},
		{"reset-guarded", "a device that is held is not reset", resetGuarded},
		{"clean-answers", "what is left on a device is told, and of an unknown one nothing", cleanAnswers},
		{"clean-idle", "nothing is left on a device that nobody used", cleanIdle},
		{"crash-recovery", "after a crash it has the same devices and takes the same reservations", crashRecovery},
		{"ends-with-agent", "it ends when its agent is gone", endsWithAgent},
	}
}

func describesItself(ctx context.Context, s *suite) error {
	d, err := s.client.Describe(ctx)
	if err == nil && d.Name == "" {
		err = errors.New("the name is empty")
	}
	return err
}

func inventoryInTime(ctx context.Context, s *suite) error {
	inv, err := s.client.Inventory(ctx)
	s.inventory = inv
	return err
}

func inventoryValid(_ context.Context, s *suite) error {
	if s.inventory == nil {
		return errors.New("there is no inventory")
	}
	return sdk.CheckInventory(s.inventory)
}

func idsStable(ctx context.Context, s *suite) error {
	before := ids(s.inventory)
	if err := s.restart(ctx); err != nil {
		return err
	}
	inv, err := s.client.Inventory(ctx)
	if err != nil {
		return err
	}
	if after := ids(inv); !slices.Equal(before, after) {
		return fmt.Errorf("%v at first and %v after a restart", before, after)
	}
	return nil
}

func ids(inv *pluginv1.Inventory) []string {
	var all []string
	for _, d := range inv.GetDevices() {
		all = append(all, d.Id)
	}
	slices.Sort(all)
	return all
}

func unknownRefused(ctx context.Context, s *suite) error {
	const nobody = "no-such-device"
	_, err := s.reserve(ctx, s.allocation(), &pluginv1.Share{DeviceId: nobody, Thousandths: sdk.Whole})
	if status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), nobody) {
		return fmt.Errorf("the answer is %w", orNone(err))
	}
	return nil
}

// orNone makes no error one that can be shown.
func orNone(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

// editsOf reserves each device once and returns what comes with it.
func (s *suite) editsOf(ctx context.Context) (map[string]*pluginv1.Edits, error) {
	devices, err := s.devices()
	if err != nil {
		return nil, err
	}
	all := make(map[string]*pluginv1.Edits, len(devices))
	for _, d := range devices {
		id := s.allocation()
		edits, err := s.reserve(ctx, id, whole(d))
		if err != nil {
			return nil, err
		}
		all[d.Id] = edits
		if err := s.client.Release(ctx, id); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func editsValid(ctx context.Context, s *suite) error {
	all, err := s.editsOf(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for _, d := range s.inventory.Devices {
		if err := sdk.CheckEdits(all[d.Id]); err != nil {
			faults = append(faults, fmt.Errorf("device %s: %w", d.Id, err))
		}
	}
	return errors.Join(faults...)
}

func editsDeterministic(ctx context.Context, s *suite) error {
	before, err := s.editsOf(ctx)
	if err != nil {
		return err
	}
	if err := s.sameEdits(ctx, before, "when asked again"); err != nil {
		return err
	}
	if err := s.restart(ctx); err != nil {
		return err
	}
	return s.sameEdits(ctx, before, "after a restart")
}

func (s *suite) sameEdits(ctx context.Context, before map[string]*pluginv1.Edits, when string) error {
	after, err := s.editsOf(ctx)
	if err != nil {
		return err
	}
	for _, d := range s.inventory.Devices {
		if !proto.Equal(before[d.Id], after[d.Id]) {
			return fmt.Errorf("device %s: %v at first and %v %s", d.Id, before[d.Id], after[d.Id], when)
		}
	}
	return nil
}

func releaseUnknown(ctx context.Context, s *suite) error {
	return s.client.Release(ctx, "nobody.ever.held.this")
}

func healthAnswers(ctx context.Context, s *suite) error {
	all, err := s.client.Health(ctx)
	if err != nil {
		return err
	}
	for _, d := range s.inventory.GetDevices() {
		if all[d.Id] == nil {
			return fmt.Errorf("device %s has no health", d.Id)
		}
	}
	if _, err := s.client.Health(ctx, "no-such-device"); status.Code(err) != codes.NotFound {
		return fmt.Errorf("asked for the health of a device that is not there: %w", orNone(err))
	}
	return nil
}

func healthStreamed(ctx context.Context, s *suite) error {
	if s.cfg.Fault == nil {
		return untried("nobody says how to make a device ill")
	}
	if _, err := s.devices(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.FaultTimeout)
	defer cancel()
	over := errors.New("seen")
	ill := false
	err := s.client.Watch(ctx, func(inv *pluginv1.Inventory) error {
		signals := 0
		for _, d := range inv.Devices {
			signals += len(d.GetHealth().GetSignals())
		}
		switch {
		case !ill:
			ill = true
			if signals > 0 {
				return errors.New("a device is ill before it was made so")
			}
			return s.cfg.Fault(ctx, true)
		case signals > 0:
			return s.cfg.Fault(ctx, false)
		default:
			return over
		}
	})
	if errors.Is(err, over) {
		return nil
	}
	undo, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer stop()
	return errors.Join(fmt.Errorf("not told within %v: %w", s.cfg.FaultTimeout, orNone(err)), s.cfg.Fault(undo, false))
}

func statsKnown(ctx context.Context, s *suite) error {
	known := ids(s.inventory)
	enough := errors.New("enough")
	err := s.client.Stats(ctx, time.Second, func(sample *pluginv1.StatsSample) error {
		for _, d := range sample.Devices {
			if !slices.Contains(known, d.DeviceId) {
				return fmt.Errorf("a sample of device %q, which is not there", d.DeviceId)
			}
		}
		return enough
	})
	switch {
	case errors.Is(err, enough):
		return nil
	case status.Code(err) == codes.Unimplemented:
		return untried("the plugin measures nothing")
	}
	return err
}

func programGuarded(ctx context.Context, s *suite) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.FaultTimeout)
	defer cancel()
	refused := []codes.Code{codes.Unimplemented, codes.FailedPrecondition, codes.NotFound}
	targets := []string{"no-such-device"}
	for _, d := range s.inventory.GetDevices() {
		if d.Region == nil {
			targets = append(targets, d.Id)
		}
	}
	about, err := s.client.Describe(ctx)
	if err != nil {
		return err
	}
	for _, id := range targets {
		err := s.client.Program(ctx, &pluginv1.ProgramRequest{DeviceId: id, Image: "conformance", TimeoutMs: 1000}, nil)
		if !slices.Contains(refused, status.Code(err)) {
			return fmt.Errorf("device %s: %w", id, orNone(err))
		}
		if (status.Code(err) == codes.Unimplemented) == about.Programs {
			return fmt.Errorf("it tells that programs is %v, and answers %w", about.Programs, orNone(err))
		}
	}
	return nil
}

func crashRecovery(ctx context.Context, s *suite) error {
	var id string
	var before *pluginv1.Edits
	devices, err := s.devices()
	if err == nil {
		id = s.allocation()
		if before, err = s.reserve(ctx, id, whole(devices[0])); err != nil {
			return err
		}
	}
	if err := s.client.Crash(); err != nil {
		return err
	}
	if err := s.restart(ctx); err != nil {
		return err
	}
	inv, err := s.client.Inventory(ctx)
	switch {
	case err != nil:
		return err
	case !slices.Equal(ids(inv), ids(s.inventory)):
		return fmt.Errorf("%v before the crash and %v after it", ids(s.inventory), ids(inv))
	case before == nil:
		return nil
	}
	after, err := s.reserve(ctx, id, whole(devices[0]))
	if err == nil && !proto.Equal(before, after) {
		err = fmt.Errorf("%v before the crash and %v after it", before, after)
	}
	return errors.Join(err, s.client.Release(ctx, id))
}

func endsWithAgent(ctx context.Context, s *suite) error {
	s.client.Abandon()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.FaultTimeout)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !s.client.Exited() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("it still runs (read descriptor %s until its end)", sdk.LifelineEnv)
		case <-look.C:
		}
	}
	return nil
}
