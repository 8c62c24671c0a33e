// Package container is the driver that runs tasks in containers: with the file system of an image,
// and else as driver exec does, under the same shim.
//
// A store keeps images and makes a file system for each allocation: package store says how it is
// asked, package containerd is the one there is. The driver hands the shim what to mount; it is
// mounted in the task's sandbox alone and goes with it. So limits, devices, logs, leases, re-attachment
// and commands beside a task are those of exec, and a runtime's daemon is only needed for a start.
//
// In a container a task finds, beside the image's files, its work directory and /tmp under the names
// that they have on the host, its devices, the host's network, and what was mounted for it. It runs as
// the user that exec would take, not as the image's: without privileges, root in an image could not do
// what it is used to, and as the host's root it could do too much.
//
// The runner calls it from any goroutine.
package container
