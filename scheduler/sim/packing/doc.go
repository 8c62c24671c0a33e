// Package packing measures how well a policy packs: it offers a stream of requests to an empty fleet,
// one at a time, and reports how much of the fleet's devices is allocated when the requests that have
// arrived add up to a given load.
//
// The protocol is that of Weng et al., "Beware of Fragmentation" (USENIX ATC 2023, section 6):
//   - requests arrive in an order drawn from the list by the seed, without replacement; when the list
//     is exhausted before the load is reached, more are drawn from it with replacement;
//   - load is the devices requested so far, granted or not, over the fleet's devices;
//   - a refused request is never tried again, nothing ends, and nothing moves.
//
// Equal configurations give equal reports, except for the decision time. Callers: the command line
// and tests. A run belongs to one goroutine; several may run at once.
package packing
