package model

import "strconv"

// Node is a host with an agent.
type Node struct {
	Name         string
	Address      string
	InstanceType string
	Family       string
	Zone         string
	Rack         string
	Attributes   map[string]Attribute
	CPUMilli     int64
	MemoryMiB    int64
	DiskMiB      int64
	// Devices is sorted by ID.
	Devices []Device
	// DeviceLinks is how close any two devices are; see Link. Empty when unknown.
	DeviceLinks []int32
	BootID      string
	Version     string
	Simulated   bool
	// Truths says which expressions hold of the node. It is filled in for a
	// decision, from everything else that is here, and never kept.
	Truths map[string]bool
	// PriceMicroPerHour is millionths of the currency unit for the whole node; 0 unknown.
	PriceMicroPerHour int64

	// Health is of the host itself, HealthReason why it is out of service.
	Health       Health
	HealthReason string

	State        NodeState
	Draining     bool
	RegisteredAt Time
	ChangedAt    Time
}

// Device is something on a node that is handed out whole or in thousandths.
type Device struct {
	ID        string
	Kind      string
	Vendor    string
	Model     string
	MemoryMiB int64
	// Thousandths is the capacity offered: 1000 for a whole device.
	Thousandths int32
	Attributes  map[string]Attribute
	// Truths is as on a Node.
	Truths  map[string]bool
	Healthy bool
	// HealthReason says why the device is out of service.
	HealthReason string
	// Identity is the device's UUID or serial number; "" for none.
	Identity string
	Health   Health
}

// Kinds of device.
const (
	KindGPU  = "gpu"
	KindFPGA = "fpga"
)

// Schedulable reports whether the node takes new allocations.
func (n *Node) Schedulable() bool { return n.State == NodeReady && !n.Draining && n.HealthReason == "" }

// Clone returns a copy whose fields may be set; maps and devices are shared.
func (n *Node) Clone() *Node {
	c := *n
	return &c
}

// Link returns how close the i-th and the j-th device are: the higher the closer, 0 unknown.
func (n *Node) Link(i, j int) int32 {
	if i > j {
		i, j = j, i
	}
	// Row i of the upper triangle begins behind the i longer rows above it.
	at := i*(2*len(n.Devices)-i-1)/2 + j - i - 1
	if i == j || i < 0 || at >= len(n.DeviceLinks) {
		return 0
	}
	return n.DeviceLinks[at]
}

// Attribute returns the node's attribute of that name. Fixed fields answer
// first, then Truths: node, instance_type, family, zone, rack, simulated.
func (n *Node) Attribute(name string) (Attribute, bool) {
	switch name {
	case "node":
		return Text(n.Name), true
	case "instance_type":
		return Text(n.InstanceType), n.InstanceType != ""
	case "family":
		return Text(n.Family), n.Family != ""
	case "zone":
		return Text(n.Zone), n.Zone != ""
	case "rack":
		return Text(n.Rack), n.Rack != ""
	case "simulated":
		if n.Simulated {
			return Text("true"), true
		}
		return Text("false"), true
	}
	return advertised(n.Truths, n.Attributes, name)
}

// advertised looks an attribute or an expression up.
func advertised(truths map[string]bool, attributes map[string]Attribute, name string) (Attribute, bool) {
	if holds, ok := truths[name]; ok {
		return Text(strconv.FormatBool(holds)), true
	}
	a, ok := attributes[name]
	return a, ok
}

// Attribute returns the device's attribute of that name. Fixed fields answer
// first: device, kind, vendor, model, and memory in MiB.
func (d *Device) Attribute(name string) (Attribute, bool) {
	switch name {
	case "device":
		return Text(d.ID), true
	case "kind":
		return Text(d.Kind), true
	case "vendor":
		return Text(d.Vendor), d.Vendor != ""
	case "model":
		return Text(d.Model), d.Model != ""
	case "memory":
		return Milli(d.MemoryMiB * 1000), d.MemoryMiB > 0
	}
	return advertised(d.Truths, d.Attributes, name)
}

// Queue is what jobs are charged to.
type Queue struct {
	Name   string
	Parent string
	// Weight is the share against siblings when work waits; 1 to 1,000,000.
	Weight int64
	// Upper bounds on what running tasks hold; 0 means none.
	MaxCPUMilli     int64
	MaxMemoryMiB    int64
	MaxDevicesMilli int64
}

// Server is a member of the control plane.
type Server struct {
	ID          string
	RaftAddress string
	APIAddress  string
}
