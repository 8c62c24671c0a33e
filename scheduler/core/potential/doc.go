// Package potential chooses nodes by what they could still take: the node whose expected fill drops
// least gets the request, and room that other demand can only find there has a price.
//
// Value. The potential of a node's free state is what a random stream of the workload would still take
// from its devices: a few request sequences are drawn from the mix once, offered to the state in order, and
// what does not fit is passed over. It is the mean over sequences of all requests and sequences of device
// requests. Whole devices count as such; a part of one counts half by its size and half by what it is worth
// where parts fill a device (see worth): one that would fit into some remainder anyhow is worth little, one
// that a device has to be opened for is worth a device. Fragmentation gradient descent (Weng et al., USENIX
// ATC 2023) asks instead which part of the idle devices one typical request cannot use.
//
// Device memory is a dimension of its own in a state, and whether a request fits is exact in it. A state
// is valued by what an ordinary stream could use: of a device whose memory is scarcer than its
// thousandths, as much as there is memory for.
//
// Price. Some demand is served by some room only: several whole devices on one node, a model. For each
// such kind the price of its room rises with (demand + reserve) / room, and a placement pays for the
// room that it takes from kinds other than its own.
//
// Index. Nodes with equal free state are one. For every request class the states stand in heaps, one
// per combination of model and whole devices before and after, because those share one price; so
// prices change without touching the heaps. An entry starts with a bound from below and is valued
// when it comes to the top, so that few states are valued per placement, and the cost follows states
// and their changes, not nodes.
//
// Invariants: 0 <= Value <= what the devices are worth; Drop >= 0; Index.Best returns what a scan over all nodes
// with the same prices would: the least cost, then best fit, then the first node. A sampled greedy fill is not exactly monotone: fewer free cores can turn
// away a core-heavy request early and let more devices fill later. Such rises are noise of the
// sampling and count as a drop of 0.
//
// Everything is integers and depends on the arguments alone. An Index or a Potential belongs to one
// goroutine. Package place calls it.
package potential
