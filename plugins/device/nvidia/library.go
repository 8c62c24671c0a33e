package nvidia

import (
	"context"
	"errors"
	"fmt"
)

// Library is NVML as far as the plugin uses it. Its methods are safe for concurrent use and return
// soon after their context ends, also when the driver does not answer.
type Library interface {
	// Look reads what the host has. An *AbsentError says why nothing can be read.
	Look(ctx context.Context) (Host, error)
	// Measure takes one sample of every GPU that answers.
	Measure(ctx context.Context) ([]Measurement, error)
	// Watch hands events to tell until ctx ends or the driver has none to give.
	Watch(ctx context.Context, tell func(Event)) error
	// SetExclusive lets one process (an MPS server) use a GPU, or any.
	SetExclusive(ctx context.Context, uuid string, exclusive bool) error
	// Restore sets back the modes of a GPU that differ, and locked clocks with unlock. It returns what
	// the driver does not let be set, one sentence each.
	Restore(ctx context.Context, uuid string, to Modes, unlock bool) (left []string, err error)
	// Apart runs f while this process has no GPU open, as the reset of one demands. It waits for a
	// call about the GPU that hangs as long as ctx allows.
	Apart(ctx context.Context, uuid string, f func(context.Context) error) error
	// SetMIG divides a GPU or makes it whole. It takes effect at once or at the GPU's next reset.
	SetMIG(ctx context.Context, uuid string, on bool) error
	// CreateInstance makes a GPU instance with one compute instance that fills it.
	CreateInstance(ctx context.Context, uuid string, profile Profile, start int) error
	// DestroyInstance removes a GPU instance and the compute instances in it.
	DestroyInstance(ctx context.Context, uuid string, instance int) error
}

// AbsentError says for people why there is no library to ask.
type AbsentError struct{ Reason string }

func (e *AbsentError) Error() string { return e.Reason }

// ErrNotAnswering means that a call into the driver has not come back.
var ErrNotAnswering = errors.New("the driver does not answer")

// Host is what the library tells.
type Host struct {
	Driver string `json:"driver"`
	NVML   string `json:"nvml"`
	// CUDA is the newest version that the driver supports, as in 12.4.
	CUDA string `json:"cuda,omitempty"`
	GPUs []GPU  `json:"gpus"`
	// Failed are the GPUs that the library counts and cannot identify.
	Failed []Failure `json:"failed,omitempty"`
	// Levels are how two GPUs are connected over PCI Express, each pair once.
	Levels []Level `json:"levels,omitempty"`
	// Missing are the functions that this driver's library lacks, sorted.
	Missing []string `json:"missing_functions,omitempty"`
}

// Failure is a GPU that cannot be identified.
type Failure struct {
	Index int `json:"index"`
	// Lost says that the driver has given it up; otherwise it does not answer.
	Lost   bool   `json:"lost"`
	Detail string `json:"detail"`
}

// Level is the common ancestor of two GPUs: 0 one board, 10 one switch, 20 several switches, 30 a
// host bridge, 40 a processor, 50 the system.
type Level struct {
	A        string `json:"a"`
	B        string `json:"b"`
	Ancestor int    `json:"ancestor"`
}

// GPU is one physical GPU. A figure that the driver does not tell is 0 or absent.
type GPU struct {
	Index  int    `json:"index"`
	UUID   string `json:"uuid"`
	Name   string `json:"name"`
	Serial string `json:"serial,omitempty"`
	// PCI is the address as in 0000:3b:00.0.
	PCI   string `json:"pci"`
	Minor int    `json:"minor"`
	// MemoryMiB includes what the driver keeps for itself.
	MemoryMiB int64 `json:"memory_mib"`
	// ComputeCapability in hundredths: 520 is 5.2.
	ComputeCapability int64 `json:"compute_capability_hundredths"`
	Cores             int64 `json:"cores,omitempty"`
	MaxClockMHz       int64 `json:"max_clock_mhz,omitempty"`
	PowerLimitMilli   int64 `json:"power_limit_milliwatts,omitempty"`
	// Encoder is what is left of the encoder's capacity in hundredths, by codec.
	Encoder map[string]int64 `json:"encoder_capacity_percent,omitempty"`
	Link    PCIe             `json:"pcie"`
	NVLinks []NVLink         `json:"nvlinks,omitempty"`
	// ECC is on or off.
	ECC string `json:"ecc,omitempty"`
	Modes
	MIG *MIG `json:"mig,omitempty"`
	// Lost and NotAnswering say that the other figures may be incomplete.
	Lost         bool    `json:"lost,omitempty"`
	NotAnswering bool    `json:"not_answering,omitempty"`
	Illness      Illness `json:"illness"`
}

// Modes are what the driver lets be set of a GPU, and what is set back after a task. "" and 0 stand
// for what the GPU does not have.
type Modes struct {
	// Compute is default, exclusive-process, exclusive-thread or prohibited.
	Compute string `json:"compute_mode,omitempty"`
	// Persistence is on or off.
	Persistence string `json:"persistence,omitempty"`
	PowerMilli  int64  `json:"power_cap_milliwatts,omitempty"`
	// GraphicsMHz and MemoryMHz are the clocks that applications are given.
	GraphicsMHz int64 `json:"application_graphics_mhz,omitempty"`
	MemoryMHz   int64 `json:"application_memory_mhz,omitempty"`
	// Divided is on or off: MIG mode, as it will be after a reset.
	Divided string `json:"mig_mode,omitempty"`
}

// PCIe is the link that a GPU has and could have.
type PCIe struct {
	Gen      int64 `json:"gen,omitempty"`
	Width    int64 `json:"width,omitempty"`
	MaxGen   int64 `json:"max_gen,omitempty"`
	MaxWidth int64 `json:"max_width,omitempty"`
}

// NVLink is one direct link.
type NVLink struct {
	Link   int  `json:"link"`
	Active bool `json:"active"`
	// Remote is the PCI address at the other end, "" for a switch or unknown.
	Remote string `json:"remote,omitempty"`
	Switch bool   `json:"switch,omitempty"`
}

// Illness are the driver's own signs, as they are now.
type Illness struct {
	// Errors of memory since the driver was loaded.
	Uncorrected int64 `json:"ecc_uncorrected"`
	Corrected   int64 `json:"ecc_corrected"`
	// Remapped rows (Ampere and later).
	RemapPending bool `json:"remap_pending,omitempty"`
	RemapFailed  bool `json:"remap_failed,omitempty"`
	// Retired pages (Volta and before).
	RetiredPages  int64 `json:"retired_pages,omitempty"`
	RetirePending bool  `json:"retire_pending,omitempty"`
	// Recovery is what the driver asks for, "" for nothing: see recoveries.
	Recovery string `json:"recovery,omitempty"`
	// Throttle are the reasons why clocks are held down.
	Throttle []string `json:"throttle,omitempty"`
	// Hot says that the temperature has reached the limit at which the GPU slows down.
	Hot        bool  `json:"hot,omitempty"`
	HotAt      int64 `json:"hot_at_celsius,omitempty"`
	EccPending bool  `json:"ecc_mode_pending,omitempty"`
}

// MIG is how a GPU is divided.
type MIG struct {
	Enabled bool `json:"enabled"`
	// Pending is what it will be after a reset of the GPU.
	Pending   bool       `json:"pending"`
	Instances []Instance `json:"instances,omitempty"`
	// Profiles can be made, in the order of their ids.
	Profiles []Profile `json:"profiles,omitempty"`
}

// Profile is a size that a GPU instance can have.
type Profile struct {
	// ID is the driver's own; Index is where the driver lists it.
	ID    int `json:"id"`
	Index int `json:"index"`
	// Slices of compute, and what memory comes with them.
	Slices    int   `json:"slices"`
	MemoryMiB int64 `json:"memory_mib"`
	// Most that can exist on one GPU.
	Most int `json:"most"`
	// Starts are the slices of memory at which one may begin, sorted; Size how many it takes.
	Starts []int `json:"starts"`
	Size   int   `json:"size"`
	Media  bool  `json:"media_extensions,omitempty"`
}

// Name is the profile as people write it: 3g.20gb, and 1g.10gb+me with media engines.
func (p Profile) Name() string {
	name := fmt.Sprintf("%dg.%dgb", p.Slices, (p.MemoryMiB+1023)/1024)
	if p.Media {
		name += "+me"
	}
	return name
}

// Instance is one GPU instance.
type Instance struct {
	ID      int `json:"id"`
	Profile int `json:"profile"`
	Start   int `json:"start"`
	Size    int `json:"size"`
	// UUID and MemoryMiB are those of the MIG device that the instance's compute instance is; ""
	// if there is none.
	UUID      string `json:"uuid,omitempty"`
	MemoryMiB int64  `json:"memory_mib"`
	Slices    int    `json:"slices"`
	// Compute is the number of the compute instance.
	Compute int `json:"compute_instance"`
}

// Measurement is one sample of a GPU.
type Measurement struct {
	UUID string `json:"uuid"`
	// Values by name with the unit at its end.
	Values    map[string]int64 `json:"values"`
	Processes []Process        `json:"processes,omitempty"`
}

// Process is a process that uses a GPU.
type Process struct {
	PID    int              `json:"pid"`
	Values map[string]int64 `json:"values"`
	// Instance is the MIG GPU instance that it uses, -1 for none.
	Instance int `json:"instance"`
}

// Event is something that happened to a GPU.
type Event struct {
	UUID string
	// Code is the signal that it amounts to, such as xid-79.
	Code   string
	Detail string
}
