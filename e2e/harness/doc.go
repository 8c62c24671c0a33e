// Package harness starts real Caravan processes on loopback for end-to-end
// tests and the demo, and ends every one of them by its process id. A Cluster
// belongs to one goroutine, except for Client, whose result is safe for
// concurrent use.
package harness
