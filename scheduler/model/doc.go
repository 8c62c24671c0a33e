// Package model holds Caravan's nouns as plain values: jobs, task groups,
// variants, allocations, nodes, devices, queues, and the sets of task numbers
// that let an array of a million tasks cost a few words.
//
// Everything here is pure: no clock, randomness, I/O or concurrency. Values
// reached through a pointer that came out of the state are shared and must not
// be changed; Clone first. Times are milliseconds since the Unix epoch,
// durations are milliseconds, memory and disk are MiB, processor shares are
// thousandths of a core and device shares thousandths of a device.
package model
