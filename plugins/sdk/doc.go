// Package sdk is what a device plugin is written with.
//
// A plugin is a program that the agent starts and speaks gRPC with, over hashicorp/go-plugin. It
// says which devices the host has, and what a task needs to use them. An author writes the two
// methods of Plugin and, where there is something to say, those of Meter, Holder, Programmer, Resetter,
// Cleaner and Waker;
// Server does the rest: it looks again and sends changes, keeps the books of what is handed out,
// answers repeated requests alike, and guards devices that are being programmed. main is one call
// of Serve.
//
// The messages are those of the contract, package pluginv1: there is no second set of types to
// keep in step with it.
//
// Invariants:
//
//   - an inventory that breaks the contract (see CheckInventory) never leaves a plugin;
//   - one allocation's reservation has one answer, however often it is asked for;
//   - no device is given out beyond its capacity, nor while it is being programmed;
//   - a plugin ends when its agent does.
//
// Package client is the agent's side; package conformance tests any plugin against the contract.
package sdk
