// Package tasks is the TaskService that an agent offers to the servers: reading what tasks
// have logged, also after their end, and running commands beside a running task.
//
// It owns no allocations; a Source finds them. Allocation ids come from the network: the
// Source must refuse whatever is not an id before it touches a file. Each call runs on the
// goroutines of its gRPC stream and ends with it.
package tasks
