// Package shim is the small process that owns one task and outlives the agent, and the
// agent's side of talking to it.
//
// The agent starts `caravan shim DIR` detached, in a session and control group of its own;
// killing the agent does not touch it. DIR is the allocation's directory:
//
//	spec.json    what to run (written once, by the launcher)
//	shim.lock    locked exclusively (flock(2)) for the life of the shim
//	shim.sock    requests: one JSON object a line, one answer a line
//	shim.log     the shim's own messages
//	status.json  phase, PIDs, boot id; replaced atomically
//	exit.json    how it ended; written once, synced
//	work/ logs/ out/
//
// Invariants:
//
//   - the lock is taken by the launcher before the shim exists and inherited by it, so there
//     is no moment in which a begun allocation looks dead; whoever gets the lock knows that no
//     shim lives, without trusting a PID;
//   - a directory runs its command at most once: status.json is written, under the lock, before
//     the shim is started, and a directory with a status is never launched again;
//   - exit.json appears only when no process of the task is left;
//   - if the shim dies, the kernel kills the command (PR_SET_PDEATHSIG) and the next waiter
//     kills the rest of the group before it reports shim-lost.
//
// The shim is also the child subreaper of the task, so that what the command leaves behind
// is collected. What may end a task early (a time limit, a stop request, SIGTERM to the
// shim) arrives as an ending in one channel; see supervise.
package shim
