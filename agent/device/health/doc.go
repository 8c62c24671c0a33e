// Package health judges devices: from what is seen of one it decides whether work may be placed
// on it, whether what runs there must leave, and whether it comes back.
//
// Apply is a pure function: a Record and an Event give the next Record and the Effects to carry
// out. What to make of each signal is data, a Policy, embedded as policy.yaml and replaced by an
// operator's file; the transitions between states are a table. Time comes with the events.
//
//	healthy -> suspect       finish what runs, place nothing
//	        -> quarantined   what runs must leave
//	        -> repairing     until nothing bad is seen any more
//	        -> probation     in service again, watched closely
//	        -> healthy, or rma: to be replaced; only an operator leads out
//
// The agent's device manager keeps one Record a device and calls Apply from one goroutine.
package health
