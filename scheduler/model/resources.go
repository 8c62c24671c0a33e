package model

// Resources is what one task holds while it runs.
type Resources struct {
	CPUMilli  int64
	MemoryMiB int64
	DiskMiB   int64
	Devices   []DeviceRequest
}

// DeviceRequest asks for Count whole devices or, below 1000 thousandths, for
// that share of a single one.
type DeviceRequest struct {
	Kind        string
	Count       int32
	Thousandths int32
	// MemoryMiB is device memory held on each device; 0 means in proportion to Thousandths.
	MemoryMiB   int64
	Constraints []Constraint
	// Image that each device has to run; "" for any. See Device.Runs.
	Image string
}

// Fraction reports whether less than a whole device is asked for.
func (r *DeviceRequest) Fraction() bool { return r.Thousandths < 1000 }

// Attributes of a device that takes images: the one that is loaded, the state
// of the region that takes it, and, from hosts that know, the names of those
// that can be loaded, separated by commas.
const (
	AttributeImage  = "image"
	AttributeRegion = "region"
	AttributeImages = "images"
)
