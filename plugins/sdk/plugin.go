package sdk

import (
	"context"

	"caravan/plugins/sdk/pluginv1"
)

// Plugin is what an author has to write. Its methods are called from several goroutines.
type Plugin interface {
	// Inventory looks at the host and returns all devices there are now, or a reason why there is
	// none. It is asked again and again, so a host without a driver is no error.
	Inventory(ctx context.Context) (*pluginv1.Inventory, error)
	// Edits says what a task needs to use these shares of known devices. Equal shares have equal
	// edits: they must not depend on time, chance or what was asked before.
	Edits(ctx context.Context, shares []*pluginv1.Share) (*pluginv1.Edits, error)
}

// Holder is a plugin that has something to do before shares can be used and after: a daemon to
// start, a mode to set. What it does may depend on who else uses a device; what a task is told, its
// Edits, may not.
type Holder interface {
	// Hold makes shares ready for an allocation. It may be called again for one that is ready. An
	// error with a gRPC status is passed on as it is.
	Hold(ctx context.Context, allocation, tenant string, shares []*pluginv1.Share) error
	// Drop tells that an allocation uses nothing any more. It may be called for one that never did.
	Drop(ctx context.Context, allocation string) error
}

// Tenanted is a plugin whose edits depend on whose a task is, too.
type Tenanted interface {
	// EditsFor takes the place of Edits. Equal shares of one tenant have equal edits.
	EditsFor(ctx context.Context, tenant string, shares []*pluginv1.Share) (*pluginv1.Edits, error)
}

// Meter is a plugin that can measure its devices.
type Meter interface {
	// Stats takes one sample of all devices.
	Stats(ctx context.Context) (*pluginv1.StatsSample, error)
}

// Programmer is a plugin whose devices take images.
type Programmer interface {
	// Program loads an image and returns when it is loaded; progress may be reported as often as
	// one likes. It is never called for a device that is in use or being programmed. It must end
	// soon after ctx does.
	Program(ctx context.Context, req *pluginv1.ProgramRequest, progress func(doneThousandths int32, step string)) error
}

// Waker is a plugin that notices changes by itself, so that none has to wait for the next look.
type Waker interface {
	// Changed gives a value whenever it is worth looking again. It must be the same channel on
	// every call.
	Changed() <-chan struct{}
}

// Resetter is a plugin that can make its devices as good as new.
type Resetter interface {
	// Reset returns when the device has been reset. It is never called for a device that is in use
	// or being programmed. It must end soon after ctx does. An error with the gRPC code
	// Unimplemented says that this device cannot be reset here, and none was tried.
	Reset(ctx context.Context, device string) error
}

// Reacher is a plugin whose resets are wider than a device, such as those of a GPU that is divided.
type Reacher interface {
	// Reaches returns the other devices that a reset of this one resets too. None of them may be in
	// use, and none is handed out meanwhile.
	Reaches(device string) []string
}

// Cleaner is a plugin that can see what tasks leave on its devices.
type Cleaner interface {
	// Clean sets back the modes that a task may have changed and says what is left.
	Clean(ctx context.Context, device string) (*pluginv1.CleanResponse, error)
}

// Text is an attribute that is a word.
func Text(text string) *pluginv1.Attribute {
	return &pluginv1.Attribute{Value: &pluginv1.Attribute_Text{Text: text}}
}

// Number is an attribute that is a whole number.
func Number(n int64) *pluginv1.Attribute {
	return &pluginv1.Attribute{Value: &pluginv1.Attribute_Milli{Milli: n * 1000}}
}

// Seen is the health of a device of which these signals are seen now.
func Seen(signals ...*pluginv1.Signal) *pluginv1.Health {
	return &pluginv1.Health{Signals: signals}
}
