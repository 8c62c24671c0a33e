// Package version holds the version of this build for everything in the binary
// that reports one.
package version

// Version is set by the linker (-X) when the Makefile builds, and never after.
var Version = "devel"
