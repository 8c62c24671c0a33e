// Package containers runs jobs in containers end to end: a containerd of the test's own, images made
// on the spot, and real servers and agents as root.
package containers
