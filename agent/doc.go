// Package agent is the program on every host: it says what the host is, keeps it registered
// with the servers, runs the tasks they place there, and gives out their logs.
//
// It only wires its parts together, each with a package of its own:
//
//	fingerprint ─▶ link ◀─▶ servers
//	                │ assignments ▲ reports
//	                ▼             │
//	              runner ─▶ driver ─▶ shim ─▶ the task's processes
//	                ▲
//	              tasks ◀─ servers (logs, exec)
//
// Killing the agent, in whatever way, does not touch the tasks; the next agent with the same
// data directory adopts them. cmd/caravan calls New and Run; nothing else does.
package agent
