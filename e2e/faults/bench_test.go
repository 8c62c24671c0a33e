package faults

import (
	"fmt"
	"os"
	"path/filepath"
)

// Fault is what the drill does to a device.
type Fault int

// Faults of the drill.
const (
	// OffTheBus is XID 79: the device is there and of no use until it is reset.
	OffTheBus Fault = iota
	// Contained is XID 94: one task has lost its data, the device has not.
	Contained
	// Dropped devices are not counted any more.
	Dropped
	// Hung: a call about the device does not come back.
	Hung
	// Silent: the plugin as a whole does not answer.
	Silent
	// Remade: an idle device is split into two parts.
	Remade
)

// Bench is a device plugin whose devices can be made ill.
type Bench interface {
	// Plugin is the value of --device-plugin for an agent.
	Plugin(agent int) string
	// Inflict makes a device of an agent ill, and all others well.
	Inflict(agent int, device string, f Fault) error
	// Heal makes everything well.
	Heal(agent int) error
	// Code is the policy's word for a fault.
	Code(f Fault) string
	// Parts are the ids that a device has when it is split.
	Parts(device string) []string
}

// simBench is the bench of the simulated devices: a file of faults an agent.
type simBench struct{ dir string }

var _ Bench = simBench{}

func (b simBench) file(agent int) string {
	return filepath.Join(b.dir, fmt.Sprintf("faults-%d.yaml", agent))
}

func (b simBench) Plugin(agent int) string { return "sim -machine gn4 -faults " + b.file(agent) }

func (b simBench) Inflict(agent int, device string, f Fault) error {
	return b.write(agent, map[Fault]string{
		OffTheBus: "devices: {" + device + ": {signals: {xid-79: the drill says so}, until_reset: true}}",
		Contained: "devices: {" + device + ": {signals: {xid-94: the drill says so}}}",
		Dropped:   "devices: {" + device + ": {lost: true}}",
		Hung:      "devices: {" + device + ": {signals: {not-answering: the drill says so}}}",
		Silent:    "hang: true",
		Remade:    "parts: {" + device + ": 2}",
	}[f])
}

func (b simBench) Heal(agent int) error { return b.write(agent, "{}") }

// write replaces the file whole, so that the plugin never reads half of it.
func (b simBench) write(agent int, text string) error {
	next := b.file(agent) + ".new"
	if err := os.WriteFile(next, []byte(text+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(next, b.file(agent))
}

func (b simBench) Code(f Fault) string {
	return codes()[f]
}

// codes are the policy's words, which are the same for all vendors.
func codes() map[Fault]string {
	return map[Fault]string{OffTheBus: "xid-79", Contained: "xid-94", Dropped: "device-gone", Hung: "not-answering"}
}

func (b simBench) Parts(device string) []string { return []string{device + ".0", device + ".1"} }
