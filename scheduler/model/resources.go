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
	// Image is what an FPGA is to be programmed with; empty for none.
	Image string
	// Media is held on each device, beside the share.
	Media Media
}

// Media is what the video engines of a device offer, or what is held of it.
type Media struct {
	// Sessions is how many encoder sessions may be open at once.
	Sessions int32
	// EncodeMilli and DecodeMilli are thousandths of the device's encoding and
	// decoding capacity.
	EncodeMilli int32
	DecodeMilli int32
}

// Plus returns the sum.
func (m Media) Plus(o Media) Media {
	return Media{m.Sessions + o.Sessions, m.EncodeMilli + o.EncodeMilli, m.DecodeMilli + o.DecodeMilli}
}

// Minus returns the difference, which may be negative.
func (m Media) Minus(o Media) Media {
	return Media{m.Sessions - o.Sessions, m.EncodeMilli - o.EncodeMilli, m.DecodeMilli - o.DecodeMilli}
}

// Covers reports whether there is as much of everything as in o.
func (m Media) Covers(o Media) bool {
	return m.Sessions >= o.Sessions && m.EncodeMilli >= o.EncodeMilli && m.DecodeMilli >= o.DecodeMilli
}

// Attributes by which a device advertises its video engines, each a number.
const (
	AttributeSessions = "encoder_sessions"
	AttributeEncode   = "encode"
	AttributeDecode   = "decode"
)

// Attributes of a device that takes images: the one that is loaded, the state
// of the region that takes it, and, from hosts that know, the names of those
// that can be loaded, separated by commas.
const (
	AttributeImage  = "image"
	AttributeRegion = "region"
	AttributeImages = "images"
)

// maxMedia bounds what a device may advertise of one engine.
const maxMedia = 1_000_000

// Media returns what a device's video engines offer.
func (d *Device) Media() Media {
	engine := func(name string) int32 {
		a := d.Attributes[name]
		if !a.Number {
			return 0
		}
		return int32(min(max(a.Milli, 0), maxMedia)) //nolint:gosec // within the bound
	}
	return Media{Sessions: engine(AttributeSessions) / 1000, EncodeMilli: engine(AttributeEncode), DecodeMilli: engine(AttributeDecode)}
}

// Fraction reports whether less than a whole device is asked for.
func (r *DeviceRequest) Fraction() bool { return r.Thousandths < 1000 }
