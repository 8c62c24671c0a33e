// Package cpus says on which processors and memory nodes of the host each task runs.
//
// A task with devices does best on the processors that its devices are attached to: what crosses
// between processors is slower and disturbs others. And a task that asks for whole cores may be given
// these cores for itself.
//
// The rules, by policy:
//
//   - Off: tasks run anywhere.
//   - Near: a task whose devices tell their memory nodes runs on the processors of these nodes, as long
//     as the cores that such tasks ask for are there; its memory comes from there too, as long as it
//     fits. Otherwise it runs anywhere, and a note says so. All other tasks run anywhere.
//   - Exact: a task that asks for whole cores gets as many processors for itself: on the nodes of its
//     devices, else on the one node where they fit best, else wherever they are, with a note. All other
//     tasks share the processors that are left, those with devices near them where any are left there.
//     When what is left changes, they are moved.
//
// Invariants: a processor is given to one task alone or shared, never both; something is always left
// to share while a sharing task runs; memory that is bound to a node fits it.
//
// The runner takes and releases; a Book is safe for concurrent use. The kernel's side of it is
// Documentation/admin-guide/cgroup-v1/cpusets.rst and the cpuset part of cgroup-v2.rst.
package cpus
