// Package fingerprint says what a host is: processors, memory, disk, kernel, topology and
// devices, as the node that the agent registers.
//
// Everything that is read of /proc, /sys and /etc is read below a root directory, so that
// tests show it other hosts. Fractions are in thousandths; nothing is a float. What a host
// does not tell is left out, except what scheduling cannot do without (processors, memory,
// disk), which is an error.
//
// The agent calls Take at its start and again whenever a DeviceSource has changed. Functions
// are safe for concurrent use.
package fingerprint
