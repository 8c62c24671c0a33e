// Package leader holds what only the leading server does: it runs scheduling
// cycles, watches the agents' leases, and sweeps away old records. It owns
// nothing that cannot be rebuilt from the replicated state, so a new leader
// starts from there. Run is called once per process and works only while this
// server leads; the other methods are safe for concurrent use.
package leader
