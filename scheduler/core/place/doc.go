// Package place chooses the node for a task, and the devices on it.
//
// There are two ways of choosing, and this package is where they meet. Nodes that package potential can
// describe, which are nearly all, are kept in its index by state: a plain class goes where the expected
// fill drops least, with a price on scarce room, ties by best fit and then by name. What it cannot
// describe goes by the best-fit score of package pack over single nodes: nodes with devices of several
// models or of more than 16, which are taken when no other node fits; and classes with several device
// requests, several fractions, or conditions on the name of a node or a device, which look at all nodes.
//
// Constraints are not checked on nodes but on shapes: nodes that are alike in all that any waiting
// request asks about. A class is compared with a shape once.
//
// Work without devices goes to a host with devices only when no other fits. That is so by construction:
// such hosts stand in lanes of their own, which are looked at last.
//
// A Placer may live for many cycles. What it keeps from one to the next (values of states, orders of
// classes, the catalogue of shapes) are caches: results depend on what Begin is given and on what is
// placed since, and on nothing before. Steps are counted the same way, cold or warm.
//
// A Placer belongs to one goroutine. core and the packing simulator create it.
package place
