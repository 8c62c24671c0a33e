// Package device is the agent's part of GPUs and FPGAs: it runs device plugins, says what devices
// the host has and how they are, and hands them to allocations.
//
// A plugin is a process of its own (caravan/plugins/sdk). When it crashes or stops answering it is
// ended and started again, with growing pauses; the tasks that hold its devices run on, and their
// reservations are repeated to the new process. Its devices stay in the inventory as they were for
// DownGrace and are out of service after that.
//
// What is seen of a device is judged by package health; a device out of service is advertised as
// unhealthy, with its reason, and the servers place nothing on it.
//
// Invariants:
//
//   - a device is handed to allocations only within its capacity (the plugin's server keeps it);
//   - a reservation outlives its plugin, until it is released;
//   - two plugins never own one device: the first to name it does;
//   - Config.Changed is called after every change of what Devices returns.
//
// The agent calls Run once; the other methods are safe from any goroutine.
package device
