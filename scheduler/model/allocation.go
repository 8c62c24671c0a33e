package model

import "strconv"

// Allocation is one attempt of one task on one node. It never restarts; a
// further attempt is a new allocation.
type Allocation struct {
	ID      string
	Job     string
	Group   int
	Ordinal int64
	Attempt int32
	Epoch   int32
	Variant int
	Node    string

	CPUMilli  int64
	MemoryMiB int64
	DiskMiB   int64
	Devices   []DeviceShare
	// Exclusive says that nothing else runs on the node meanwhile.
	Exclusive bool

	State         AllocationState
	StopRequested bool
	PlacedAt      Time
	StartedAt     Time
	EndedAt       Time
	Exit          Exit
	Usage         Usage
}

// DeviceShare is the part of one device that an allocation holds.
type DeviceShare struct {
	Device      string
	Thousandths int32
	MemoryMiB   int64
	Media       Media
}

// Exit tells how an attempt ended. Code follows the shell: 128+n for signal n.
type Exit struct {
	Code    int32
	Signal  int32
	Reason  string
	Message string
}

// Reasons that an attempt ended for.
const (
	ReasonExited        = "exited"
	ReasonSignaled      = "signaled"
	ReasonOOM           = "oom"
	ReasonTimeLimit     = "time-limit"
	ReasonStopped       = "stopped"
	ReasonLaunchFailed  = "launch-failed"
	ReasonVerify        = "verify"
	ReasonOutputMissing = "output-missing"
	ReasonPublishFailed = "publish-failed"
	ReasonShimLost      = "shim-lost"
	ReasonNodeLost      = "node-lost"
	ReasonGang          = "gang"
	// ReasonDeviceFault: a device that the attempt held is ill; ReasonHostFault: the host is.
	ReasonDeviceFault = "device-fault"
	ReasonHostFault   = "host-fault"
	// ReasonEarlyStop ends a point of a sweep for good.
	ReasonEarlyStop = "early-stop"
)

// Usage is what an attempt used.
type Usage struct {
	CPUTime         Duration
	PeakMemoryBytes int64
	// Limits names the cgroup version that enforced the limits, or "none".
	Limits string
	// What its shares of devices were charged: energy in millijoules, and the most device memory
	// seen in use; 0 where devices are not measured.
	DeviceEnergyMJ        int64
	PeakDeviceMemoryBytes int64
}

// AllocationID names an attempt: JOB.GROUP.ORDINAL.ATTEMPT.
func AllocationID(job, group string, ordinal int64, attempt int32) string {
	return job + "." + group + "." + strconv.FormatInt(ordinal, 10) + "." + strconv.Itoa(int(attempt))
}

// Clone returns a copy whose fields may be set; Devices is shared.
func (a *Allocation) Clone() *Allocation {
	c := *a
	return &c
}
