// Package driver is the contract between the agent's runner and the ways to run a task.
//
// A Driver starts an allocation (one attempt of one task on this node) and hands back a Task;
// a restarted agent gets the same Task from Attach. The contract, checked for every driver:
//
//   - Start is idempotent per directory: starting an allocation that runs or has ended
//     attaches to it, and never runs it a second time;
//   - a task outlives the agent; its Exit is never lost while its directory exists;
//   - Exit is reported only when no process of the task is left.
//
// The types here are plain data, because they also are files: spec.json, status.json and
// exit.json in the allocation's directory. Fields are only ever added, and a zero field
// means what its absence meant before.
//
// Drivers: exec (processes under a shim, in control groups) and sim (runs nothing; for
// simulated nodes). The runner calls them from any goroutine.
package driver
