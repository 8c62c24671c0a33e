package family

// Whole is the number of thousandths in one device.
const Whole = 1000

// Fact is a yes or no that the catalogue may not know.
type Fact uint8

// The values of a Fact.
const (
	Unrecorded Fact = iota // nothing is written down; not the same as No
	No
	Yes
)

// String returns "unrecorded", "no" or "yes".
func (f Fact) String() string {
	switch f {
	case No:
		return "no"
	case Yes:
		return "yes"
	default:
		return "unrecorded"
	}
}

// Kind is the kind of a device part.
type Kind string

// The kinds of device a catalogue may describe.
const (
	GPU  Kind = "gpu"
	FPGA Kind = "fpga"
)

// Class says what a family is made for. It is a label for people and for reports: placement looks
// at the amounts, never at the class.
type Class string

// The classes a catalogue may use.
const (
	ClassShared    Class = "shared"     // CPU time shared between tenants
	ClassCompute   Class = "compute"    // 2 GiB of memory per virtual CPU
	ClassGeneral   Class = "general"    // 4 GiB of memory per virtual CPU
	ClassHighClock Class = "high_clock" // fewer cores at a higher clock
	ClassMemory    Class = "memory"     // 8 GiB of memory per virtual CPU
	ClassStorage   Class = "storage"    // local disks
	ClassGPU       Class = "gpu"
	ClassFPGA      Class = "fpga"
)

// Part describes one model of device. All amounts are per device, and 0 where not recorded.
type Part struct {
	Name   string // key in the catalogue, e.g. "M40"
	Vendor string // "nvidia", "amd", "intel", "xilinx"
	Kind   Kind
	PCI    string // "vendor:device" in lower-case hexadecimal, "" if not recorded
	VFPCI  string // the same for its SR-IOV virtual functions

	MemMiB          int64 // device memory of a GPU, board DDR of an FPGA
	MemBandwidthGBs int64 // GByte/s
	MemBusBits      int64
	MemType         string // "GDDR5"
	MemECC          Fact
	MemBanks        int64

	Cores       int64 // shader cores of a GPU
	FP32GFLOPS  int64 // single precision, data-sheet peak
	FP64GFLOPS  int64 // double precision, data-sheet peak
	CC          int64 // CUDA compute capability, major*10+minor (52 for 5.2); 0 if not a CUDA device
	Watts       int64 // board power limit
	NVLinks     int64
	MaxVFs      int64 // most SR-IOV virtual functions
	PCIeGen     int64
	PCIeLanes   int64
	MIG         Fact // can be cut into isolated instances
	MPSLimits   Fact // can limit a process's share of the cores
	MediaEngine Fact // has hardware video encoders and decoders

	LogicElements int64 // FPGA only
	DSP           int64 // FPGA only: multiplier blocks

	Source string // where the figures come from
}

// Share is an amount of one part: whole devices, or a slice of one.
type Share struct {
	Part        Part
	Thousandths int64 // of one device, > 0; a multiple of Whole or less than Whole
}

// Disks are the local disks of a type. They are fast, schedulable and not durable.
type Disks struct {
	Count   int64 // 0 where only the total is published
	EachGB  int64 // GB (10^9 bytes); 0 where only the total is published
	TotalGB int64 // GB (10^9 bytes); 0 means no local disks
}

// Type is one size of a family: the machine a node can be.
type Type struct {
	Name    string // full name, e.g. "ecs.gn4-c8g1.4xlarge"
	Family  string // e.g. "gn4"
	Size    string // e.g. "c8g1.4xlarge"
	VCPU    int64  // virtual CPUs, > 0
	MemMiB  int64  // host memory, > 0
	NetMbps int64  // Mbit/s; 0 where not published
	Devices []Share
	Disks   Disks
}

// DeviceThousandths returns the thousandths of all devices of the type together.
func (t Type) DeviceThousandths() int64 {
	var n int64
	for _, s := range t.Devices {
		n += s.Thousandths
	}
	return n
}

// Family is a line of machine types built alike.
type Family struct {
	Name      string
	Class     Class
	CPU       string // processor model, "" where not recorded
	ClockMHz  int64  // 0 where not recorded
	BareMetal bool
	Modelled  bool // not a published family: its figures are ours
	RoCEGbps  int64
	Disk      string // kind of local disk: "nvme", "sata_hdd" or ""
	MaxIOPS   int64  // of all local disks together
	ReadMBs   int64  // MByte/s of all local disks together
	WriteMBs  int64  // MByte/s of all local disks together
	DiskMBs   int64  // MByte/s of one local disk
	TotalMBs  int64  // MByte/s of all local disks together, sequential
	Note      string // what the project brief says, and whether the documents agree
	Types     []Type // in the order of the catalogue, at least one
}

// Largest returns the type that the family's bare name stands for: the one with the most devices,
// then virtual CPUs, memory, local disk and network; of equals the one listed last.
func (f Family) Largest() Type {
	best := f.Types[0]
	for _, t := range f.Types[1:] {
		if !larger(best, t) {
			best = t
		}
	}
	return best
}

// larger reports whether a is strictly larger than b in the order of Largest.
func larger(a, b Type) bool {
	for _, d := range [...]int64{
		a.DeviceThousandths() - b.DeviceThousandths(),
		a.VCPU - b.VCPU,
		a.MemMiB - b.MemMiB,
		a.Disks.TotalGB - b.Disks.TotalGB,
		a.NetMbps - b.NetMbps,
	} {
		if d != 0 {
			return d > 0
		}
	}
	return false
}
