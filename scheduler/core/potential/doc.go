// Package potential chooses nodes by what they could still take: the node whose expected fill drops
// least gets the request, and room that other demand can only find there has a price.
//
// Value. The potential of a node's free state is the devices, in thousandths, that a random stream of
// the workload would still take from it: a few request sequences are drawn from the mix once, offered
// to the state in order, and what does not fit is passed over. It is the mean over sequences of all
// requests and sequences of device requests. Fragmentation gradient descent (Weng et al., USENIX ATC
// 2023) asks instead which part of the idle devices one typical request cannot use.
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
// Invariants: 0 <= Value <= idle devices; Drop >= 0; Index.Best returns what a scan over all nodes
// with the same prices would. A sampled greedy fill is not exactly monotone: fewer free cores can turn
// away a core-heavy request early and let more devices fill later. Such rises are noise of the
// sampling and count as a drop of 0.
//
// Everything is integers and depends on the arguments alone. A Placer, Index, Potential or Learner
// belongs to one goroutine. The packing simulator calls it.
package potential
