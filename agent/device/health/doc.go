// Package health judges devices, and hosts: from what is seen of one it decides whether work may be
// placed on it, whether what runs there must leave, and whether it comes back.
//
// Apply is a pure function: a Record and an Event give the next Record and the Effects to carry
// out. What to make of each signal is data, a Policy, embedded as policy.yaml and replaced by an
// operator's file; the transitions between states are a table. Time comes with the events.
//
//	healthy -> suspect       finish what runs, place nothing
//	        -> quarantined   what runs must leave
//	        -> repairing     reset if its fault calls for it, and until nothing bad is seen any more
//	        -> probation     tested, then in service again, watched closely
//	        -> healthy, or rma: to be replaced; only an operator leads out
//
// A Record is plain data that can be kept as JSON, so that an agent started anew goes on where the
// last one stopped. Every change and every fault that counts is a line of its History.
//
// The agent's device manager keeps one Record a device and one for the host, and calls Apply under
// its lock.
package health
